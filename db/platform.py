"""A platform's records, asked for at its MLflow server by those who may not reach PostgreSQL.

stacks/platform/records.py is the other side of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from errors import ModelyardError

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Platform:
    """The records at one server; what is asked for and not done raises `error`."""

    url: str
    """Of MLflow's server."""
    username: str
    password: str = field(repr=False)

    what: ClassVar[str] = "The platform"
    """What is asked, in an error's words."""
    error: ClassVar[type[ModelyardError]] = ModelyardError
    seconds: ClassVar[float] = 20.0
    """So long each part of an answer may take."""

    @classmethod
    def of_environment(cls) -> Self:
        """The records beside the MLflow that this process works with.

        Raises:
            ModelyardError: its address or the login to it is not in the environment.
        """
        url = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not is_address(url):
            raise cls.error(
                f"{cls.what} is asked for at MLflow's server: MLFLOW_TRACKING_URI must be its "
                f"address, http://… or https://…; it is {url.partition(':')[0] + ':…' if url else 'not set'}."
            )
        try:
            return cls(url, os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
        except KeyError as error:
            raise cls.error(f"{cls.what} at {url} is for those who log in; set {error.args[0]}.") from None

    def ask(self, method: str, path: str, done: int, **content: Any) -> httpx.Response:
        """The answer, which has the status `done`."""
        with self.asking(method, path, done, **content) as answer:
            answer.read()
            return answer

    @contextmanager
    def asking(self, method: str, path: str, done: int, **content: Any) -> Iterator[httpx.Response]:
        """The same, to be read in the block, bit by bit."""
        import httpx

        url = f"{self.url.rstrip('/')}{path}"
        # What was not connected was not done: it can be tried again. Proxies are for the way out.
        transport = httpx.HTTPTransport(retries=1)
        try:
            with (
                httpx.Client(
                    auth=(self.username, self.password),
                    timeout=self.seconds,
                    trust_env=False,
                    transport=transport,
                ) as http,
                http.stream(method, url, **content) as answer,
            ):
                if answer.status_code != done:
                    answer.read()
                    raise self.error(f"{self.what} at {url} refused: {_reason(answer)}")
                yield answer
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self.error(
                f"{self.what} at {url} does not answer: {error or type(error).__name__}. "
                "Is the platform up, and its MLflow server at this address?"
            ) from error


def is_address(url: str) -> bool:
    """Whether it is one of a server that is asked by HTTP."""
    return url.startswith(("http://", "https://"))


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
