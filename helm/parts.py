"""Parts that several of the chart's values have: names, images, resources, ways in, volumes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]
"""A name that Kubernetes takes."""
NameOrNone = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")] | float
Address = Annotated[str, Field(pattern=r"^(https?://[^/\s]+)?$")]
"""Scheme, host and port; no path. Empty: none."""
Port = Annotated[int, Field(ge=1, le=65535)]
Peers = list[dict[str, Any]]
"""Kubernetes' NetworkPolicyPeer: `podSelector`, `namespaceSelector`, `ipBlock`."""


class Model(BaseModel):
    """Names in YAML are camelCase, as everywhere in Kubernetes; unknown ones are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Image(Model):
    """A container image."""

    repository: str = Field(min_length=1)
    """Name of the image, with its registry."""
    tag: str = Field(min_length=1)
    """Its tag."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """`sha256:…`, which wins over the tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When the node asks the registry for it."""


class OwnImage(Image):
    """An image of the project."""

    tag: str = ""
    """Its tag; empty: the chart's `appVersion`."""


class Registry(Model):
    """The registry of `servingImage`, which releases add an image of each model version to."""

    secret: NameOrNone = ""
    """kubernetes.io/dockerconfigjson Secret in the pipelines' namespace, that may push; empty: no login."""
    insecure: bool = False
    """It speaks plain HTTP."""


class Amounts(Model):
    """Of one container."""

    cpu: Quantity | None = None
    """Cores."""
    memory: Quantity | None = None
    """Bytes."""


class Resources(Model):
    """What a container is promised and may not exceed. No limit of CPU: it would slow every start."""

    requests: Amounts
    """What is kept for it."""
    limits: Amounts
    """Where it is stopped."""


class Autoscaling(Model):
    """A HorizontalPodAutoscaler; it then decides on the replicas."""

    enabled: bool = False
    """Make one; the cluster needs metrics-server."""
    min_replicas: int = Field(default=2, ge=1)
    """Never fewer."""
    max_replicas: int = Field(default=4, ge=1)
    """Never more."""
    cpu: Quantity = "500m"
    """Mean use of CPU above which a replica is added."""


class Ingress(Model):
    """An Ingress for the host of `externalUrl`."""

    enabled: bool = False
    """Make one."""
    class_name: str = ""
    """Which controller takes it; empty: the cluster's default."""
    annotations: dict[str, str] = {}
    """Such as cert-manager's."""
    tls_secret: NameOrNone = ""
    """Secret with the certificate; empty: no TLS at the Ingress."""


class HttpRoute(Model):
    """A route of the Gateway API for the host of `externalUrl`."""

    enabled: bool = False
    """Make one."""
    gateways: list[dict[str, Any]] = []
    """Its `parentRefs`."""


class Storage(Model):
    """A volume; it outlives the release."""

    size: Quantity
    """Its size."""
    class_name: str = ""
    """Its StorageClass; empty: the cluster's default."""
