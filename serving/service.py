"""The BentoML service of every Bento, whichever use case it serves.

A Bento's own `service.py` is two lines that call `service_of` with the folder that they lie in.
"""

from __future__ import annotations

import ctypes
import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml

from serving.endpoint import PROVENANCE, load
from serving.http.front import front
from serving.worker import Worker, surroundings

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

REQUEST_SECONDS = 5
"""BentoML keeps what belongs to a request for this long, answered or not: the shorter, the less memory."""


class FastService(bentoml.Service[Any]):  # type: ignore[misc]  # its class is hidden by a decorator
    """A service whose own routes are the outermost layer, around BentoML's application."""

    def to_asgi(self, is_main: bool = True) -> ASGI3Application:
        """BentoML's application, which hears of little but probes."""

        def worker() -> Worker:
            made: Worker | None = self.inner.worker
            assert made is not None, "BentoML makes the model before it takes requests."
            return made

        return front(super().to_asgi(is_main), worker)


def _give_back() -> None:
    """Memory that loading needed goes back to the system: 40 MB for a large ensemble of trees."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others give it back by themselves
    if trim is not None:
        trim(0)


def service_of(folder: Path) -> bentoml.Service[Any]:
    """The service over the model in `folder`; nothing is loaded before it starts."""

    class Model:
        """The model of this Bento, and all that answers for it."""

        worker: Worker | None = None

        def __init__(self) -> None:
            type(self).worker = Worker(load(folder), surroundings())
            # What lives as long as the process is no garbage: without it, a collection takes 0.1 s and more.
            gc.collect()
            gc.freeze()
            _give_back()

        async def __is_ready__(self) -> bool:
            return self.worker is not None

    provenance = json.loads((folder / PROVENANCE).read_text())
    return FastService(
        name=provenance["use_case"],
        config={
            "workers": 1,
            "traffic": {"timeout": REQUEST_SECONDS},
            "logging": {"access": {"enabled": False}},
        },
        inner=Model,
        description=f"Version {provenance['model_version']} of the model {provenance['use_case']}.",
        envs=[{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    )
