"""Whether a cluster runs what is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releases.earlier import serving
from releases.kubernetes import stream
from releases.kubernetes.manifests import canary_name, stream_name
from releases.kubernetes.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.recorded import Recorded
    from releases.kubernetes.place import Place


def drift(place: Place, use_case: str, known: Sequence[Recorded]) -> list[str]:
    """What differs between the cluster and the record (the newest release first), a sentence each.

    Raises:
        ReleaseError: the cluster does not answer, or refuses.
    """
    objects = Objects(place.api, place.namespace, use_case)
    live, now = objects.live(objects.name), serving(known)
    found = []
    if live is None and now is not None:
        found.append(
            f"On record release {now.id} serves; there is no Deployment {use_case} in {place.namespace}."
        )
    elif live is not None and (now is None or live.image != now.image):
        recorded = f"release {now.id} serves version {now.model_version}" if now else "nothing serves"
        found.append(
            f"On record {recorded}; the cluster runs version {live.model_version}, {live.image}. "
            f"Somebody applied that without a release; `release {use_case}` puts both right."
        )
    elif live is not None and not live.complete:
        found.append(f"Not all {live.replicas} pods of {use_case} are ready.")
    trying = any(one.status in ("rolling_out", "canary") for one in known)
    if not trying and objects.live(canary_name(use_case)) is not None:
        found.append(f"The cluster has a canary of {use_case}, and no release of it is under way.")
    if (scoring := stream.look(place, use_case)) is not None:
        if now is not None and scoring.image != now.image:
            found.append(
                f"On record version {now.model_version} serves; {stream_name(use_case)} scores by version "
                f"{scoring.model_version}. `release {use_case}` moves it."
            )
        elif not scoring.complete:
            found.append(f"Not all {scoring.replicas} workers of {stream_name(use_case)} are ready.")
    return found
