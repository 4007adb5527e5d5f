"""A server that speaks TLS alone: PgBouncer, since the PostgreSQL of the tests is built without."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.postgresql import pgbouncer
from tests.integration.postgresql.servers import Server, own

NAME, ADDRESS = "localhost", "127.0.0.1"
"""The server's name, which its certificate has, and its address, which it has not."""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Secured:
    """Where it is, and who signed its certificate."""

    port: int
    authority: Path
    another: Path
    """An authority that did not sign it."""

    def url(self, database: str, host: str = NAME) -> str:
        """URL of a database, without a word on TLS."""
        return f"postgresql://tests@{host}:{self.port}/{database}"

    def verified(self, database: str, authority: Path, host: str = NAME) -> str:
        """The same with `verify-full`."""
        return f"{self.url(database, host)}?sslmode=verify-full&sslrootcert={authority}"


@contextmanager
def running(server: Server, folder: Path) -> Iterator[Secured]:
    """Every database of the server by TLS, with a certificate of an authority of the tests."""
    for name in ("authority", "another"):
        made = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        _openssl(folder, "req", "-x509", *_KEY, "-subj", f"/CN={name}", *made)
    _openssl(folder, "req", *_KEY, "-subj", f"/CN={NAME}", "-keyout", "server.key", "-out", "server.csr")
    signer = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
    _openssl(folder, "x509", "-req", "-in", "server.csr", *signer, "-out", "server.pem")
    own(folder / "server.key")
    settings = {
        "client_tls_sslmode": "require",
        "client_tls_cert_file": str(folder / "server.pem"),
        "client_tls_key_file": str(folder / "server.key"),
    }
    with pgbouncer.running(server, folder, **settings) as port:
        yield Secured(port, folder / "authority.pem", folder / "another.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607
