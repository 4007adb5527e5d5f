"""The audit trail: read as it is, and given to a role of its own where that can be.

`releases.audit` says whether it is unbroken.
"""

from __future__ import annotations

from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db.recorded import Entry, Trail
from db.session import engine

OWNER = "modelyard_audit"

# What the hash is of. Built of PostgreSQL's own functions: one of ours could have been replaced.
_ENTRIES = """
SELECT jsonb_build_array(
  previous, id, (extract(epoch FROM at) * 1000000)::bigint, use_case, release_id, event, content
)::text AS text, hash FROM public.audit ORDER BY id
"""
_TRIGGERS = {
    "releases": ("audit_note", "audit_refuse_truncate"),
    "approvals": ("audit_note", "audit_refuse", "audit_refuse_truncate"),
    "audit": ("audit_refuse", "audit_refuse_truncate"),
}
_ENABLED = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE tgrelid IN ('public.releases'::regclass, 'public.approvals'::regclass, 'public.audit'::regclass)
  AND tgenabled IN ('O', 'A')
"""
_WHO = """
SELECT current_user AS me, rolsuper AS super, pg_get_userbyid(relowner) AS owner,
  pg_has_role(current_user, relowner, 'USAGE') AS owns,
  pg_has_role(current_user, relowner, 'MEMBER') AS member
FROM pg_class, pg_roles WHERE pg_class.oid = to_regclass('public.audit') AND rolname = current_user
"""
# A member may give what it owns to a role that may make tables here; both for this moment alone. What may be
# made a trigger of could be made one of any table.
_HAND_OVER = (
    f"DO $$ BEGIN IF to_regrole('{OWNER}') IS NULL THEN CREATE ROLE {OWNER} NOLOGIN; END IF; END $$",
    f"GRANT {OWNER} TO CURRENT_USER",
    f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}",
    "REVOKE ALL ON FUNCTION public.audit_note() FROM PUBLIC",
    f"ALTER FUNCTION public.audit_append(text, integer, text, jsonb) OWNER TO {OWNER}",
    f"ALTER FUNCTION public.audit_note() OWNER TO {OWNER}",
    f"ALTER FUNCTION public.audit_refuse() OWNER TO {OWNER}",
    f"ALTER TABLE public.audit OWNER TO {OWNER}",
    "GRANT SELECT ON public.audit TO CURRENT_USER",
    f"REVOKE CREATE ON SCHEMA public FROM {OWNER}",
    f"REVOKE {OWNER} FROM CURRENT_USER",
)


def protect(connection: Connection) -> None:
    """Give the trail to a role that nobody logs in as, if the role of this connection may make one.

    It then can only read it. Where it may not, or where it may do everything anyhow, triggers keep the trail.
    """
    who = connection.execute(text(_WHO)).one_or_none()
    if who is None or who.super or not who.owns:
        return
    try:
        with connection.begin_nested():
            for statement in _HAND_OVER:
                connection.execute(text(statement))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise


def protect_restored(url: str) -> None:
    """The same for a database that was restored, which has forgotten whose what is."""
    with engine(url).begin() as connection:
        protect(connection)


def read(url: str) -> Trail:
    """The trail, and the rows that it speaks of, all as of one moment."""
    reading = engine(url).execution_options(isolation_level="REPEATABLE READ")
    with reading.connect() as connection, connection.begin():
        for name, value in (("timezone", "UTC"), ("extra_float_digits", "1")):
            connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
        enabled = {(table, name) for table, name in connection.execute(text(_ENABLED))}
        return Trail(
            entries=[Entry(text=row.text, hash=row.hash) for row in connection.execute(text(_ENTRIES))],
            releases=_rows(connection, "releases"),
            approvals=_rows(connection, "approvals"),
            protection=_protection(connection),
            off=[
                f"{name} of {table}"
                for table, names in _TRIGGERS.items()
                for name in names
                if (table, name) not in enabled
            ],
        )


def _rows(connection: Connection, table: str) -> list[dict[str, object]]:
    query = f"SELECT to_jsonb(t) FROM public.{table} t ORDER BY id"  # noqa: S608 - ours
    return list(connection.execute(text(query)).scalars())


def _protection(connection: Connection) -> str:
    who = connection.execute(text(_WHO)).one()
    if who.super:
        return f"Triggers refuse changes of it; {who.me} is a superuser, and could turn them off."
    if who.owns:
        return f"Triggers refuse changes of it; {who.me} owns it, and could turn them off."
    grants = f"It belongs to {who.owner}: {who.me} has the right to read it, and no other."
    if not who.member:
        return grants
    return f"{grants} As {who.me} made that role, it could join it; an administrator can take that from it."
