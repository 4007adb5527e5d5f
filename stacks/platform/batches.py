"""The record of batches, for laptops (records.py serves it).

GET  /modelyard/batches?use_case=…      those that count, in the order in which they came
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db import batches
from ingestion.record import PATH
from stacks.platform.bodies import Text


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    use_case: Text


def routes(database: str) -> list[Route]:
    """Those of the batches in the database at this URL."""

    async def loaded(request: Request) -> Response:
        asked = _Asked.model_validate(dict(request.query_params))
        found = await run_in_threadpool(batches.loaded, database, asked.use_case)
        return JSONResponse([batch.model_dump(mode="json") for batch in found])

    return [Route(PATH, loaded)]
