"""The hooks that make ZenML accept `postgresql://` as the URL of its store: three names are replaced.

ZenML looks each of them up at run time by its name, so replacing the name is enough:

- `SQLDatabaseDriver`: which URL schemes there are;
- `SqlZenStoreConfiguration`: validates the URL, turns it into SQLAlchemy's;
- `ServerDatabaseType`: what a server says its database is; here `other`, which every client accepts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pydantic import model_validator
from sqlalchemy.engine import URL, make_url

from stacks.postgresql import dialect

# What of each ZenML was tested, as README.md has it; the first is the one to run.
TESTED_VERSIONS = {
    "0.98.0": "everything below; migrates databases of the others",
    "0.94.0": "makes databases, reads them, runs pipelines; no more than a migration's start",
}


class UntestedVersion(RuntimeError):
    """The installed ZenML is none of those that this package was tested with."""


def install() -> None:
    """Teach this process's ZenML PostgreSQL; the second call does nothing.

    Raises:
        UntestedVersion: ZenML is of a version that this was not tested with.
    """
    import zenml

    if zenml.__version__ not in TESTED_VERSIONS:
        newest, *_ = TESTED_VERSIONS
        raise UntestedVersion(
            f"ZenML on PostgreSQL was tested with ZenML {', '.join(TESTED_VERSIONS)}; {zenml.__version__} is "
            f"installed. Install zenml=={newest}, or a version of this package that was tested with yours."
        )

    from zenml.models.v2.misc.server_models import ServerDatabaseType
    from zenml.utils.enum_utils import StrEnum
    from zenml.zen_stores import sql_zen_store

    if "postgresql" in sql_zen_store.SQLDatabaseDriver.values():
        return

    class SQLDatabaseDriver(StrEnum):
        """The databases that the store accepts."""

        MYSQL = "mysql"
        SQLITE = "sqlite"
        POSTGRESQL = "postgresql"

    class SqlZenStoreConfiguration(sql_zen_store.SqlZenStoreConfiguration):
        """ZenML's configuration of a SQL store, with PostgreSQL among the drivers."""

        driver: SQLDatabaseDriver | None = None  # type: ignore[assignment]

        @model_validator(mode="before")
        @classmethod
        def _split_url(cls, data: Any) -> Any:
            return split_url(data) if isinstance(data, dict) and data.get("url") else data

        def get_sqlalchemy_config(
            self, database: str | None = None
        ) -> tuple[URL, dict[str, Any], dict[str, Any]]:
            if self.driver != SQLDatabaseDriver.POSTGRESQL:
                return super().get_sqlalchemy_config(database)
            return engine_config(self, database)

    dialect.register()
    replaced: Any = sql_zen_store
    replaced.SQLDatabaseDriver = SQLDatabaseDriver
    replaced.SqlZenStoreConfiguration = SqlZenStoreConfiguration
    replaced.SqlZenStore.CONFIG_TYPE = SqlZenStoreConfiguration
    cast(Any, ServerDatabaseType)._missing_ = classmethod(lambda cls, _: cls.OTHER)


def split_url(data: dict[str, Any]) -> dict[str, Any]:
    """Move credentials and the database's name out of a `postgresql://` URL, as ZenML does for MySQL.

    Backups of ZenML's own before a migration are turned off: they write MySQL's SQL, and on PostgreSQL a
    failed migration is rolled back as a whole.
    """
    from zenml.utils.secret_utils import PlainSerializedSecretStr

    url = make_url(data["url"])
    if url.get_backend_name() != "postgresql":
        return data
    data = dict(data)
    if url.username:
        data["username"] = PlainSerializedSecretStr(url.username)
    if url.password:
        data["password"] = PlainSerializedSecretStr(str(url.password))
    if url.database:
        data["database"] = url.database
    if data.get("backup_strategy") != "custom":
        data["backup_strategy"] = "disabled"
    plain = url._replace(drivername="postgresql", username=None, password=None)
    return data | {"url": plain.render_as_string(hide_password=False)}


def engine_config(config: Any, database: str | None) -> tuple[URL, dict[str, Any], dict[str, Any]]:
    """SQLAlchemy URL, connection arguments and engine arguments for a PostgreSQL store.

    Without a password libpq takes it from PGPASSWORD or a password file.
    """
    url = make_url(config.url)._replace(
        drivername=dialect.DRIVER,
        username=config.username and config.username.get_secret_value(),
        password=config.password and config.password.get_secret_value(),
        database=database or config.database,
    )
    engine_args = {
        "pool_size": config.pool_size,
        "max_overflow": config.max_overflow,
        # A connection is tried before it is used: a restarted server is noticed, not run into.
        "pool_pre_ping": True,
    }
    return url, _tls(config), engine_args


def _tls(config: Any) -> dict[str, Any]:
    """libpq's arguments for ZenML's settings; a URL without them has libpq's own, such as `sslmode`."""
    files = {"sslrootcert": config.ssl_ca, "sslcert": config.ssl_cert, "sslkey": config.ssl_key}
    arguments = {name: _file(name, value.get_secret_value()) for name, value in files.items() if value}
    if not (arguments or config.ssl or config.ssl_verify_server_cert):
        return {}
    return arguments | {"sslmode": "verify-full" if config.ssl_verify_server_cert else "require"}


def _file(name: str, value: str) -> str:
    """The setting itself, or where its content is written to: ZenML takes both, libpq only files."""
    if "-----BEGIN" not in value:
        return value
    from zenml.config.global_config import GlobalConfiguration

    path = Path(GlobalConfiguration().local_stores_path, "certificates", f"{name}.pem")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(value)
    return str(path)
