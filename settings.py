"""What a person may set from outside: `MODELYARD_*` environment variables, and nothing else.

Read anew by `Settings()` at the start of a command; importing this module reads nothing.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PostgresDsn, SecretStr, TypeAdapter, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent


class Settings(BaseSettings):
    """Where things are kept and where endpoints listen."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", frozen=True, extra="ignore")

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

    platform_host: str = Field(
        default="127.0.0.1",
        description="Address of ZenML's and MLflow's pages; 127.0.0.1 keeps them to this machine.",
    )
    dashboard_port: int = Field(default=8237, ge=1, le=65535, description="Port of ZenML's dashboard.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of MLflow's pages.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            TypeAdapter(PostgresDsn).validate_python(url.get_secret_value())
        return url
