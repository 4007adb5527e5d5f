"""From a registered model version to a verified endpoint."""

from typing import Annotated

from zenml import get_step_context, log_metadata, step

from errors import ReleaseError
from releases.release import Outcome


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
def roll_out(use_case: str, version: int, bento: str) -> Annotated[Outcome, "outcome"]:
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
    outcome = release(settings, url, content, packed, get_step_context().pipeline_run.name)
    log_metadata(outcome.model_dump(exclude_none=True))
    return outcome
