from __future__ import annotations

import pytest

from tests import charts


@pytest.fixture
def objects(request: pytest.FixtureRequest) -> list[charts.Object]:
    """What the chart makes of a case's values."""
    return charts.render(examples=charts.CASES[getattr(request, "param", "default")])
