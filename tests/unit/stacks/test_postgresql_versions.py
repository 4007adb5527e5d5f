"""ZenML on PostgreSQL refuses a ZenML that it was not tested with."""

from __future__ import annotations

import pytest
import zenml

from stacks.postgresql import TESTED_VERSION, UntestedVersion, install


def test_the_locked_zenml_is_the_tested_one() -> None:
    assert zenml.__version__ == TESTED_VERSION


def test_another_version_is_refused_with_both_versions_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zenml, "__version__", "0.99.1")
    with pytest.raises(UntestedVersion, match=r"(?s)0\.98\.0.*0\.99\.1.*Install zenml==0\.98\.0"):
        install()
