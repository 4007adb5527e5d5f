"""`approve` and `history --verify`: who stands for a release, and whether the record of them is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from console.releases import is_cluster
from console.session import open_session
from errors import TrackingError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from console.progress import Progress
    from releases.audit import Checked
    from releases.kubernetes.place import Place
    from settings import Settings
    from stacks.session import Session

Document = dict[str, Any]


def approve(
    settings: Settings, stack: str, progress: Progress, use_case: str, version: int, note: str | None
) -> Document:
    """Note that whoever runs this approves a version.

    Raises:
        TrackingError: there is no such version, or its files are gone.
    """
    import usecases

    usecases.load(use_case)
    session = open_session(settings, stack, progress)
    from db.releases import person
    from tracking import registry

    model = registry.digest(registry.find(use_case, str(version)))
    given: Document = {
        "use_case": use_case,
        "model_version": version,
        "model": model,
        "approved_by": person(),
        "note": note,
    }
    if is_cluster(stack):
        number = _place(settings).records.approve(**given)
    else:
        from db import approvals

        number = approvals.approve(_url(session), **given)
    return {"approval": number, **given}


def approved(document: Mapping[str, Any]) -> str:
    """Who approved what."""
    what = f"{document['use_case']} version {document['model_version']}"
    return (
        f"{document['approved_by']} approved {what}, whose files have the digest {document['model'][:12]}.\n"
        f"Release it: python run.py release {document['use_case']} --version {document['model_version']}"
    )


def verify(settings: Settings, stack: str, progress: Progress, use_case: str, anchor: str | None) -> Document:
    """Compare the record of releases with the audit trail, the registry and what runs."""
    import usecases

    usecases.load(use_case)
    session = open_session(settings, stack, progress)
    from releases.audit import check

    if is_cluster(stack):
        place = _place(settings)
        trail, content = place.records.trail(), _images(place, use_case)
    else:
        from db import audit

        trail, content = audit.read(_url(session)), _bentos(settings)
    found = check(trail, use_case, anchor)
    with progress.stage("registry"):
        _look_at_registry(use_case, found.releases)
    for one in found.releases:
        one.problems += content(one.row)
    ok = not found.problems and not any(one.problems for one in found.releases)
    return {"use_case": use_case, "ok": ok, **found.model_dump(mode="json")}


def report(document: Mapping[str, Any]) -> RenderableType:
    """A line for each release, and what is wrong with it."""
    from rich.console import Group
    from rich.markup import escape

    lines = [f"[red]{escape(problem)}[/]" for problem in document["problems"]]
    if not lines:
        lines = [f"The audit trail is unbroken: {document['rows']:,} rows."]
    for one in document["releases"]:
        row = one["row"]
        state = "[red]broken[/]" if one["problems"] else "[green]ok[/]"
        status = str(row.get("status")).replace("_", " ")
        lines.append(f"Release {one['release']}, version {row.get('model_version')}, {status}: {state}")
        lines += [f"  [red]{escape(problem)}[/]" for problem in one["problems"]]
        lines += [f"  {escape(note)}" for note in one["notes"]]
    if not document["releases"]:
        lines.append("Nothing was released yet.")
    lines.append(escape(document["protection"]))
    if document["newest"]:
        lines += ["Kept elsewhere, this tells later (--anchor) that nothing before it was changed:"]
        lines += [document["newest"]]
    return Group(*lines)


def _look_at_registry(use_case: str, releases: list[Checked]) -> None:
    """Add to each release what the registry has otherwise than it was released."""
    from releases.evidence import Found, differences, look
    from tracking import registry

    @cache
    def now(version: str) -> Found:
        return look(registry.find(use_case, version))

    for one in releases:
        evidence = one.row.get("evidence")
        if evidence is None:
            one.notes.append("it is of a time when nothing was written down of what it was made of")
            continue
        try:
            one.problems += differences(evidence, now(str(one.row.get("model_version"))))
        except TrackingError as error:
            # What never served, gc may have freed.
            (one.problems if one.row.get("verified_at") else one.notes).append(str(error))


def _bentos(settings: Settings) -> Callable[[Mapping[str, Any]], list[str]]:
    """What is wrong with the Bento of the release that serves on this machine.

    `gc` frees others, and one that is made again has other bytes.
    """
    from tracking.registry import digest_of

    def look(row: Mapping[str, Any]) -> list[str]:
        folder = settings.home / "bentoml" / "bentos" / str(row.get("bento")).replace(":", "/")
        recorded = (row.get("evidence") or {}).get("bento")
        if row.get("status") != "serving" or recorded is None or digest_of(folder) == recorded:
            return []
        return [f"bento: the files of {row.get('bento')} are not those that were released"]

    return look


def _images(place: Place, use_case: str) -> Callable[[Mapping[str, Any]], list[str]]:
    """What is wrong with the image of the release that serves in a cluster."""
    from releases.kubernetes.objects import Objects

    objects = Objects(place.api, place.namespace, use_case)
    live = objects.live(objects.name)

    def look(row: Mapping[str, Any]) -> list[str]:
        if row.get("status") != "serving":
            return []
        released, runs = row.get("image"), live.image if live else "nothing"
        return [] if runs == released else [f"image: {released} was released, the cluster runs {runs}"]

    return look


def _place(settings: Settings) -> Place:
    from releases.kubernetes.place import place_of

    return place_of(settings)


def _url(session: Session) -> str:
    from db.migrate import upgrade

    assert session.databases is not None
    upgrade(session.databases.modelyard)
    return session.databases.modelyard
