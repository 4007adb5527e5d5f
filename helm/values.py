"""What the chart's values may be; values.yaml, values.schema.json and the README's table are made of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from helm.parts import (
    Address,
    Amounts,
    Autoscaling,
    HttpRoute,
    Image,
    Ingress,
    Model,
    Name,
    NameOrNone,
    OwnImage,
    Peers,
    Port,
    Registry,
    Resources,
    Storage,
)

_PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
_DNS: Peers = [
    {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]


class Server(Model):
    """A server with pages."""

    replicas: int = Field(default=1, ge=1)
    """How many run."""
    resources: Resources
    """What each is promised and may not exceed."""
    autoscaling: Autoscaling = Autoscaling()
    """More of them under load."""
    external_url: Address = ""
    """Where people reach it, such as `https://mlops.example.com`; empty: by port-forward."""
    ingress: Ingress = Ingress()
    """An Ingress for the host of `externalUrl`."""
    http_route: HttpRoute = HttpRoute()
    """An HTTPRoute for the host of `externalUrl`."""


class PostgreSQL(Model):
    """The databases `zenml`, `mlflow` and `modelyard`."""

    enabled: bool = True
    """Run a small one, to try things out. `false`: the external one of `existingSecret`."""
    image: Image = Image(repository="postgres", tag="17-trixie")
    """The official image."""
    existing_secret: NameOrNone = ""
    """Secret with the URL, such as CloudNativePG's `NAME-app`; with `enabled: true` also with `password`."""
    key: str = Field(default="url", min_length=1)
    """The URL's key in `existingSecret`; `uri` in CloudNativePG's."""
    ca_secret: NameOrNone = ""
    """Secret with `ca.crt`, such as CloudNativePG's `NAME-ca`: the server's certificate is checked by it."""
    port: Port = 5432
    """Port of an external one, for the network policies."""
    storage: Storage = Storage(size="5Gi")
    """Volume of the small one."""
    resources: Resources = Resources(
        requests=Amounts(cpu="100m", memory="192Mi"), limits=Amounts(memory="1Gi")
    )
    """What the small one is promised and may not exceed."""


class S3(Model):
    """Where artifacts, models and backups are."""

    enabled: bool = True
    """Run a small gateway on a volume, to try things out. `false`: the external S3 of `existingSecret`."""
    image: Image = Image(repository="versity/versitygw", tag="v1.8.0")
    """The gateway's image."""
    existing_secret: NameOrNone = ""
    """Secret with `access-key` and `secret-key`, in the release's and in the pipelines' namespace."""
    endpoint: Address = ""
    """Address of an external S3; empty: AWS."""
    external_endpoint: Address = ""
    """Where laptops reach it; empty: `endpoint`, or for the gateway by port-forward."""
    region: str = Field(default="us-east-1", min_length=1)
    """Its region."""
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "modelyard"
    """The one bucket that everything is in."""
    make_bucket: bool = False
    """Make the bucket of an external S3 when it is missing; the gateway's always is made."""
    storage: Storage = Storage(size="10Gi")
    """Volume of the gateway."""
    resources: Resources = Resources(
        requests=Amounts(cpu="50m", memory="64Mi"), limits=Amounts(memory="512Mi")
    )
    """What the gateway is promised and may not exceed."""


class Migration(Model):
    """The Job that makes and migrates all tables."""

    resources: Resources = Resources(
        requests=Amounts(cpu="100m", memory="384Mi"), limits=Amounts(memory="1Gi")
    )
    """What its pod is promised and may not exceed."""


class Backup(Model):
    """Dumps of all databases, into the bucket."""

    enabled: bool = True
    """Make them."""
    schedule: str = Field(default="17 2 * * *", min_length=9)
    """When; five fields of cron."""
    keep: int = Field(default=7, ge=1)
    """How many of the newest are kept."""
    resources: Resources = Resources(
        requests=Amounts(cpu="50m", memory="192Mi"), limits=Amounts(memory="1Gi")
    )
    """What its pod is promised and may not exceed."""


class ExistingSecret(Model):
    """A Secret in the release's namespace."""

    existing_secret: NameOrNone = ""
    """Name of your own; empty: one is made at the first installation, and kept."""


class PredictionLog(Model):
    """Every prediction of endpoints, and what came true of it, in the database `modelyard`."""

    existing_secret: NameOrNone = ""
    """Secret with `url`, by which endpoints log to an external PostgreSQL; empty: they do not."""
    keep_days: int = Field(default=90, ge=1)
    """How many days of it the nightly backup leaves."""


class DatabaseLogins(Model):
    """With an external PostgreSQL: Secrets with `url`, by which others than endpoints reach `modelyard`."""

    stream: NameOrNone = ""
    """Of the user `modelyard_stream`, by which streams log; empty: there are none."""
    ingestion: NameOrNone = ""
    """Of the user `modelyard_ingestion`, by which pipelines load and export data; empty: they do not."""


class Alerts(Model):
    """Who is told of what pipelines do: the URLs of MODELYARD_ALERTS."""

    existing_secret: NameOrNone = ""
    """Secret with them in the release's namespace, copied to that of pipelines; empty: nobody is told."""
    key: str = Field(default="urls", min_length=1)
    """Their key in `existingSecret`."""


class Events(Model):
    """Which systems MLflow's server tells, as CloudEvents: MODELYARD_EVENTS and MODELYARD_EVENTS_KEY."""

    existing_secret: NameOrNone = ""
    """Secret with `urls` and the signing `key` in the release's namespace; empty: none is told."""
    kafka_secret: NameOrNone = ""
    """Secret with the broker of `kafka:TOPIC` among them, with the keys of streams' `modelyard-kafka`."""
    egress: list[dict[str, Any]] = []
    """What else it may reach then, such as a receiver in the cluster; NetworkPolicyEgressRules."""


class Namespaces(Model):
    """Of pipelines and of endpoints."""

    create: bool = True
    """Make them, labelled for Pod Security `restricted`; `helm uninstall` leaves them."""


class Place(Model):
    """A namespace."""

    namespace: Name
    """Its name; no other release may use it."""


class Inference(Place):
    """The namespace of endpoints, and how they are reached from outside."""

    gateways: list[dict[str, Any]] = []
    """`parentRefs` of Gateways: endpoints get HTTPRoutes at `/USE_CASE`, and canaries shares by weight."""
    hostname: str = ""
    """Host name of those routes; empty: any."""


class Subject(Model):
    """Someone who may submit pipelines and release."""

    kind: Literal["User", "Group", "ServiceAccount"]
    """What it is."""
    name: str = Field(min_length=1)
    """Its name."""
    namespace: NameOrNone = ""
    """Of a ServiceAccount."""


class ApiServer(Model):
    """How Kubernetes' API is reached by orchestrator pods and the Job that makes Secrets."""

    ports: list[Port] = [443, 6443]
    """Its ports, before and behind the Service."""
    cidrs: list[str] = []
    """Its addresses; empty: any."""


class Internet(Model):
    """What pipeline pods may reach outside, such as public data."""

    enabled: bool = True
    """Allow it."""
    ports: list[Port] = [443]
    """By these ports."""
    exclude: list[str] = _PRIVATE
    """Not these addresses: those of the cluster and its neighbours."""


class NetworkPolicy(Model):
    """Nothing reaches anything, in all three namespaces, but what is named."""

    enabled: bool = True
    """Make the policies."""
    ingress_from: Peers = []
    """Who else may reach ZenML and MLflow, such as the Ingress controller's namespace; NetworkPolicyPeers."""
    dns: Peers = Field(default=_DNS)
    """Where names are resolved; NetworkPolicyPeers."""
    api_server: ApiServer = ApiServer()
    """Kubernetes' API."""
    internet: Internet = Internet()
    """The way out for pipeline pods."""
    postgresql: Peers = []
    """Where an external PostgreSQL is; NetworkPolicyPeers. Empty: anywhere, on `postgresql.port`."""
    s3: Peers = []
    """Where an external S3 is; NetworkPolicyPeers. Empty: anywhere, on the endpoint's port."""
    pipelines_egress: list[dict[str, Any]] = []
    """What else pipeline pods may reach, such as a registry in the cluster; NetworkPolicyEgressRules."""


class ServiceMonitor(Model):
    """Prometheus's operator scrapes every endpoint in the inference namespace, and what checks found."""

    enabled: bool = False
    """Make one; the cluster needs the operator's resource types."""
    labels: dict[str, str] = {}
    """What the operator selects by, such as `release: prometheus`."""
    interval: str = "30s"
    """How often."""
    prometheus_from: Peers = Field(
        default=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    )
    """Where Prometheus runs; NetworkPolicyPeers."""


_SERVER = Resources(requests=Amounts(cpu="100m", memory="384Mi"), limits=Amounts(memory="1Gi"))


class Values(Model):
    """All values of the chart."""

    image: OwnImage = OwnImage(repository="modelyard")
    """The platform's own image: both servers, the jobs and the pipelines' pods."""
    image_pull_secrets: list[Name] = []
    """Secrets with a registry's login, by these names in all three namespaces."""
    serving_image: OwnImage = OwnImage(repository="modelyard-serving")
    """What endpoints run on; a release adds the model version as a layer, and pushes it beside."""
    registry: Registry = Registry()
    """The registry of `servingImage`."""
    zenml: Server = Server(resources=_SERVER)
    """ZenML's server with its dashboard."""
    mlflow: Server = Server(resources=_SERVER)
    """MLflow's server with its pages."""
    postgresql: PostgreSQL = PostgreSQL()
    """All metadata."""
    s3: S3 = S3()
    """All artifacts."""
    login: ExistingSecret = ExistingSecret()
    """Who may log in to both pages; keys `username` (must be `default`) and `password`."""
    keys: ExistingSecret = ExistingSecret()
    """Keys `encryption-key`, of what is secret in ZenML's database, and `signing-key`, of sessions."""
    migration: Migration = Migration()
    """Tables, made and migrated."""
    backup: Backup = Backup()
    """Databases, saved."""
    alerts: Alerts = Alerts()
    """Mail, chat or webhook."""
    events: Events = Events()
    """Systems, told."""
    prediction_log: PredictionLog = PredictionLog()
    """Predictions, logged."""
    database_logins: DatabaseLogins = DatabaseLogins()
    """Streams and data."""
    namespaces: Namespaces = Namespaces()
    """Of pipelines and endpoints."""
    pipelines: Place = Place(namespace="modelyard-pipelines")
    """Where the pods of pipelines run."""
    inference: Inference = Inference(namespace="modelyard-inference")
    """Where endpoints run."""
    submitters: list[Subject] = []
    """Who may submit pipelines, release and read the login without being administrators; RBAC's subjects."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may talk to whom."""
    service_monitor: ServiceMonitor = ServiceMonitor()
    """Metrics of endpoints."""
    node_selector: dict[str, str] = {}
    """On which nodes all these pods may run."""
    tolerations: list[dict[str, Any]] = []
    """Taints that they tolerate."""
    global_: dict[str, Any] = Field(default={}, alias="global")
    """Passed by Helm to a chart that is part of another; not read."""
