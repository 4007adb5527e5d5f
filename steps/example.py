"""The three steps of the hello world; each ends with a check of what it made."""

from typing import Annotated

import pandas as pd
from upath import UPath
from zenml import log_metadata, step


# Never from the cache: the hello world is there to be seen working.
@step(enable_cache=False)
def load_titanic() -> Annotated[pd.DataFrame, "titanic"]:
    """The passenger list; checks that it has rows and the columns that are needed."""
    from usecases.titanic import example

    return example.load_titanic()


@step(enable_cache=False)
def fill_in_missing_values(titanic: pd.DataFrame) -> Annotated[pd.DataFrame, "titanic_clean"]:
    """Keep the numeric columns and fill gaps with the upper median; checks that none is left."""
    from usecases.titanic import example

    return example.fill_in_missing_values(titanic)


@step(enable_cache=False)
def export_titanic_clean(titanic: pd.DataFrame, folder: str) -> Annotated[str, "file"]:
    """Write the rows as CSV; checks that the file reads back the same."""
    from usecases.titanic import example

    path = UPath(folder) / example.EXPORTED
    example.export_titanic_clean(titanic, path)
    log_metadata({"file": str(path), "rows": len(titanic)})
    return str(path)
