"""A frame as MLServer's codec encodes it, on the first line; then MLServer's reading of the answer."""

import json
import sys

import pandas as pd
from mlserver.codecs import PandasCodec
from mlserver.types import InferenceResponse, MetadataModelResponse

frame = pd.DataFrame(json.loads(sys.argv[1]))
print(PandasCodec.encode_request(frame, use_bytes=False).model_dump_json(exclude_none=True), flush=True)
MetadataModelResponse.model_validate_json(sys.stdin.readline())
answer = InferenceResponse.model_validate_json(sys.stdin.readline())
print(PandasCodec.decode_response(answer).to_json())
