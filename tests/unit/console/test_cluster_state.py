"""What a person reads of a cluster."""

from __future__ import annotations

from typing import Any

from console import cluster_state
from tests.integration.command_line import Done, read

NOTHING = {"champion": None, "score": None, "outdated": [], "endpoint": None}
NOTHING |= {"canary": None, "stream": None, "drift": [], "check": None}
ENDPOINT = {"address": "http://taxi.models.svc", "model_version": 3, "image": "taxi@sha256:12", "pods": 2}
TAXI = {
    "use_case": "taxi",
    "champion": 4,
    "score": 4.0489,
    "outdated": ["Its newest rows are of 2024-02-29."],
    "endpoint": ENDPOINT | {"ready": 1, "since": "2026-11-27T06:00:00+00:00"},
    "canary": 4,
    "stream": {"name": "taxi-stream", "version": 3, "image": "taxi@sha256:12", "workers": 2, "ready": 2},
    "drift": ["Not all 2 pods of taxi are ready."],
    "check": {"id": 7, "model_version": 3, "verdict": "watch", "until": "2026-11-27T05:00:00+00:00"},
}


def shown(*rows: dict[str, Any]) -> list[str]:
    where = {"cluster": "https://10.0.0.1:6443", "namespace": "modelyard", "endpoints": "models"}
    return read(cluster_state.report, Done(0, where | {"use_cases": list(rows)}, "")).splitlines()


def test_a_use_case_is_one_line_and_what_is_wrong_stands_below() -> None:
    head, _, _, taxi, _, wrong, old = shown(TAXI)
    assert "https://10.0.0.1:6443" in head
    words = ["version 4", "4.049", "http://taxi.models.svc", "version 3, canary 4", "1 of 2 ready"]
    for said in [*words, "version 3, 2 of 2 ready", "watch"]:
        assert said in taxi
    assert wrong == "Not all 2 pods of taxi are ready."
    assert old.startswith("taxi version 4 is outdated. Its newest rows are of")


def test_where_nothing_was_trained_or_released_it_says_so() -> None:
    *_, titanic = shown(NOTHING | {"use_case": "titanic"})
    assert titanic.split() == ["titanic", "none", "none", "none", "none"]
