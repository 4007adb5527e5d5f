"""HTTP APIs that answer with JSON as a source, by dlt's client: pages, keys, waiting when told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from errors import DataError
from ingestion.chunks import Chunk, of_objects
from ingestion.secrets import secret
from ingestion.spec import Auth, Paging, RestSource

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.auth import AuthConfigBase
    from dlt.sources.helpers.rest_client.paginators import BasePaginator

_SECONDS = 30
_TRIES = 5
_LONGEST = 120
"""Seconds that it waits before it asks again."""


def read(source: RestSource, since: Any, size: int | None = None) -> Iterator[Chunk]:
    """The rows of all pages, `size` at once; of those from `since` on alone where the API is told the cursor.

    It waits as long as an answer's `Retry-After` says, and asks again when an answer breaks off.

    Raises:
        UsageError: the secret is not there.
        DataError: the API does not answer, refuses, or answers with something else.
    """
    from dlt.sources.helpers.requests import Client
    from dlt.sources.helpers.rest_client.client import RESTClient
    from requests import RequestException

    session = Client(
        request_timeout=_SECONDS,
        request_max_attempts=_TRIES,
        request_max_retry_delay=_LONGEST,
        raise_for_status=False,  # the client below does
    ).session
    client = RESTClient(
        source.url,
        auth=_auth(source.auth),
        paginator=_paginator(source.paging),
        data_selector=source.rows,
        session=session,
    )
    params: dict[str, Any] = dict(source.params)
    if source.cursor_param and since is not None:
        params[source.cursor_param] = since.isoformat() if hasattr(since, "isoformat") else since
    try:
        for page in client.paginate("", params=params):
            if bad := next((row for row in page if not isinstance(row, dict)), None):
                raise DataError(f"{source.url} has no rows at `{source.rows}`, but {type(bad).__name__}.")
            yield from of_objects(source.url, page, size)
    except (RequestException, ValueError) as error:
        raise DataError(f"Cannot read {source.url}: {_said(error)}") from error


def _said(error: Exception) -> str:
    from requests import ConnectionError, HTTPError

    if isinstance(error, HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code} {error.response.reason}."
    if isinstance(error, ConnectionError):
        # What is at the bottom of several wrappings, each with its own address of the same.
        reason = getattr(error.args[0], "reason", error) if error.args else error
        return f"it does not answer: {str(reason).rpartition(': ')[2]}. Check the address and the network."
    return str(error)


def _auth(auth: Auth | None) -> AuthConfigBase | None:
    from dlt.sources.helpers.rest_client import auth as ways

    if auth is None:
        return None
    key: Any = secret(auth.secret)
    if auth.kind == "bearer":
        return ways.BearerTokenAuth(key)
    if auth.kind == "basic":
        return ways.HttpBasicAuth(auth.user or "", key)
    return ways.APIKeyAuth(name=auth.header, api_key=key, location="header")


def _paginator(paging: Paging) -> BasePaginator:
    from dlt.sources.helpers.rest_client import paginators as ways

    match paging.kind:
        case "page":
            return ways.PageNumberPaginator(
                base_page=paging.first, page_param=paging.param or "page", total_path=None
            )
        case "offset":
            return ways.OffsetPaginator(
                limit=paging.size or 100,
                offset_param=paging.param or "offset",
                limit_param=paging.size_param or "limit",
                total_path=None,
            )
        case "cursor":
            return ways.JSONResponseCursorPaginator(
                cursor_path=paging.next or "next", cursor_param=paging.param or "cursor"
            )
        case "link" if paging.next:
            return ways.JSONLinkPaginator(next_url_path=paging.next)
        case "link":
            return ways.HeaderLinkPaginator()
    return ways.SinglePagePaginator()
