"""The record of batches at a platform's server, for those who may not reach PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from db.batches import Recorded
from db.platform import Platform
from errors import DatabaseError

PATH = "/modelyard/batches"
"""Where a platform's MLflow server has it."""

_BATCHES = TypeAdapter(list[Recorded])


class Remote(Platform):
    """The batches as stacks/platform/batches.py tells of them."""

    what = "The record of batches"
    error = DatabaseError

    def loaded(self, use_case: str) -> Sequence[Recorded]:
        """Those that count, in the order in which they came."""
        return _BATCHES.validate_json(self.ask("GET", PATH, 200, params={"use_case": use_case}).content)
