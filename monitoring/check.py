"""What one check of a served model found; the form in which it is kept and in which decisions read it."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict


class _Found(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shift(_Found):
    """How far one column, or the predictions, moved from the reference."""

    column: str
    kind: Literal["numeric", "categorical"]
    distance: float
    """Between both distributions: 0 the same, 1 nothing in common. Numeric: Kolmogorov and Smirnov's
    largest difference of the distribution functions; categorical: total variation beyond what sampling
    alone yields."""
    tolerated: float
    """Distances up to this are no news, however many rows prove them."""
    p: float
    """Probability of a distance as large without any drift, corrected for the number of columns tested."""
    drifted: bool
    """The distance is both too large for chance and larger than tolerated."""


class Quality(_Found):
    """How well one column of the requests is filled."""

    column: str
    missing: float
    """Share of the rows."""
    missing_before: float
    out_of_range: float
    """Share of the rows outside what the reference had: below its least, above its greatest, or a value
    that it never had."""
    worse: bool


class Score(_Found):
    """The use case's metric over some rows, with the interval that holds it in 95 of 100 samples."""

    name: str
    """`overall`, or `slice: value`."""
    rows: int
    value: float
    low: float
    high: float
    promised: float
    """The metric at promotion, on the validation rows of the same slice."""
    worse: bool
    """By more than is tolerated, and than chance does to either: what was promised has its own error."""


class Performance(_Found):
    """The metric in this time, overall first, then by slice; estimates are overall alone."""

    metric: str
    unit: str
    method: Literal["outcomes", "estimated"]
    """Measured on what came true, or estimated from the requests alone."""
    scores: list[Score]

    @property
    def overall(self) -> Score:
        return self.scores[0]


class Finding(_Found):
    """One thing worth telling a person, in a sentence."""

    kind: Literal[
        "too few rows", "drift", "prediction drift", "quality", "performance", "estimated performance"
    ]
    sentence: str
    retrain: bool
    """A new model may mend it."""


class Check(_Found):
    """What was compared, and what was found; JSON of it is kept in `drift_checks`."""

    use_case: str
    model_version: int
    since: AwareDatetime
    until: AwareDatetime
    """Predictions logged, and outcomes received, from `since` on and before `until`."""
    rows: int
    """Predictions in this time."""
    compared: int
    """Of them, drawn at random, the rows that distributions were made of."""
    outcomes: int
    reference_rows: int
    shifts: list[Shift]
    """Of the monitored columns."""
    prediction: Shift | None
    quality: list[Quality]
    performance: Performance | None
    """None when no outcome came."""
    estimated: Performance | None
    findings: list[Finding]

    @property
    def asks_for_retraining(self) -> bool:
        """Whether a new model may mend something that was found."""
        return any(finding.retrain for finding in self.findings)

    @property
    def verdict(self) -> Literal["good", "watch", "retrain", "too few rows"]:
        """In a word; `watch`: something is off that a new model would not mend."""
        if self.asks_for_retraining:
            return "retrain"
        kinds = {finding.kind for finding in self.findings}
        return "too few rows" if kinds == {"too few rows"} else "watch" if kinds else "good"
