"""Bring an alert to its targets by Apprise, all at once and within a bounded time."""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alerts import Told

if TYPE_CHECKING:
    from alerts import Alert

SECONDS = 15.0
"""For all targets together; Apprise itself gives up a server that says nothing after 4 seconds."""

_THREAD = "alert"
_TYPES = {"release": "success", "test": "info", "loop failing": "failure"}
"""How a kind looks where targets have colours; all others are warnings."""


def deliver(targets: Sequence[str], alert: Alert) -> list[Told]:
    """What came of each target, in their order."""
    reasons = _listen()
    services = _services(targets)
    problems: dict[int, str | None] = {}

    def bring(number: int, service: Any) -> None:
        problems[number] = _bring(service, alert, reasons)

    # Daemons: one that hangs on does not keep the process.
    threads = [
        threading.Thread(target=bring, args=(number, service), name=_THREAD, daemon=True)
        for number, service in enumerate(services)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"took longer than {SECONDS:.0f} s"
    return [
        Told(f"{number + 1} ({_kind(target)})", problems.get(number, late))
        for number, target in enumerate(targets)
    ]


def body(alert: Alert) -> str:
    """The text below the title."""
    links = [f"{name}: {link}" for name, link in alert.links.items()]
    return "\n".join(
        [alert.sentence, *([""] if links else []), *links, "", f"{alert.kind} · {alert.use_case}"]
    )


def _services(targets: Sequence[str]) -> list[Any]:
    """What Apprise makes of each target; None of what it does not know. Nothing is connected yet."""
    with warnings.catch_warnings():
        # Deprecations inside Apprise's own imports are not the user's to mend.
        warnings.simplefilter("ignore")
        import apprise

        return [apprise.Apprise.instantiate(target) for target in targets]


def _bring(service: Any, alert: Alert, reasons: _Reasons) -> str | None:
    if service is None:
        return "is no URL that Apprise knows; see https://appriseit.com"
    kind = _TYPES.get(alert.kind, "warning")
    try:
        if service.notify(body=body(alert), title=alert.title, notify_type=kind, body_format="text"):
            return None
    except Exception as error:  # noqa: BLE001 - each of a hundred services has errors of its own
        return f"failed with {type(error).__name__}"
    return reasons.of_this_thread()


def _kind(target: str) -> str:
    found = re.match(r"[a-z][a-z0-9+.-]{0,20}(?=://)", target.lower())
    return found[0] if found else "?"


class _Reasons(logging.Handler):
    """What Apprise logs says why a target failed, and has its address in it: this keeps the former alone."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._found: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        me = threading.get_ident()
        if status := re.search(r"\berror=(\d{3})\b", message):
            self._found[me] = f"answered {status[1]}"
        elif re.search(r"connection error", message, re.IGNORECASE):
            self._found[me] = "cannot be reached"

    def of_this_thread(self) -> str:
        return self._found.pop(threading.get_ident(), "did not take it")


def _listen() -> _Reasons:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    reasons = _Reasons()
    logger.handlers = [reasons]
    # At DEBUG it has the path of each request, and that of a webhook may be its secret.
    logging.getLogger("urllib3.connectionpool").addFilter(_is_not_ours)
    return reasons


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD
