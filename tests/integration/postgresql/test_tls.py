"""TLS with `verify-full`, by libpq's words in the URL or by ZenML's settings: no other server will do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.integration.postgresql import pgbouncer, servers, tls
from tests.integration.postgresql.servers import Server

pytestmark = pgbouncer.needed
TRUSTED = ("by the URL", "by settings")
REFUSED = {
    "by the URL, another name": 'does not match host name "127.0.0.1"',
    "by settings, another authority": "certificate verify failed",
}


@pytest.fixture(scope="module")
def scripts(server: Server, tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[dict[str, Any]]:
    """Processes that open one store, each in its own way."""
    with (
        servers.database(server.url()) as made,
        tls.running(server, tmp_path_factory.mktemp("tls")) as secured,
    ):
        name = make_url(made).database or ""

        def by_settings(authority: str) -> Any:
            settings = {"SSL": "true", "SSL_VERIFY_SERVER_CERT": "true", "SSL_CA": authority}
            environment = {f"ZENML_STORE_{setting}": value for setting, value in settings.items()}
            return start("opening", secured.url(name), **environment)

        started = {
            "by the URL": start("opening", secured.verified(name, secured.authority)),
            # ZenML takes a file or what is in it.
            "by settings": by_settings(secured.authority.read_text()),
            "by the URL, another name": start(
                "opening", secured.verified(name, secured.authority, tls.ADDRESS)
            ),
            "by settings, another authority": by_settings(str(secured.another)),
        }
        for script in started.values():
            script.ready()
            script.go()
        yield started


@pytest.mark.parametrize("way", TRUSTED)
def test_the_right_server_is_trusted(scripts: dict[str, Any], way: str) -> None:
    assert scripts[way].ended() == "default\n"


@pytest.mark.parametrize("way", REFUSED)
def test_another_server_is_refused_and_the_message_says_why(scripts: dict[str, Any], way: str) -> None:
    script = scripts[way]
    script.process.wait(timeout=60)
    assert script.process.returncode != 0
    assert REFUSED[way] in script.log.read_text()
