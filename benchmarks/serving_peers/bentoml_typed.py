"""BentoML as its guide has it: a typed API over scikit-learn's pipeline, with the defaults."""

from __future__ import annotations

import bentoml

from benchmarks.serving_peers.pipeline import Pipeline
from usecases.taxi.contract import TripRequest, TripResponse, respond


@bentoml.service
class Taxi:
    """One trip in, one duration out."""

    def __init__(self) -> None:
        self.pipeline = Pipeline()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, trip: TripRequest) -> TripResponse:
        return respond(self.pipeline.of_request(trip))
