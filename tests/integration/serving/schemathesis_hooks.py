"""What schemathesis is told: to it 2.0 is an integer, as in JSON Schema; endpoints want it written as 2."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if isinstance(case.body, dict | list):
        case.body = _written(case.body)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_written(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
