"""FastAPI with pydantic and the compiled model."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.serving_peers import compiled_model
from benchmarks.serving_peers.lax import Trip
from usecases.taxi.contract import TripResponse, respond

app = FastAPI()
model = compiled_model.load()


@app.post("/predict")
async def predict(trip: Trip) -> TripResponse:
    return respond(model(trip))
