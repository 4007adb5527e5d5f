"""`watch`: check and retrain in turns, each round in processes of its own.

So a round runs the code that is on disk and leaves no memory behind, and one that crashes ends itself alone.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from console.command import print_line
from errors import Busy, GateNotPassed, NothingLogged, UsageError
from settings import PROJECT

if TYPE_CHECKING:
    from settings import Settings

LONGEST_PAUSE = 3600.0
"""Seconds between two tries of a round that fails again and again."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
# A round in which nothing broke: there was nothing to check yet, or somebody else is at it.
_FINE = (0, *(kind.exit_code for kind in (GateNotPassed, Busy, NothingLogged)))


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    document: dict[str, Any]

    @property
    def failed(self) -> bool:
        return self.code not in _FINE


def watch(
    settings: Settings,
    stack: str,
    use_case: str,
    options: Sequence[str],
    every: str,
    *,
    once: bool,
    as_json: bool,
) -> int:
    """Rounds until Ctrl-C or SIGTERM, or a single one; returns the exit code.

    Raises:
        UsageError: there is no such use case or interval, or the stack is a cluster's.
    """
    import usecases
    from console.releases import is_cluster

    if is_cluster(stack):
        raise UsageError(
            "A cluster watches by itself, on a schedule: "
            f"python run.py --stack {stack} schedule {use_case} --cron '*/10 * * * *' --watch"
        )
    usecases.contract_of(use_case)
    interval = seconds(every)
    take_signals()
    log = settings.home / "logs" / f"watch-{use_case}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    try:
        while True:
            checked = ask(log, "monitor", use_case)
            retrained = ask(log, "retrain", use_case, "--if-needed", *options)
            _say(use_case, checked, retrained, log, as_json=as_json)
            tell(settings, use_case, checked, retrained, log)
            if once:
                return retrained.code or (checked.code if checked.failed else 0)
            failures = failures + 1 if checked.failed or retrained.failed else 0
            time.sleep(pause(interval, failures))
    except KeyboardInterrupt:
        if once:
            raise
        # The way to end it. What a round had begun is on record, and the next one goes on with it.
        return 0


def take_signals() -> None:
    """SIGTERM is Ctrl-C, and Ctrl-C is heard of also by what a shell has started in the background.

    A shell lets that ignore SIGINT, and so would each command of a round.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def seconds(interval: str) -> float:
    """How long `90s`, `10m` or `1h` is.

    Raises:
        UsageError: it is none of them.
    """
    found = re.fullmatch(r"(\d+)([smh])", interval)
    if found is None or int(found[1]) == 0:
        raise UsageError(
            f"An interval is a number of seconds, minutes or hours: 90s, 10m, 1h; it is {interval!r}."
        )
    return int(found[1]) * _UNITS[found[2]]


def pause(interval: float, failures: int) -> float:
    """Seconds to the next round: twice as long with each failure in a row, up to an hour or the interval."""
    return min(interval * 2.0 ** min(failures, 20), max(interval, LONGEST_PAUSE))


def ask(log: Path, *arguments: str) -> Said:
    """Run a command of this project to its end; what it says beside its answer goes to `log`.

    Interrupted, it interrupts the command and waits until that has put things in order.
    """
    with log.open("a") as stderr:
        return _ask(stderr, arguments)


def _ask(stderr: IO[str], arguments: Sequence[str]) -> Said:
    with subprocess.Popen(
        [sys.executable, "run.py", *arguments, "--json"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        # Ctrl-C on a terminal goes to all of its group: the command hears of it from here, once.
        start_new_session=True,
    ) as process:
        try:
            stdout, _ = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    try:
        return Said(process.returncode, json.loads(stdout))
    except ValueError:
        return Said(process.returncode or 1, {"error": f"ended with exit code {process.returncode}"})


def _say(use_case: str, checked: Said, retrained: Said, log: Path, *, as_json: bool) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    if as_json:
        found = {"at": now, "monitor": checked.document, "retrain": retrained.document}
        text = json.dumps(found, default=str)
    else:
        text = f"{now} {line(use_case, checked, retrained, log)}"
    print_line(text)


def tell(settings: Settings, use_case: str, checked: Said, retrained: Said, log: Path) -> None:
    """Alert people of a round that failed, and of data that are late; bring on events that wait."""
    import events
    from alerts import Alert, send

    events.deliver(settings)
    if checked.failed or retrained.failed:
        said = line(use_case, checked, retrained, log)
        send(settings, Alert("loop failing", use_case, f"A round of the loop of {use_case} failed", said))
    champion = retrained.document.get("evidence", {}).get("champion") or {}
    if old := champion.get("outdated"):
        title = f"{use_case} version {champion['version']} is outdated"
        send(settings, Alert("data late", use_case, title, " ".join(old)))


def line(use_case: str, checked: Said, retrained: Said, log: Path) -> str:
    """What a round found and did."""
    more = f" (more in {log})" if checked.failed or retrained.failed else ""
    return f"{use_case}: {_of_check(checked)} | {_of_retraining(retrained)}{more}"


def _of_check(said: Said) -> str:
    if "error" in said.document:
        return _first_line(said.document["error"])
    verdict = said.document["check"]["verdict"]
    return f"check {verdict}" if said.document["new"] else f"nothing new since check {verdict}"


def _of_retraining(said: Said) -> str:
    document = said.document
    if "error" in document:
        return _first_line(document["error"])
    words = [f"{document['decision']}: {' '.join(document['reasons'])}"]
    if training := document.get("training"):
        became = (
            "is champion"
            if training["promoted"] or training["champion_stands"]
            else "did not beat the champion"
        )
        words.append(f"version {training['version']} {became}")
    if release := document.get("release"):
        words.append(f"version {release['model_version']} serves at {release['address']}")
    return " → ".join(words)


def _first_line(text: object) -> str:
    return f"{text}".splitlines()[0] if f"{text}" else "failed"
