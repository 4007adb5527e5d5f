"""`keys`: who may ask an endpoint; on this machine by a file, in a cluster by a Secret."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from console.releases import is_cluster
from console.reports import new_table
from errors import UsageError

if TYPE_CHECKING:
    from settings import Settings

Document = dict[str, Any]


def keys(
    settings: Settings,
    stack: str,
    use_case: str,
    action: str | None,
    name: str | None,
    rights: Collection[str],
) -> Document:
    """List the keys of an endpoint, add one or revoke one.

    Raises:
        UsageError: what was asked for makes no sense.
    """
    import usecases
    from serving import keys as stored

    usecases.contract_of(use_case)
    if (action is None) != (name is None):
        raise UsageError(f"Name the key: python run.py keys {use_case} {action or 'add|revoke'} NAME")
    if rights and action != "add":
        raise UsageError("--right belongs to `add`: a key's rights are given when it is made.")
    read, change = _place(settings, use_case, cluster=is_cluster(stack))
    made: list[str] = []

    def altered(text: str) -> str:
        assert name is not None
        if action == "revoke":
            return stored.revoked(text, name)
        text, key = stored.added(text, name, rights or ["predict"])
        made[:] = [key]
        return text

    if action is not None:
        change(altered)
    text = read()
    document: Document = {
        "use_case": use_case,
        "open": not text.strip(),
        "keys": [
            {"name": entry.name, "rights": sorted(entry.rights), "created": entry.created.isoformat()}
            for entry in stored.parse(text)
        ],
    }
    if action is not None:
        document["added" if made else "revoked"] = name
    return document | ({"key": made[0]} if made else {})


def report(document: Document) -> RenderableType:
    """The keys, and the one that was made just now, this once."""
    parts: list[RenderableType] = []
    if "key" in document:
        parts = [f"The key {document['added']}; it is shown this once:", document["key"], ""]
    if "revoked" in document:
        parts = [f"The key {document['revoked']} is revoked."]
    if document["keys"]:
        table = new_table("key", "rights", "created")
        for key in document["keys"]:
            table.add_row(key["name"], ", ".join(key["rights"]), key["created"])
        return Group(*parts, table)
    if document["open"]:
        return Group(f"{document['use_case']} has no keys: its endpoint answers everybody.")
    return Group(*parts, f"{document['use_case']} has no key any more: its endpoint answers nobody.")


def _place(
    settings: Settings, use_case: str, *, cluster: bool
) -> tuple[Callable[[], str], Callable[[Callable[[str], str]], None]]:
    """How the keys' text is read and changed."""
    if cluster:
        from releases.kubernetes import keys as secret

        return lambda: secret.read(settings, use_case), lambda make: secret.change(settings, use_case, make)
    from serving import keys as stored

    path: Path = settings.home / "endpoints" / f"{use_case}.keys"
    return lambda: path.read_text() if path.exists() else "", lambda make: stored.change(path, make)
