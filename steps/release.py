"""From a registered model version to a verified endpoint."""

from typing import Annotated

from zenml import get_step_context, log_metadata, step
from zenml.config.retry_config import StepRetryConfig

from errors import ReleaseError
from releases.outcome import Outcome


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
    from db.databases import prepare
    from db.migrate import upgrade
    from releases.package import package
    from releases.release import release
    from settings import Settings

    settings = Settings()
    url = prepare(settings).modelyard
    upgrade(url)
    content, packed = package(use_case, version, settings.home)
    if packed.tag != bento:
        raise ReleaseError(f"{bento} was packed, and now it is {packed.tag}: code changed. Release again.")
    outcome = release(settings, url, content, packed, get_step_context().pipeline_run.name, why)
    log_metadata(outcome.model_dump(exclude_none=True))
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


# A pod that is told to end begins the step once more before it is killed; the next pod needs a try, too.
@step(enable_cache=False, retry=StepRetryConfig(max_retries=3))
def deploy(
    use_case: str,
    version: int,
    image: str,
    bento: str,
    why: str,
    by: str,
    canary: dict[str, float] | None,
) -> Annotated[Outcome, "outcome"]:
    """Start pods of the image, verify them, let the Deployment have it, record the release.

    Begun again after its pod was killed it releases; after the release was given up it does not.
    """
    from releases.kubernetes.place import place_of_this_pod
    from releases.kubernetes.release import INTERRUPTED, TARGET, Canary, Wanted, release
    from releases.package import package
    from settings import Settings
    from stacks.kubernetes.tracking import open_tracking

    run = get_step_context().pipeline_run.name
    open_tracking()
    place = place_of_this_pod(by)
    for before in place.records.history(use_case, TARGET):
        given_up = before.status == "failed" and not str(before.reason).startswith(INTERRUPTED)
        if before.zenml_run == run and given_up:
            raise ReleaseError(before.reason)
    content, _ = package(use_case, version, Settings().home)
    wanted = Wanted(use_case, version, bento, image, why, run)
    outcome = release(place, wanted, content, Canary(**canary) if canary else None)
    log_metadata(outcome.model_dump(exclude_none=True))
    return outcome
