"""From a registered model version to a verified endpoint."""

from typing import Annotated

from zenml import get_step_context, log_metadata, step
from zenml.config.retry_config import StepRetryConfig
from zenml.metadata.metadata_types import Uri

from errors import ReleaseError
from releases.outcome import Outcome
from steps import links


# Neither is cached: they make and start things outside ZenML, which may be gone by the next run.
@step(enable_cache=False)
def package(use_case: str, version: int) -> Annotated[str, "bento"]:
    """Put the version into a Bento, unless the same one is there."""
    from releases.package import package
    from settings import Settings

    _, packed = package(use_case, version, Settings().home)
    log_metadata({"bento": packed.tag, "built": packed.built})
    return packed.tag


@step(enable_cache=False)
def roll_out(use_case: str, version: int, bento: str, why: str) -> Annotated[Outcome, "outcome"]:
    """Start the Bento, verify its answers, switch the endpoint to it, record the release."""
    from db import approvals
    from db.databases import prepare
    from db.migrate import upgrade
    from releases.evidence import evidence
    from releases.package import package
    from releases.release import release
    from releases.tell import tell
    from settings import Settings
    from tracking import registry

    settings = Settings()
    url = prepare(settings).modelyard
    upgrade(url)
    content, packed = package(use_case, version, settings.home)
    if packed.tag != bento:
        raise ReleaseError(f"{bento} was packed, and now it is {packed.tag}: code changed. Release again.")
    made_of = evidence(
        registry.find(use_case, str(version)), approvals.of(url, use_case, version), packed.path
    )
    run = get_step_context().pipeline_run.name
    outcome = release(settings, url, content, packed, run, why, made_of)
    tell(settings, use_case, outcome, why, {"run": links.this_run()})
    log_metadata(outcome.model_dump(exclude_none=True))
    links.show({"model_version": links.model_version(use_case, version), "endpoint": Uri(outcome.address)})
    return outcome


@step(enable_cache=False)
def publish(use_case: str, version: int) -> tuple[Annotated[str, "image"], Annotated[str, "bento"]]:
    """Add the version's Bento to the image that endpoints run on, in its registry, unless it is there."""
    from releases.kubernetes import image
    from releases.kubernetes.place import in_this_cluster
    from releases.package import package
    from settings import Settings
    from stacks.kubernetes.tracking import open_tracking

    open_tracking()
    _, there = in_this_cluster()
    _, packed = package(use_case, version, Settings().home)
    published = image.publish(
        packed.path,
        there.serving_image,
        insecure=there.registry_insecure,
        labels={"modelyard.dev/bento": packed.tag},
    )
    log_metadata({"image": published.reference, "pushed": published.pushed, "bento": packed.tag})
    return published.reference, packed.tag


# A pod can be killed or moved at any time; the next one begins its step once more.
@step(enable_cache=False, retry=StepRetryConfig(max_retries=3))
def deploy(
    use_case: str,
    version: int,
    image: str,
    bento: str,
    why: str,
    by: str,
    canary: dict[str, float] | None,
    require_approval: bool = False,
) -> Annotated[Outcome, "outcome"]:
    """Start pods of the image, verify them, let the Deployment have it, record the release.

    Begun again after its pod was killed it releases; after the release was given up it does not.

    Raises:
        GateNotPassed: approval is required, and there is none.
    """
    from releases.approval import require
    from releases.evidence import evidence
    from releases.kubernetes.place import place_of_this_pod
    from releases.kubernetes.release import INTERRUPTED, TARGET, Canary, Wanted, release
    from releases.package import package
    from releases.tell import tell
    from settings import Settings
    from stacks.kubernetes.tracking import open_tracking
    from tracking import registry

    run = get_step_context().pipeline_run.name
    open_tracking()
    place = place_of_this_pod(by)
    known = place.records.history(use_case, TARGET)
    for before in known:
        given_up = before.status == "failed" and not str(before.reason).startswith(INTERRUPTED)
        if before.zenml_run == run and given_up:
            raise ReleaseError(before.reason)
    registered = registry.find(use_case, str(version))
    approvals = place.records.approvals(use_case, version)
    if require_approval or Settings().require_approval:
        require(registered, approvals, known)
    content, _ = package(use_case, version, Settings().home)
    wanted = Wanted(use_case, version, bento, image, why, run, evidence(registered, approvals))
    outcome = release(place, wanted, content, Canary(**canary) if canary else None)
    tell(Settings(), use_case, outcome, why, {"run": links.this_run()})
    log_metadata(outcome.model_dump(exclude_none=True))
    # The endpoint's address is one inside the cluster: no browser gets there.
    links.show({"model_version": links.model_version(use_case, version), "endpoint": outcome.address})
    return outcome
