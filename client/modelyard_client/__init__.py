"""Ask Modelyard's endpoints: `Client` and `AsyncClient`, models of requests and answers, typed errors."""

from modelyard_client.calls import Answer
from modelyard_client.clients import AsyncClient, Client
from modelyard_client.errors import (
    EndpointError,
    EndpointFailed,
    FieldProblem,
    InvalidRequest,
    NotAllowed,
    Unavailable,
)
from modelyard_client.models.endpoint import Outcome
from modelyard_client.retries import Retries
from modelyard_client.use_case import UseCase

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "EndpointError",
    "EndpointFailed",
    "FieldProblem",
    "InvalidRequest",
    "NotAllowed",
    "Outcome",
    "Retries",
    "Unavailable",
    "UseCase",
]
