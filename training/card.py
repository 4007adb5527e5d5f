"""A model version's card: what it is for, what it was made of, how good it is and where it is not; Markdown.

After Mitchell et al. (2019), Model Cards for Model Reporting: intended use and limits are the use case's
words, everything else is what the training recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.evaluation import Evaluation, Score
    from training.explanation import Importances
    from training.gates import Judgement
    from usecases.base import UseCase

FILE = "model_card.md"
"""What it is called among the artifacts of the MLflow run that the version came from."""
MAX_VALUES = 12
"""So many values of a slice or a column are shown; of a slice those with the most rows."""


def card(
    use_case: UseCase,
    version: int,
    provenance: Mapping[str, Any],
    profile: Mapping[str, Any],
    evaluation: Evaluation,
    judgement: Judgement,
    importances: Importances,
) -> str:
    """The card of `version`."""
    metric = use_case.metric
    better = "lower" if metric.direction == "minimize" else "higher"
    unit = f", {metric.unit}" if metric.unit else ""
    candidate = use_case.candidate(provenance["candidate"])
    parts = [
        f"# {use_case.title}: model version {version}",
        f"**For** {use_case.intended_use}",
        f"**Not for** {use_case.limits}",
        "## How good it is",
        f"On {evaluation.scores.overall.rows:,} validation rows that it did not learn from; "
        f"{metric.name}{unit}, {better} is better. Beside it: {evaluation.reference}.",
        _scores(evaluation),
        "## Gates",
        _table(
            ("gate", "passed", "why"),
            ((each.gate, "yes" if each.passed else "**no**", each.reason) for each in judgement.verdicts),
        ),
        "## What it looks at",
        f"Loss of {metric.name} when a column is shuffled{unit}: above 0 the model needs it.",
        _table(
            ("column", "loss", "±"),
            ((each.column, f"{each.mean:.4f}", f"{each.spread:.4f}") for each in importances.columns),
        ),
        "## What requests looked like",
        f"The {profile['rows']:,} validation rows. An endpoint counts what lies outside.",
        _table(("column", "missing", "values"), _columns(use_case, profile)),
        "## What it was made of",
        _table(("", ""), _made_of(provenance, candidate.about)),
        f"The same model again, bit for bit: `python run.py reproduce {use_case.name} {version}`",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(evaluation: Evaluation) -> str:
    def line(of: str, score: Score, reference: Score) -> tuple[str, ...]:
        return of, f"{score.rows:,}", f"{score.value:.4g}", f"{reference.value:.4g}"

    lines = [line("**all rows**", evaluation.scores.overall, evaluation.reference_scores.overall)]
    for name, values in evaluation.scores.slices.items():
        largest = sorted(values, key=lambda value: -values[value].rows)[:MAX_VALUES]
        lines += [
            line(f"{name}: {value}", values[value], evaluation.reference_scores.slices[name][value])
            for value in largest
        ]
        if len(values) > len(largest):
            lines.append((f"{name}: {len(values) - len(largest)} more with fewer rows", "", "", ""))
    return _table(("rows of", "rows", "this model", evaluation.reference), lines)


def _columns(use_case: UseCase, profile: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    schema = use_case.request.model_json_schema()["properties"]
    for name, column in profile["columns"].items():
        time = schema[name].get("format", "").startswith("date")
        yield (
            name,
            f"{column['missing'] / profile['rows']:.1%}",
            _values(column, _moment if time else _number),
        )


def _values(column: Mapping[str, Any], text: Callable[[float], str]) -> str:
    if "quantiles" in column:
        least, *_, greatest = (text(value) for value in column["quantiles"].values())
        return f"{least} to {greatest}, half of them below {text(column['quantiles']['0.5'])}"
    counts = column["counts"]
    largest = sorted(counts, key=lambda value: -counts[value])[:MAX_VALUES]
    more = f" and {len(counts) - len(largest)} more" if len(counts) > len(largest) else ""
    return ", ".join(largest) + more


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _made_of(provenance: Mapping[str, Any], about: str) -> Sequence[tuple[str, str]]:
    plan = provenance["plan"]
    fingerprint = plan["fingerprint"]
    parameters = ", ".join(f"{name} {value}" for name, value in sorted(provenance["parameters"].items()))
    libraries = ", ".join(
        f"{name} {version}" for name, version in provenance["libraries"].items() if name != "python"
    )
    return [
        ("trained", provenance["trained_at"]),
        ("model", f"{provenance['candidate']}: {about}"),
        ("parameters", f"{parameters or 'none'}; seed {provenance['seed']}"),
        *(("data", f"{name} `{digest[:19]}`") for name, digest in sorted(fingerprint["data"].items())),
        *([("newest row", provenance["newest_row"])] if provenance.get("newest_row") else []),
        *([("validated from", plan["cutoff"])] if plan["cutoff"] else []),
        ("code", f"commit {fingerprint['commit']}"),
        ("environment", f"Python {provenance['python']}; {libraries}"),
        ("ZenML run", provenance["zenml_run"]),
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([row(head), row(["---"] * len(head)), *map(row, lines)])
