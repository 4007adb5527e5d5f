"""What texts and numbers may be in what the platform's records are asked and told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

# PostgreSQL's texts hold any sign but this one.
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]
Version = Annotated[int, Field(ge=1, lt=2**31)]
