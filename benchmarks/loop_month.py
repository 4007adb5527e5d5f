"""What is noted of a month that the loop goes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx

USE_CASE = "taxi"


@dataclass
class Month:
    """What happened in one."""

    month: str
    trips: int = 0
    served: list[int] = field(default_factory=list)
    """Versions that answered."""
    error: float | None = None
    """Of what they answered; None of the first month, which nothing answered."""
    frozen: float | None = None
    """Of the first model."""
    verdicts: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    decision: str = ""
    reasons: list[str] = field(default_factory=list)
    gate: str = ""
    serves: int = 0
    """The version that serves after it."""

    def checked(self, verdict: str, findings: Sequence[Mapping[str, Any]]) -> None:
        """Note what a check said."""
        self.verdicts.append(verdict)
        self.findings += [finding["sentence"] for finding in findings]

    def decided(self, decision: str, reasons: list[str], training: Mapping[str, Any] | None) -> None:
        """Note that something was done, and what the gate said of the new model."""
        self.decision, self.reasons = decision, reasons
        gates = (training or {}).get("gates") or []
        self.gate = next(
            (gate["reason"] for gate in gates if gate["gate"] == "champion"), "no champion before"
        )

    def found_serving(self, evidence: Mapping[str, Any]) -> None:
        """Note which version a decision found in service."""
        serving = evidence["serving"]
        self.serves = serving["version"] if serving else 0


class Place(Protocol):
    """Where a loop goes on by itself."""

    def arrive(self, file: Path) -> None:
        """Let a month come to the source, whole or not at all, as a source should be filled."""

    def until(self, month: Month, file: str) -> None:
        """Note in `month` what the loop does until it has decided with `file` and found no more to do."""

    def endpoint(self) -> AbstractContextManager[httpx.Client]:
        """Reaches what serves."""

    def model(self, version: int) -> Any:
        """A version's fitted pipeline."""
