"""Why a model predicts what it does: permutation importance and residuals, as one page with plots."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, UseCase

SAMPLE = 2_000
REPEATS = 3


class Importance(BaseModel):
    """How much worse the metric gets when one request column is shuffled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    mean: float
    spread: float
    """Standard deviation over the repeats."""


class Importances(BaseModel):
    """Those of all request columns, most important first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: list[Importance]


def permutation_importance(use_case: UseCase, model: Any, rows: pd.DataFrame, *, seed: int) -> Importances:
    """Loss of the metric when a request column is shuffled over at most `SAMPLE` rows, most important first.

    Breiman (2001), Random Forests, section 10: the column keeps its distribution and loses its meaning.
    """
    rng = np.random.default_rng(seed)
    rows = rows.sample(min(SAMPLE, len(rows)), random_state=seed)
    truth = rows[use_case.target]
    requests = rows[use_case.request_columns]
    sign = 1 if use_case.metric.direction == "minimize" else -1
    whole = use_case.metric.score(truth, use_case.predict(model, requests))
    found = []
    for column in use_case.request_columns:
        losses = []
        for _ in range(REPEATS):
            order = rng.permutation(len(requests))
            shuffled = requests.assign(**{column: requests[column].array[order]})
            score = use_case.metric.score(truth, use_case.predict(model, shuffled))
            losses.append(sign * (score - whole))
        found.append(Importance(column=column, mean=float(np.mean(losses)), spread=float(np.std(losses))))
    return Importances(columns=sorted(found, key=lambda importance: -importance.mean))


def importance_plot(use_case: UseCase, importances: Importances) -> bytes:
    """Bars, one for each request column; PNG."""
    ordered = importances.columns[::-1]
    figure, axes = _figure(height=1.2 + 0.4 * len(ordered))
    axes.barh(
        [importance.column for importance in ordered],
        [importance.mean for importance in ordered],
        xerr=[importance.spread for importance in ordered],
        color="#3b6ea5",
    )
    unit = f" ({use_case.metric.unit})" if use_case.metric.unit else ""
    axes.set_xlabel(f"loss of {use_case.metric.name} when the column is shuffled{unit}")
    axes.set_title("Permutation importance on validation rows")
    return _png(figure)


def residual_plot(use_case: UseCase, truth: Array, predictions: Array) -> bytes:
    """Residuals over predictions (regression) or the calibration curve (classification); PNG."""
    figure, axes = _figure(height=4.2)
    if use_case.task == "regression":
        shown = axes.hexbin(
            predictions, truth - predictions, gridsize=60, bins="log", cmap="viridis", mincnt=1
        )
        figure.colorbar(shown, ax=axes, label="rows")
        axes.axhline(0, color="#b03030", linewidth=1)
        axes.set_xlabel(f"predicted {use_case.target}")
        axes.set_ylabel(f"true minus predicted {use_case.target}")
        axes.set_title("Residuals on validation rows")
    else:
        edges = np.quantile(predictions, np.linspace(0, 1, 11))
        bins = np.clip(np.searchsorted(edges, predictions, side="right") - 1, 0, 9)
        filled = [b for b in range(10) if (bins == b).any()]
        axes.plot(
            [predictions[bins == b].mean() for b in filled],
            [truth[bins == b].mean() for b in filled],
            marker="o",
            color="#3b6ea5",
        )
        axes.plot([0, 1], [0, 1], color="#b03030", linewidth=1)
        axes.set_xlabel("mean predicted probability, by tenths of the validation rows")
        axes.set_ylabel(f"share with {use_case.target} = 1")
        axes.set_title("Calibration on validation rows")
    return _png(figure)


def page(title: str, plots: dict[str, bytes], importances: Importances) -> str:
    """One self-contained HTML page: the plots inline and the importances as a table."""
    images = "".join(
        f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" '
        f'src="data:image/png;base64,{base64.b64encode(plot).decode()}">'
        for name, plot in plots.items()
    )
    rows = "".join(
        f"<tr><td>{html.escape(importance.column)}</td><td>{importance.mean:.4f}</td>"
        f"<td>± {importance.spread:.4f}</td></tr>"
        for importance in importances.columns
    )
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<style>body{font:15px sans-serif;margin:1em}h1{font-size:1.3em}h2{font-size:1.05em}"
        "td{padding:.2em 1em .2em 0}img{max-width:100%}</style>"
        f"<h1>{html.escape(title)}</h1>{images}<h2>Importances</h2><table>{rows}</table>"
    )


def _figure(height: float) -> tuple[Any, Any]:
    # The object interface, not pyplot: no global state, no display, nothing to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), dpi=100, layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
