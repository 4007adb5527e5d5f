"""What can go, and what must stay: champions, released versions, and everything that made them.

Reading is done by SQL, since it is about all rows at once; deleting is left to ZenML and MLflow (collect.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

import usecases
from db.databases import Databases
from db.session import connect
from tracking import registry
from upkeep.keep import Keep

YOUNG = timedelta(days=1)
"""What nothing names yet may be a step's that is at work."""
ABANDONED = timedelta(days=7)
"""A run that was killed is `running` for ever; after this time it is taken for one."""

_RUNS = "SELECT id, name, created, status, pipeline_id FROM pipeline_run"
# A cached step took over the outputs of another one; that one's run is where they come from.
_ORIGINS = """
SELECT DISTINCT cached.pipeline_run_id, original.pipeline_run_id
FROM step_run cached JOIN step_run original ON original.id = cached.original_step_run_id
WHERE cached.pipeline_run_id <> original.pipeline_run_id
"""
# Artifacts of steps that no remaining run, no hook and no ZenML model has to do with, nor a step that may be
# at work now. What a person saved by hand is not ours to judge.
_ARTIFACTS = """
WITH linked (artifact_id, goes) AS (
  SELECT o.artifact_id, s.pipeline_run_id = ANY(:runs)
  FROM step_run_output_artifact o JOIN step_run s ON s.id = o.step_id
  UNION ALL
  SELECT i.artifact_id, s.pipeline_run_id = ANY(:runs)
  FROM step_run_input_artifact i JOIN step_run s ON s.id = i.step_id
  UNION ALL SELECT artifact_id, pipeline_run_id = ANY(:runs) FROM pipeline_run_output
  UNION ALL SELECT artifact_version_id, false FROM hook_invocation_output_artifact
  UNION ALL SELECT artifact_version_id, false FROM model_versions_artifacts
),
links AS (SELECT artifact_id, bool_and(goes) AS go FROM linked GROUP BY artifact_id)
SELECT v.id FROM artifact_version v LEFT JOIN links ON links.artifact_id = v.id
WHERE v.save_type = 'step_output' AND coalesce(links.go, v.created < :young)
"""
# Where artifacts and logs are, and whether what names them goes.
_URIS = """
SELECT uri, id = ANY(:artifacts) AS goes FROM artifact_version
UNION ALL
SELECT l.uri, (l.pipeline_run_id = ANY(:runs) OR s.pipeline_run_id = ANY(:runs)) IS TRUE
FROM logs l LEFT JOIN step_run s ON s.id = l.step_run_id
"""
_KEPT = "SELECT name FROM pipeline_run WHERE NOT id = ANY(:runs)"
_MLFLOW_RUNS = """
SELECT r.run_uuid, r.name, r.artifact_uri, parent.value, ours.value IS NOT NULL
FROM runs r
LEFT JOIN tags parent ON parent.run_uuid = r.run_uuid AND parent.key = 'mlflow.parentRunId'
LEFT JOIN tags ours ON ours.run_uuid = r.run_uuid AND ours.key = 'zenml'
"""
_LOGGED_MODELS = "SELECT model_id, source_run_id, artifact_location FROM logged_models"
_APPROVED = "SELECT use_case, model_version FROM approvals"
_RELEASES = "SELECT use_case, model_version, bento, status, created_at, verified_at, zenml_run FROM releases"


@dataclass(frozen=True)
class Plan:
    """What can go, by its kind, and why which versions stay."""

    runs: Mapping[str, str]
    """ZenML's runs: name by id."""
    artifacts: Sequence[str]
    """ZenML's artifact versions: ids."""
    versions: Sequence[registry.Version]
    mlflow_runs: Sequence[str]
    logged_models: Sequence[str]
    bentos: Mapping[str, Path]
    """Folder by tag, `name:version`."""
    paths: Sequence[Path]
    """Files and folders of what ZenML and MLflow give up, and those that nothing names."""
    stays: Mapping[str, str]
    """Why a version stays, by `name version`."""

    @property
    def bytes(self) -> int:
        """How much room the files take."""
        return sum(
            file.stat().st_size for path in (*self.paths, *self.bentos.values()) for file in _files(path)
        )


def plan(home: Path, databases: Databases, keep: Keep, now: datetime) -> Plan:
    """What can go, at the time `now` in UTC."""
    with connect(databases.modelyard) as connection:
        releases = connection.execute(text(_RELEASES)).all()
        approved = {tuple(row) for row in connection.execute(text(_APPROVED))}
    stays, leaves = _versions(releases, approved, keep, now)
    with connect(databases.zenml) as connection:
        runs = _runs(connection, keep, now, needed=_run_names(stays, releases))
        gone = {"runs": list(runs), "young": _plain(now - YOUNG)}
        artifacts = connection.execute(text(_ARTIFACTS), gone).scalars().all()
        uris = connection.execute(text(_URIS), {**gone, "artifacts": artifacts}).all()
        kept = set(connection.execute(text(_KEPT), gone).scalars())
    with connect(databases.mlflow) as connection:
        mlflow_runs, models = _tracked(connection, kept, {version.run for version, _ in stays})
    # One file may have two names.
    needed = {uri for uri, goes in uris if not goes}
    given_up = {uri for uri, _ in uris}.union(mlflow_runs.values(), models.values()) - needed
    return Plan(
        runs=runs,
        artifacts=artifacts,
        versions=leaves,
        mlflow_runs=list(mlflow_runs),
        logged_models=list(models),
        bentos=_bentos(home, releases, stays, keep, now),
        paths=sorted(
            {path for path in map(Path, given_up) if path.exists()}.union(
                _unnamed(home / "artifacts", needed | given_up, now)
            )
        ),
        stays={f"{version.name} {version.number}": reason for version, reason in stays},
    )


def _versions(
    releases: Sequence[Any], approved: Set[tuple[Any, ...]], keep: Keep, now: datetime
) -> tuple[list[tuple[registry.Version, str]], list[registry.Version]]:
    """Registered versions that stay, each with the reason, and those that don't."""
    released = {
        (row.use_case, row.model_version)
        for row in releases
        if row.verified_at or row.status == "rolling_out"
    }
    stays, leaves = [], []
    for name in usecases.names():
        versions = registry.versions(name)
        aliases = {
            found.number: alias
            for alias in (registry.CHALLENGER, registry.CHAMPION)
            if (found := registry.aliased(name, alias))
        }
        new = {version.number for version in keep.of(versions, _trained_at, now)}
        for version in versions:
            if version.number in aliases:
                stays.append((version, aliases[version.number]))
            elif (name, version.number) in released:
                stays.append((version, "released"))
            elif (name, version.number) in approved:
                stays.append((version, "approved"))
            elif version.number in new:
                stays.append((version, "new"))
            else:
                leaves.append(version)
    return stays, leaves


def _trained_at(version: registry.Version) -> datetime:
    return datetime.fromisoformat(version.tags["trained_at"])


def _run_names(stays: Iterable[tuple[registry.Version, str]], releases: Sequence[Any]) -> set[str]:
    """Names of the ZenML runs that made what stays, and that released what serves."""
    trained = {version.tags["zenml_run"] for version, _ in stays}
    return trained | {row.zenml_run for row in releases if row.status in ("serving", "canary", "rolling_out")}


def _runs(connection: Connection, keep: Keep, now: datetime, needed: set[str]) -> dict[str, str]:
    """ZenML's runs that can go: name by id."""
    from zenml.enums import ExecutionStatus

    runs = connection.execute(text(_RUNS)).all()
    staying: set[str] = set()
    for pipeline in {run.pipeline_id for run in runs}:
        own = [run for run in runs if run.pipeline_id == pipeline]
        staying |= {run.id for run in keep.of(own, lambda run: run.created, _plain(now))}
    staying |= {
        run.id
        for run in runs
        if not ExecutionStatus(run.status).is_finished and _plain(now) - run.created < ABANDONED
    }
    origins: dict[str, set[str]] = {}
    for cached, original in connection.execute(text(_ORIGINS)).all():
        origins.setdefault(cached, set()).add(original)
    lineage = {run.id for run in runs if run.name in needed}
    asked = list(lineage)
    while asked:
        new = origins.get(asked.pop(), set()) - lineage
        lineage |= new
        asked += new
    staying |= lineage
    return {run.id: run.name for run in runs if run.id not in staying}


def _tracked(
    connection: Connection, kept: set[str], needed: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """MLflow's runs and logged models that can go: artifact folder by id.

    Only runs that ZenML's tracker made, which have the name of a ZenML run, and what is nested in them.
    """
    runs = connection.execute(text(_MLFLOW_RUNS)).all()
    gone = {run[0] for run in runs if run[4] and run[1] not in kept and run[0] not in needed}
    gone |= {run[0] for run in runs if run[3] in gone}
    models = connection.execute(text(_LOGGED_MODELS)).all()
    return (
        {run[0]: run[2] for run in runs if run[0] in gone},
        {model[0]: model[2] for model in models if model[1] in gone},
    )


def _bentos(
    home: Path,
    releases: Sequence[Any],
    stays: Iterable[tuple[registry.Version, str]],
    keep: Keep,
    now: datetime,
) -> dict[str, Path]:
    """Folders of Bentos that can go, by tag: neither a champion's nor one that serves, nor new.

    A released version's Bento is made again, the same one, when it is released again.
    """
    needed = {row.bento for row in releases if row.status in ("serving", "canary", "rolling_out")}
    for name in {row.use_case for row in releases}:
        own = [row for row in releases if row.use_case == name]
        needed |= {row.bento for row in keep.of(own, lambda row: row.created_at, now)}
    champions = {(version.name, version.number) for version, reason in stays if reason == registry.CHAMPION}
    needed |= {row.bento for row in releases if (row.use_case, row.model_version) in champions}
    store = home / "bentoml" / "bentos"
    found = {f"{path.parent.name}:{path.name}": path for path in store.glob("*/*") if path.is_dir()}
    return {tag: path for tag, path in found.items() if tag not in needed}


def _unnamed(folder: Path, named: set[str], now: datetime) -> Iterator[Path]:
    """Old files that no row names, nor a folder that they are in: of steps that were killed.

    MLflow's folder is left to MLflow.
    """
    for file in _files(folder):
        if (
            folder / "mlflow"
        ) in file.parents or now.timestamp() - file.stat().st_mtime < YOUNG.total_seconds():
            continue
        if named.isdisjoint(map(str, (file, *file.parents))):
            yield file


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.is_file())


def _plain(moment: datetime) -> datetime:
    """As ZenML's columns have it: in UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
