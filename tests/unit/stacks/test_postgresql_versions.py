"""ZenML on PostgreSQL refuses a ZenML that it was not tested with."""

from __future__ import annotations

from pathlib import Path

import pytest
import zenml

from stacks import postgresql
from stacks.postgresql import TESTED_VERSIONS, UntestedVersion, install


def test_the_locked_zenml_is_the_one_to_run() -> None:
    assert zenml.__version__ == next(iter(TESTED_VERSIONS))


def test_the_readme_says_of_each_version_what_was_tested() -> None:
    readme = Path(postgresql.__file__).with_name("README.md").read_text()
    rows = "".join(f"| {version} | {tested} |\n" for version, tested in TESTED_VERSIONS.items())
    assert f"| ZenML | tested |\n|---|---|\n{rows}\n" in readme


def test_another_version_is_refused_with_all_versions_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zenml, "__version__", "0.99.1")
    with pytest.raises(UntestedVersion, match=r"0\.98\.0, 0\.94\.0; 0\.99\.1.*Install zenml==0\.98\.0"):
        install()
