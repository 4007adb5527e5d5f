"""Asks an endpoint with Triton's client, in both forms of tensors; runs where that client is installed."""

import json
import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

TYPES = {"INT64": np.int64, "FP64": np.float64, "BYTES": np.object_, "BOOL": np.bool_}


def main(url: str, model: str, columns: dict[str, list]) -> None:
    client = InferenceServerClient(url)
    metadata = client.get_model_metadata(model)
    said = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready() and client.is_model_ready(model),
        "server": client.get_server_metadata(),
        "model": metadata,
    }

    def inputs(binary: bool, nested: bool) -> list[InferInput]:
        made = []
        for tensor in metadata["inputs"]:
            if tensor["name"] in columns:
                values = np.array(columns[tensor["name"]], dtype=TYPES[tensor["datatype"]])
                values = values.reshape(-1, 1) if nested else values
                made.append(InferInput(tensor["name"], list(values.shape), tensor["datatype"]))
                made[-1].set_data_from_numpy(values, binary_data=binary)
        return made

    def read(result) -> dict[str, list]:
        names = [output["name"] for output in result.get_response()["outputs"]]
        return {name: result.as_numpy(name).tolist() for name in names}

    plain = [InferRequestedOutput(tensor["name"], binary_data=False) for tensor in metadata["outputs"]]
    binary = client.infer(model, inputs(binary=True, nested=False), request_id="one")
    said["binary"] = read(binary)
    said["id"] = binary.get_response()["id"]
    said["json"] = read(client.infer(model, inputs(binary=False, nested=True), outputs=plain))
    said["mixed"] = read(
        client.infer(model, inputs(binary=True, nested=True), outputs=plain[:1], model_version="7")
    )
    for name, bad in (
        ("unknown", ("other", inputs(True, False))),
        ("refused", (model, inputs(True, False)[1:])),
    ):
        try:
            client.infer(*bad)
        except InferenceServerException as error:
            said[name] = [error.status(), error.message()]
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
