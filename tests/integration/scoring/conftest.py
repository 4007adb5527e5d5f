"""One packed model, loaded as an endpoint loads it."""

from __future__ import annotations

import pytest

from serving import endpoint
from serving.endpoint import Endpoint
from tests.integration.releases.titanic import Built, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("bentos"), version=1, strength=0.1)


@pytest.fixture(scope="session")
def model(built: Built) -> Endpoint:
    return endpoint.load(built.bento.path / "src")
