"""How many processes an endpoint has: as many as its container may use whole cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import workers


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 1),
        ({"cpu.max": "max 100000\n"}, 1),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "390000 100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
    ],
)
def test_workers_follow_the_limit_of_either_version_of_control_groups(
    files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert workers.whole_cores(tmp_path) == cores
