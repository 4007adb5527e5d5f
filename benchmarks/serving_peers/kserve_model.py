"""KServe's SDK with a model class of one's own, as its guide has it."""

from __future__ import annotations

import argparse
from typing import Any

from kserve import Model, ModelServer, model_server

from benchmarks.serving_peers.pipeline import Pipeline


class Taxi(Model):
    """Version 1 of the protocol: `{"instances": [trip]}`."""

    def __init__(self) -> None:
        super().__init__("taxi")
        self.pipeline = Pipeline()
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:  # noqa: ARG002
        return {"predictions": [self.pipeline.of_values(trip) for trip in payload["instances"]]}


if __name__ == "__main__":
    arguments, _ = argparse.ArgumentParser(parents=[model_server.parser]).parse_known_args()
    ModelServer(workers=1).start([Taxi()])
