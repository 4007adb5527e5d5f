"""A process that predicts by trees: it takes no more than it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import usecases
from serving.compile import compile_model
from settings import PROJECT
from tests.problems import fast, fitted

_PREDICT = """
import json, sys
from pathlib import Path
import usecases
from serving import compiled

contract = usecases.contract_of("taxi")
model = compiled.load(Path(sys.argv[1]), contract)
request = contract.request.model_validate_json(json.dumps(contract.example))
json.dump([model.predict(request), sorted({name.partition(".")[0] for name in sys.modules})], sys.stdout)
"""


def test_it_predicts_the_same_bits_without_onnxruntime_scikit_learn_and_pandas(tmp_path: Path) -> None:
    taxi = usecases.load("taxi")
    compile_model(taxi, fitted("taxi", "gradient_boosting"), "gradient_boosting", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT, tmp_path], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    predicted, modules = json.loads(done.stdout)
    request = taxi.request.model_validate_json(json.dumps(dict(taxi.example)))
    assert predicted == fast("taxi", "gradient_boosting").predict(request)
    assert not {"onnxruntime", "onnx", "sklearn", "scipy", "pandas"} & set(modules)
