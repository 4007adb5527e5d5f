"""From training rows to a judged and promoted model version."""

from typing import Annotated

import pandas as pd
from sklearn.pipeline import Pipeline
from zenml import get_step_context, log_metadata, step
from zenml.enums import StepRuntime
from zenml.types import HTMLString, MarkdownString

import usecases
from errors import TrackingError
from steps import links
from training.difference import Difference
from training.evaluation import Evaluation
from training.explanation import Importances
from training.gates import Judgement
from training.plan import Plan
from training.promotion import Promotion
from training.search import Comparison, Result


# The runtime says that it gets a pod of its own on Kubernetes.
@step(runtime=StepRuntime.ISOLATED)
def compete(
    use_case: str, candidate: str, train: pd.DataFrame, validation: pd.DataFrame, trials: int, seed: int
) -> tuple[Annotated[Pipeline, "model"], Annotated[Result, "result"]]:
    """Search, fit and score one candidate."""
    from training.search import compete

    case = usecases.load(use_case)
    model, result = compete(case, case.candidate(candidate), train, validation, trials=trials, seed=seed)
    log_metadata({case.metric.name: result.scores.overall.value, "seconds": result.seconds})
    return model, result


# MLflow hears of all candidates here, and not of each in its own step: those run side by side, and each would
# begin an MLflow run of its own.
@step(experiment_tracker=True)
def select(
    use_case: str, models: list[Pipeline], results: list[Result]
) -> tuple[Annotated[Pipeline, "model"], Annotated[Comparison, "comparison"]]:
    """Choose the candidate with the best score on the validation rows."""
    from tracking.runs import annotate, log_candidate
    from training.search import compare

    case = usecases.load(use_case)
    annotate(links.zenml_run())
    for result in results:
        metrics = {case.metric.name: result.scores.overall.value, "seconds": result.seconds}
        log_candidate(result.candidate, result.parameters, metrics)
    comparison = compare(case, results)
    names = [result.candidate for result in results]
    return models[names.index(comparison.winner)], comparison


@step(experiment_tracker=True)
def evaluate(
    use_case: str,
    comparison: Comparison,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    champion: int | None,
) -> Annotated[Evaluation, "evaluation"]:
    """Put the winner beside the champion (the baseline while there is none) on the same rows."""
    from tracking import apart, registry
    from tracking.runs import log_training
    from training.evaluation import evaluate

    case = usecases.load(use_case)
    winner = comparison.result(comparison.winner)
    if champion is None:
        reference, scores = comparison.results[0].candidate, comparison.results[0].scores
    else:
        reference = f"champion {champion}"
        predictions = apart.predict(case, registry.find(use_case, str(champion)), validation)
        scores = evaluate(case, predictions, validation, train)
    evaluation = Evaluation(
        candidate=winner.candidate,
        scores=winner.scores,
        reference=reference,
        reference_scores=scores,
        champion=champion,
    )
    name = case.metric.name
    metrics = {name: winner.scores.overall.value, f"reference_{name}": scores.overall.value}
    log_training({"candidate": winner.candidate, "reference": reference}, metrics)
    log_metadata({**metrics})
    return evaluation


@step(experiment_tracker=True)
def pair(
    use_case: str, model: Pipeline, validation: pd.DataFrame, champion: int
) -> Annotated[Difference, "difference"]:
    """Whether the winner is better than the champion beyond chance."""
    from tracking import apart, registry
    from training.difference import of_rows

    case = usecases.load(use_case)
    before = apart.predict(case, registry.find(use_case, str(champion)), validation)
    difference = of_rows(case, validation, case.predict(model, validation), before)
    log_metadata(difference.model_dump(exclude_none=True))
    return difference


@step(experiment_tracker=True)
def explain(
    use_case: str, model: Pipeline, validation: pd.DataFrame, seed: int
) -> tuple[Annotated[HTMLString, "explanation"], Annotated[Importances, "importances"]]:
    """Permutation importance and residuals, in ZenML's dashboard and among MLflow's artifacts."""
    from tracking.runs import log_files
    from training import explanation

    case = usecases.load(use_case)
    importances = explanation.permutation_importance(case, model, validation, seed=seed)
    truth = validation[case.target].to_numpy(dtype=float)
    plots = {
        "Permutation importance": explanation.importance_plot(case, importances),
        "Residuals": explanation.residual_plot(case, truth, case.predict(model, validation)),
    }
    page = explanation.page(f"{case.title}: what the model looks at", plots, importances)
    log_files({f"{name.lower().replace(' ', '_')}.png": plot for name, plot in plots.items()})
    log_files({"explanation.html": page})
    return HTMLString(page), importances


@step(experiment_tracker=True)
def register(
    plan: Plan, model: Pipeline, evaluation: Evaluation, comparison: Comparison, validation: pd.DataFrame
) -> Annotated[int, "version"]:
    """Register the winner with its provenance; the same model again keeps its version."""
    from serving.model import trusted_types
    from tracking import registry
    from training.profile import profile
    from training.provenance import provenance

    case = usecases.load(plan.use_case)
    context = get_step_context()
    predictions = case.predict(model, validation)
    rows = validation[[*case.request_columns, case.target]].assign(**{registry.PREDICTION: predictions})
    version = registry.register(
        plan.use_case,
        model,
        rows,
        provenance=provenance(
            plan,
            evaluation,
            comparison.result(comparison.winner),
            # Rows are split by time: the newest are among those that are judged by.
            newest_row=rows[case.moment].max() if case.moment else None,
            zenml_run=context.pipeline_run.name,
        ),
        profile=profile(rows[case.request_columns], predictions),
        trusted_types=trusted_types(model),
        # The artifact that the select step made: from the cache it is the same one.
        identity=str(context.inputs["model"][0].id),
        description=f"Trained by {links.zenml_run()}",
    )
    log_metadata(
        {
            "version": version.number,
            "mlflow_run": links.mlflow_run(version.run),
            "model_version": links.model_version(version.name, version.number),
        }
    )
    return version.number


@step
def gate(
    use_case: str, evaluation: Evaluation, difference: Difference | None = None
) -> Annotated[Judgement, "judgement"]:
    """Judge the winner by the use case's gates; with the `difference` it must be better than the champion."""
    from training.gates import judge

    judgement = judge(usecases.load(use_case), evaluation, difference)
    log_metadata({verdict.gate: verdict.passed for verdict in judgement.verdicts})
    return judgement


# Not cached: it changes the registry, so what it did once says nothing about what the registry holds now.
@step(enable_cache=False, experiment_tracker=True)
def promote(
    use_case: str, version: int, judgement: Judgement, champion: int | None
) -> Annotated[Promotion, "promotion"]:
    """Make the version champion when all gates passed, challenger otherwise.

    Raises:
        TrackingError: `champion`, which it was judged against, was replaced meanwhile.
    """
    from tracking import registry
    from tracking.runs import annotate

    # The run's own page is told by this step, since it is never cached.
    tracked = annotate(links.zenml_run())
    links.show(
        {"mlflow_run": links.mlflow_run(tracked), "model_version": links.model_version(use_case, version)}
    )
    candidate = registry.find(use_case, str(version))
    before = registry.champion(use_case)
    stands = before is not None and before.number == version
    now = before.number if before else None
    if not stands and now != champion:
        raise TrackingError(
            f"{use_case} version {version} was judged against {_named(champion)}, but another training made "
            f"{_named(now)} meanwhile. Train again: it takes little, all else is cached."
        )
    if not stands and judgement.passed:
        registry.crown(candidate)
    elif not stands:
        registry.challenge(candidate)
    if not stands:
        # A champion that was trained again was judged beside itself.
        registry.add_judgement(candidate, {"champion": champion, **judgement.model_dump(mode="json")})
    promotion = Promotion(
        version=version,
        before=now,
        promoted=judgement.passed and not stands,
        stands=stands,
    )
    log_metadata(promotion.model_dump(exclude_none=True))
    if not stands and not judgement.passed:
        _tell(use_case, version, judgement, now)
    return promotion


@step(experiment_tracker=True)
def describe(
    use_case: str, version: int, evaluation: Evaluation, judgement: Judgement, importances: Importances
) -> Annotated[MarkdownString, "card"]:
    """Write the version's card, for the dashboard and beside the version."""
    from tracking import registry
    from training.card import FILE, card

    registered = registry.find(use_case, str(version))
    text = card(
        usecases.load(use_case),
        version,
        registry.provenance(registered),
        registry.profile(registered),
        evaluation,
        judgement,
        importances,
    )
    registry.attach(registered, FILE, text)
    return MarkdownString(text)


def _tell(use_case: str, version: int, judgement: Judgement, champion: int | None) -> None:
    from alerts import Alert, send
    from settings import Settings

    reasons = [f"{each.gate}: {each.reason}" for each in judgement.verdicts if not each.passed]
    kept = f"The champion is still version {champion}." if champion else "There is no champion yet."
    send(
        Settings(),
        Alert(
            "gate failed",
            use_case,
            f"{use_case} version {version} does not become champion",
            f"A gate was not passed. {'; '.join(reasons)}. {kept}",
            {"run": links.this_run()},
        ),
    )


def _named(champion: int | None) -> str:
    return "no champion" if champion is None else f"champion {champion}"
