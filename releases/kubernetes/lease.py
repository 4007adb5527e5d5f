"""One release of a use case at a time: a Lease in the endpoints' namespace, which ends with its holder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from errors import ReleaseError
from stacks.kubernetes.connection import refusal

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

SECONDS = 30
"""So long after its last sign of life a holder counts as gone."""
_RENEW_SECONDS = 5


class Lease:
    """A Lease that this process holds, or held."""

    def __init__(self, api: ApiClient, namespace: str, name: str, holder: str) -> None:
        from kubernetes.client import CoordinationV1Api

        self._leases = CoordinationV1Api(api)
        self._namespace, self._name, self._holder = namespace, name, holder
        self._late: str | None = None
        """Why it could not be renewed in time."""
        self._ended = threading.Event()

    def require(self) -> None:
        """Make sure that this process still holds it.

        Raises:
            ReleaseError: somebody took it over, it was not renewed in time, or the cluster does not answer.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        lost = self._late
        try:
            holder = self._read().spec.holder_identity
        except (ApiException, HTTPError) as error:
            lost = f"the cluster does not answer ({error})."
        else:
            if holder != self._holder:
                lost = f"{holder or 'somebody'} took over."
        if lost:
            raise ReleaseError(f"This release was stopped on the way: {lost}")

    def acquire(self, *, take_over: bool) -> None:
        """Hold it from now on; by `take_over` also when somebody else does.

        Raises:
            ReleaseError: somebody else holds it.
        """
        from kubernetes.client import ApiException

        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": SECONDS, "leaseTransitions": 0}
        try:
            found = self._read()
        except ApiException as error:
            if error.status != 404:
                raise ReleaseError(refusal(error)) from None
            body = {"metadata": {"name": self._name}, "spec": spec | self._times()}
            self._contested(lambda: self._leases.create_namespaced_lease(self._namespace, body))
            return
        holder = found.spec.holder_identity
        if holder not in (None, self._holder) and not take_over and not _expired(found):
            raise ReleaseError(_busy(holder, found.spec.acquire_time))
        self._contested(lambda: self._replace(found, spec | self._times()))

    def keep(self) -> None:
        """Renew it until `give_back`, or until somebody else holds it."""
        last = datetime.now(UTC)
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                found = self._read()
                if found.spec.holder_identity != self._holder:
                    return
                self._replace(found, {"renewTime": _now()})
                last = datetime.now(UTC)
            except Exception as error:  # noqa: BLE001 - whatever it is, time decides
                if datetime.now(UTC) - last > timedelta(seconds=SECONDS):
                    self._late = f"the cluster did not answer for {SECONDS} s ({error})."
                    return

    def give_back(self) -> None:
        """Hold it no longer."""
        from kubernetes.client import ApiException

        self._ended.set()
        while True:
            try:
                found = self._read()
                if found.spec.holder_identity == self._holder:
                    self._replace(found, {"holderIdentity": None})
                return
            except ApiException as error:
                # A renewal that was under way, or somebody who took over, was faster: look again.
                if error.status == 409:
                    continue
                if error.status != 404:
                    raise ReleaseError(refusal(error)) from None
                return

    def _read(self) -> Any:
        return self._leases.read_namespaced_lease(self._name, self._namespace)

    def _replace(self, found: Any, changes: dict[str, Any]) -> None:
        body = self._leases.api_client.sanitize_for_serialization(found)
        body["spec"] = {key: value for key, value in (body["spec"] | changes).items() if value is not None}
        # With the version that was read: of two who do this at once one is refused.
        self._leases.replace_namespaced_lease(self._name, self._namespace, body)

    def _contested(self, write: Any) -> None:
        from kubernetes.client import ApiException

        try:
            write()
        except ApiException as error:
            if error.status != 409:
                raise ReleaseError(refusal(error)) from None
            raise ReleaseError(_busy("somebody who was faster", None)) from None

    def _times(self) -> dict[str, str]:
        return {"acquireTime": _now(), "renewTime": _now()}


@contextmanager
def held(
    api: ApiClient, namespace: str, name: str, holder: str, *, take_over: bool = False
) -> Iterator[Lease]:
    """Hold the Lease of that name.

    Raises:
        ReleaseError: somebody else holds it.
    """
    lease = Lease(api, namespace, name, holder)
    lease.acquire(take_over=take_over)
    keeper = threading.Thread(target=lease.keep, daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        lease.give_back()


def _expired(found: Any) -> bool:
    renewed = found.spec.renew_time
    lasts = timedelta(seconds=found.spec.lease_duration_seconds or SECONDS)
    return renewed is None or datetime.now(UTC) - renewed > lasts


def _busy(holder: str, since: datetime | None) -> str:
    when = f" since {since:%H:%M:%S} UTC" if since else ""
    return (
        f"Another release is under way, by {holder}{when}. Wait for its end; "
        "or `rollback`, which stops it and waits for nobody."
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
