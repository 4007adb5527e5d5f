"""MLServer with a runtime of one's own: each field of a trip is an input of version 2 of the protocol."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving_peers.pipeline import Pipeline


class Taxi(MLModel):
    """Its own scikit-learn runtime takes a file made by pickle, and no times or missing values."""

    async def load(self) -> bool:
        self.pipeline = Pipeline()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        import numpy as np

        values = {tensor.name: tensor.data.root[0] for tensor in payload.inputs}
        minutes = np.array([self.pipeline.of_values(values)])
        output = NumpyCodec.encode_output("duration_minutes", minutes)
        return InferenceResponse(model_name=self.name, outputs=[output])
