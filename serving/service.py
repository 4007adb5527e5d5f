"""The BentoML service of every Bento, whichever use case it serves.

A Bento's own `service.py` is two lines that call `service_of` with the folder that they lie in.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.endpoint import PROVENANCE, Endpoint, load

if TYPE_CHECKING:
    import bentoml

REQUEST_SECONDS = 5
"""BentoML keeps what belongs to a request for this long, answered or not: the shorter, the less memory."""


def service_of(folder: Path) -> bentoml.Service[Any]:
    """The service over the model in `folder`; nothing is loaded before it starts."""
    import bentoml

    from serving.http import application

    class Model:
        """The model of this Bento."""

        endpoint: Endpoint | None = None

        def __init__(self) -> None:
            type(self).endpoint = load(folder)
            # What lives as long as the process is no garbage: without it, a collection takes 0.1 s and more.
            gc.collect()
            gc.freeze()

        async def __is_ready__(self) -> bool:
            return self.endpoint is not None

    def loaded() -> Endpoint:
        assert Model.endpoint is not None, "BentoML makes the model before it takes requests."
        return Model.endpoint

    provenance = json.loads((folder / PROVENANCE).read_text())
    service = bentoml.service(
        Model,
        name=provenance["use_case"],
        description=f"Version {provenance['model_version']} of the model {provenance['use_case']}.",
        workers=1,
        traffic={"timeout": REQUEST_SECONDS},
        logging={"access": {"enabled": False}},
        envs=[{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    )
    service.mount_asgi_app(application(loaded), path="/")
    return service
