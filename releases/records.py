"""The record of releases of a platform, reached through its MLflow server (stacks/platform/records.py)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from db.recorded import PATH, Recorded
from errors import ReleaseError

if TYPE_CHECKING:
    import httpx

SECONDS = 20.0
_LISTED = TypeAdapter(list[Recorded])


@dataclass(frozen=True)
class Records:
    """The record at one server. Each method raises ReleaseError when what it asks for is not done."""

    url: str
    """Of MLflow's server."""
    username: str
    password: str = field(repr=False)

    @classmethod
    def of_environment(cls) -> Records:
        """The record beside the MLflow that this process works with.

        Raises:
            ReleaseError: its address or the login to it is not in the environment.
        """
        url = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not url.startswith(("http://", "https://")):
            raise ReleaseError(
                "The record of releases is asked for at MLflow's server: MLFLOW_TRACKING_URI must be its "
                f"address, http://… or https://…; it is {url.partition(':')[0] + ':…' if url else 'not set'}."
            )
        try:
            return cls(url, os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
        except KeyError as error:
            raise ReleaseError(
                f"The record of releases at {url} is for those who log in; set {error.args[0]}."
            ) from None

    def begin(
        self,
        *,
        use_case: str,
        model_version: int,
        bento: str,
        target: str,
        released_by: str,
        zenml_run: str | None = None,
        image: str | None = None,
        why: str | None = None,
    ) -> int:
        """Note that a release has begun; returns its id."""
        body = {
            "use_case": use_case,
            "model_version": model_version,
            "bento": bento,
            "target": target,
            "released_by": released_by,
            "zenml_run": zenml_run,
            "image": image,
            "why": why,
        }
        return int(self._ask("POST", "", 201, json=body).json()["id"])

    def canary(self, release: int, address: str, reason: str | None = None) -> None:
        """The release takes a share from now on, beside the one that serves."""
        self._tell(release, "canary", address=address, reason=reason)

    def serve(self, release: int, address: str) -> None:
        """The release serves from now on, and whichever served before is superseded."""
        self._tell(release, "serve", address=address)

    def fail(self, release: int, reason: str) -> None:
        """The release was given up."""
        self._tell(release, "fail", reason=reason)

    def withdraw(self, release: int, reason: str) -> None:
        """The canary was taken back."""
        self._tell(release, "withdraw", reason=reason)

    def stop(self, release: int, reason: str) -> None:
        """The release no longer serves."""
        self._tell(release, "stop", reason=reason)

    def history(self, use_case: str | None = None, target: str | None = None) -> list[Recorded]:
        """The newest releases first: all of them, or those of a use case or a target."""
        asked = {"use_case": use_case, "target": target}
        answer = self._ask("GET", "", 200, params={name: value for name, value in asked.items() if value})
        try:
            return _LISTED.validate_json(answer.content)
        except ValidationError as error:
            raise ReleaseError(
                f"What {answer.url} answers is no list of releases; is it the address of a platform's "
                f"MLflow server? {error.errors()[0]['msg']}"
            ) from None

    def _tell(self, release: int, change: str, **body: str | None) -> None:
        self._ask("POST", f"/{release}/{change}", 204, json=body)

    def _ask(self, method: str, path: str, done: int, **content: Any) -> httpx.Response:
        import httpx

        url = f"{self.url.rstrip('/')}{PATH}{path}"
        # What was not connected was not done: it can be tried again. Proxies are for the way out.
        transport = httpx.HTTPTransport(retries=1)
        try:
            with httpx.Client(
                auth=(self.username, self.password), timeout=SECONDS, trust_env=False, transport=transport
            ) as http:
                answer = http.request(method, url, **content)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ReleaseError(
                f"The record of releases at {url} does not answer: {error or type(error).__name__}. "
                "Is the platform up, and its MLflow server at this address?"
            ) from error
        if answer.status_code != done:
            raise ReleaseError(f"The record of releases at {url} refused: {_reason(answer)}")
        return answer


def _reason(answer: httpx.Response) -> str:
    if answer.status_code == 401:
        return "the login is wrong (401). Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
    try:
        return f"{answer.json()['error']} ({answer.status_code})"
    except (ValueError, KeyError, TypeError):
        return (
            f"{answer.status_code} {answer.reason_phrase}, not in the words of this project. "
            "Either another server is at this address, or the platform is older than this code: upgrade it."
        )
