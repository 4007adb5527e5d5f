"""`predict`: one request, or every row of a file, through the use case's endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from console.progress import Progress
    from serving import client
    from settings import Settings

Document = dict[str, Any]


def predict(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    request: str | None,
    file: Path | None,
    output: Path | None,
) -> Document:
    """Ask the endpoint of `use_case` for one request, or for the rows of `file`, written to `output`.

    Raises:
        UsageError: neither or both were given, or the request is not JSON.
        DataError: the file cannot be read, or the endpoint refuses a row.
        ReleaseError: no endpoint serves the use case.
    """
    import usecases
    from console.releases import endpoint as endpoint_of
    from serving import client

    case = usecases.load(use_case)
    if (request is None) == (file is None):
        example = json.dumps(dict(case.example))
        raise UsageError(
            "Give either one request as JSON, or --file with many. For example:\n"
            f"  python run.py predict {use_case} '{example}'"
        )
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if request is not None:
        try:
            content = json.loads(request)
        except json.JSONDecodeError as error:
            raise UsageError(f"The request is not JSON: {error}. It came as: {request[:200]}") from None
        with endpoint_of(settings, stack, use_case) as address, client.connect(address, key) as endpoint:
            return {"use_case": use_case, "address": address, "response": endpoint.predict(content)}

    from serving import rows

    assert file is not None
    written = output or file.with_name(f"{file.stem}-predictions{file.suffix}")
    _check_output(written, file)
    frame = _read(file)
    requests = rows.requests(case.contract, frame)
    with (
        progress.stage(f"predict {len(frame):,} rows"),
        endpoint_of(settings, stack, use_case) as address,
        client.connect(address, key) as endpoint,
    ):
        answers = endpoint.predict_many(requests)
    refused = {row: answer.reason for row, answer in enumerate(answers) if isinstance(answer, client.Refused)}
    if len(refused) == len(frame):
        raise DataError(f"The endpoint refused every row of {file}; the first: {refused[0]}.")
    _write(_with_answers(frame, answers), written)
    return {
        "use_case": use_case,
        "address": address,
        "rows": len(frame),
        "refused": {str(row): reason for row, reason in refused.items()},
        "file": str(written),
    }


def _with_answers(frame: pd.DataFrame, answers: list[dict[str, Any] | client.Refused]) -> pd.DataFrame:
    """`frame` with a column for each field of the answers, and `refused` with the reason for none."""
    import pandas as pd

    from serving.client import Refused

    columns = [
        {"refused": row.reason} if isinstance(row, Refused) else {**row, "refused": None} for row in answers
    ]
    found = pd.DataFrame(columns, index=frame.index).convert_dtypes()
    clash = sorted(set(found.columns) & set(frame.columns))
    return frame.drop(columns=clash).join(found)


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {file} as {_format(file)}: {error}") from error
    if frame.empty:
        raise DataError(f"{file} has no rows.")
    return frame


def _write(frame: pd.DataFrame, file: Path) -> None:
    """Under another name first: a full disk leaves no half file under this one."""
    draft = file.with_name(f".{file.name}.part")
    try:
        if file.suffix == ".csv":
            frame.to_csv(draft, index=False)
        else:
            frame.to_parquet(draft, index=False)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DataError(f"Cannot write {file}: {error}") from error


def _check_output(output: Path, file: Path) -> None:
    for path in (file, output):
        if path.suffix not in (".csv", ".parquet"):
            raise UsageError(f"Files may be .csv or .parquet; {path.name} is neither.")
    if output.resolve() == file.resolve():
        raise UsageError(f"--output would overwrite {file}; name another file.")


def _format(file: Path) -> str:
    return "CSV" if file.suffix == ".csv" else "parquet"
