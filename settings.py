"""What a person may set from outside: `MODELYARD_*` environment variables, and nothing else.

Read anew by `read()` at the start of a command; importing this module reads nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    PostgresDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from errors import UsageError

PROJECT = Path(__file__).resolve().parent


class Settings(BaseSettings):
    """Where things are kept and where endpoints listen."""

    model_config = SettingsConfigDict(
        env_prefix="MODELYARD_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(
        default=PROJECT / ".modelyard",
        description="Folder for everything that Modelyard writes: the embedded PostgreSQL, "
        "artifacts, Bentos, logs, downloads. Delete it to start from nothing.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="A PostgreSQL server of your own, `postgresql://user:password@host:port/database`. "
        "The databases `zenml`, `mlflow` and `modelyard` are made on it. TLS by libpq's words, such as "
        "`?sslmode=verify-full&sslrootcert=ca.pem`. They belong to this home folder, which has the key "
        "of their secrets; another one is refused. "
        "Unset: an embedded server under the home folder.",
    )
    predictions_url: SecretStr | None = Field(
        default=None,
        description="How endpoints in a cluster reach the database that they log predictions to, "
        "`postgresql://modelyard_endpoint:password@host:port/modelyard`; `stacks.platform.migrate` makes "
        "this role, or renews its password. Unset: it makes none.",
    )
    stream_url: SecretStr | None = Field(
        default=None,
        description="How streams in a cluster reach that database: the same, of the user `modelyard_stream`.",
    )
    ingestion_url: SecretStr | None = Field(
        default=None,
        description="How `ingest` and `export` in a cluster reach it: the same, of the user "
        "`modelyard_ingestion`.",
    )
    endpoint_host: str = Field(
        default="127.0.0.1",
        description="Address that local endpoints listen on; 127.0.0.1 keeps them to this machine.",
    )
    endpoint_port: int = Field(
        default=3000,
        ge=1,
        le=65535,
        description="First port that a local endpoint tries; the next free one above it is taken.",
    )
    require_approval: bool = Field(
        default=False,
        description="Whether only versions are released that `approve` was told of, or that served before.",
    )
    keep_predictions: int = Field(
        default=90,
        ge=1,
        description="How many days of predictions, and of what came true of them, `gc` leaves; and "
        "`upkeep.databases save`, which has them once more before.",
    )

    alerts: SecretStr | None = Field(
        default=None,
        description="Who is told of releases, gates that were not passed, drift and trouble: "
        "[Apprise's](https://appriseit.com) URLs, separated by spaces or lines, such as "
        "`mailtos://user:password@example.com slack://…`. Unset: nobody.",
    )

    events: SecretStr | None = Field(
        default=None,
        description="Which systems are told of releases, rollbacks and drift, as CloudEvents: URLs of "
        "webhooks, and `kafka:TOPIC` for a topic, separated by spaces or lines. Unset: none.",
    )
    events_key: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="What events are signed with, which those to webhooks have to be: base64 of at least "
        "24 random bytes, as "
        "`openssl rand -base64 32` makes; several, separated by spaces, while one takes another's place.",
    )

    api_key: SecretStr | None = Field(
        default=None,
        description="Key that `predict` asks an endpoint by which demands one; `keys` makes them.",
    )

    artifacts: str | None = Field(
        default=None,
        pattern=r"^s3://[^/]+$",
        description="Bucket of a platform whose pods share no folder, `s3://bucket`: MLflow's server keeps "
        "its artifacts under `mlflow/` there and serves them, backups of the databases are under `backups/`. "
        "Its server and keys as every S3 client takes them: `AWS_ENDPOINT_URL_S3`, `AWS_REGION`, "
        "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`. Unset: the home folder.",
    )
    make_bucket: bool = Field(
        default=False, description="Whether `stacks.platform.migrate` makes the bucket when there is none."
    )
    keep_backups: int = Field(
        default=7,
        ge=1,
        description="How many of the newest backups `upkeep.databases save` leaves in the bucket.",
    )
    password: SecretStr | None = Field(
        default=None,
        min_length=12,
        description="Password of both pages, instead of the one generated under the home folder.",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="What ZenML's secrets are encrypted with, instead of the key generated under the home "
        "folder. Of what was encrypted nothing can be read without it.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="What the sessions of both pages are signed with, instead of the key generated under the "
        "home folder; the same for all servers behind one address.",
    )

    platform_host: str = Field(
        default="127.0.0.1",
        description="Address of ZenML's and MLflow's pages; 127.0.0.1 keeps them to this machine.",
    )
    dashboard_port: int = Field(default=8237, ge=1, le=65535, description="Port of ZenML's dashboard.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of MLflow's pages.")

    zenml_external_url: str | None = Field(
        default=None,
        description="Where people reach ZenML's dashboard, for links in runs and alerts; in a "
        "cluster's pods it is the chart's `zenml.externalUrl`. Unset: on this machine the address above, "
        "in a cluster no link.",
    )
    mlflow_external_url: str | None = Field(
        default=None, description="The same of MLflow's pages; the chart's `mlflow.externalUrl`."
    )

    kube_context: str | None = Field(
        default=None,
        description="Context of kubectl's configuration that `--stack kubernetes` works in. "
        "Unset: the current one.",
    )
    kube_namespace: str = Field(
        default="modelyard",
        description="Namespace of that cluster in which the chart is installed.",
    )

    kafka: str | None = Field(
        default=None,
        description="Bootstrap address of an Apache Kafka broker, `host:port` or several of them separated "
        "by commas: what `stream` reads from and writes to. Unset: none.",
    )
    kafka_tls: bool = Field(
        default=False, description="Whether Kafka is reached by TLS; a certificate authority implies it."
    )
    kafka_ca: Path | None = Field(
        default=None,
        description="File with the certificates that Kafka's own is checked against, or a folder that may "
        "have them as `ca.crt`. Unset, or not in the folder: the system's.",
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How Kafka is told name and password, by SASL."
    )
    kafka_username: str | None = Field(
        default=None, description="Who logs in to Kafka. Unset: nobody, the broker asks for no login."
    )
    kafka_password: SecretStr | None = Field(default=None, description="Its password.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("events")
    @classmethod
    def _webhooks(cls, urls: SecretStr | None) -> SecretStr | None:
        for url in _words(urls):
            if not re.fullmatch(r"https?://[^/\s]+\S*|kafka:[A-Za-z0-9._-]{1,249}", url):
                raise ValueError("a target is http://…, https://… or kafka:TOPIC")
        return urls

    @field_validator("events_key")
    @classmethod
    def _signing(cls, key: SecretStr | None, given: ValidationInfo) -> SecretStr | None:
        from events.signature import keys

        if key is not None:
            keys(key.get_secret_value())
        elif any(one.startswith("http") for one in _words(given.data.get("events"))):
            raise ValueError("is needed to sign events with; make one by: openssl rand -base64 32")
        return key

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            TypeAdapter(PostgresDsn).validate_python(url.get_secret_value())
        return url


def _words(setting: SecretStr | None) -> list[str]:
    return setting.get_secret_value().split() if setting else []


def read() -> Settings:
    """The settings as the environment has them now.

    Raises:
        UsageError: one of them is wrong; its value, which may be a secret, is not repeated.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = "\n".join(
            f"  MODELYARD_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False)
        )
        raise UsageError(f"Settings are wrong:\n{lines}") from None
