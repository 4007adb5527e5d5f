"""FastAPI with pydantic and scikit-learn's pipeline, predicting on the event loop."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.serving_peers.lax import Trip
from benchmarks.serving_peers.pipeline import Pipeline
from usecases.taxi.contract import TripResponse, respond

app = FastAPI()
pipeline = Pipeline()


@app.post("/predict")
async def predict(trip: Trip) -> TripResponse:
    return respond(pipeline.of_request(trip))
