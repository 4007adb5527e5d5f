"""Logins that may do one thing: what reaches the database from a cluster's pods has one of these."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from sqlalchemy.engine import make_url

from db.batches import SCHEMA
from db.databases import text
from errors import DatabaseError


@dataclass(frozen=True)
class Role:
    """A login, and what it may do on the migrated database."""

    name: str
    rights: tuple[str, ...]
    """Statements that the owner of the database runs, each time: restored databases have forgotten them."""


_LOG = (
    "GRANT INSERT ON public.predictions TO {role}",
    "GRANT INSERT, SELECT, UPDATE ON public.outcomes TO {role}",
    "REVOKE ALL ON FUNCTION public.prediction_partition(date) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION public.prediction_partition(date) TO {role}",
)
# The owner has to be able to save, restore and tidy up what this role makes.
_OWN_SCHEMA = (
    "GRANT {role} TO CURRENT_USER",
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    "ALTER SCHEMA {schema} OWNER TO {role}",
    """
    DO $$ DECLARE found name; BEGIN
        FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = {schema_name} LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', {schema_name}, found, {role_name});
        END LOOP;
    END $$
    """,
)

ENDPOINT = Role(
    "modelyard_endpoint",
    (*_LOG, "GRANT INSERT, SELECT, DELETE ON public.shipped_segments TO {role}"),
)
STREAM = Role(
    "modelyard_stream",
    (
        *_LOG,
        # For live error and drift.
        "GRANT SELECT ON public.predictions TO {role}",
        "GRANT INSERT, SELECT, UPDATE ON public.stream_places TO {role}",
        "GRANT INSERT, SELECT ON public.stream_events TO {role}",
    ),
)
INGESTION = Role(
    "modelyard_ingestion",
    (
        *_OWN_SCHEMA,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.batches TO {role}",
        "GRANT USAGE ON SEQUENCE public.batches_id_seq TO {role}",
        # What can be exported.
        "GRANT SELECT ON public.predictions, public.outcomes, public.cleanings TO {role}",
        "GRANT SELECT ON public.drift_checks, public.decisions TO {role}",
    ),
)
_FIRST = (
    "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}",
    "GRANT USAGE ON SCHEMA public TO {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
)


def make(url: str, role: Role, password: str) -> None:
    """Make a login on the migrated database at `url`, or renew its password and its rights.

    The server gets a hash of the password, so that no log of statements has it.

    Raises:
        DatabaseError: the role of `url` may not make roles.
    """
    target = make_url(url)
    names = {
        "role": sql.Identifier(role.name),
        "role_name": sql.Literal(role.name),
        "database": sql.Identifier(str(target.database)),
        "schema": sql.Identifier(SCHEMA),
        "schema_name": sql.Literal(SCHEMA),
    }
    with closing(psycopg2.connect(text(target.set(drivername="postgresql")))) as connection:
        hashed = encrypt_password(password, role.name, connection, "scram-sha-256")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role.name,))
                verb = "ALTER" if cursor.rowcount else "CREATE"
                login = sql.SQL(verb + " ROLE {role} LOGIN PASSWORD {hashed}")
                cursor.execute(login.format(**names, hashed=sql.Literal(hashed)))
                for right in (*_FIRST, *role.rights):
                    cursor.execute(sql.SQL(right).format(**names))
        except psycopg2.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"{target.username} may not make the role {role.name}: {str(error).strip()}\n"
                f"Ask an administrator: ALTER ROLE {target.username} CREATEROLE;"
            ) from None
