"""What a release promises: the same address, no refused connection, and never a worse state than before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import releases as record
from db.models import Release
from db.session import advisory_lock, engine
from errors import DatabaseError, ReleaseError
from releases import local
from releases import release as releases
from serving.package import Packed, package
from serving.trees import build
from tests.integration.releases.titanic import Built, Place, ask, with_model_of


def statuses(place: Place) -> list[str]:
    with Session(engine(place.url)) as session:
        return list(session.scalars(select(Release.status).order_by(Release.id)))


def test_the_first_release_serves_verified_answers_at_the_first_port(place: Place, first: Built) -> None:
    outcome = place.release(first)
    assert outcome.address == f"http://127.0.0.1:{place.settings.endpoint_port}"
    assert outcome.changed
    assert outcome.verified == 25 + 891
    assert ask(outcome.address)["model_version"] == 1
    assert statuses(place) == ["serving"]


def test_the_same_bento_again_restarts_nothing(place: Place, first: Built) -> None:
    place.release(first)
    before = place.process()
    outcome = place.release(first)
    assert not outcome.changed
    assert place.process() == before
    assert statuses(place) == ["serving"]


def test_an_endpoint_knows_no_password_of_the_command_that_started_it(
    place: Place, first: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_DATABASE_URL", "postgresql://someone:a-password@somewhere/db")
    place.release(first)
    process = place.process()
    known = " ".join([*process.environ().values(), *process.cmdline()])
    assert os.environ["PGPASSWORD"] not in known
    assert "a-password" not in known


def test_a_new_version_takes_the_address_over_without_one_refused_request(
    place: Place, first: Built, second: Built
) -> None:
    address = place.release(first).address
    before = place.process()
    versions: list[int] = []
    failures: list[ReleaseError] = []
    done = threading.Event()

    def ask_all_the_time() -> None:
        while not done.is_set():
            try:
                versions.append(ask(address)["model_version"])
            except ReleaseError as error:
                failures.append(error)

    callers = [threading.Thread(target=ask_all_the_time) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        outcome = place.release(second)
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert outcome.address == address
    assert failures == []
    assert set(versions) == {1, 2}
    assert not before.is_running()
    assert ask(address)["model_version"] == 2
    assert statuses(place) == ["superseded", "serving"]


def test_a_release_with_wrong_answers_leaves_the_earlier_one_serving(
    place: Place, first: Built, second: Built
) -> None:
    address = place.release(first).address
    before = place.process()
    with pytest.raises(ReleaseError, match="does not answer what the model predicts offline"):
        place.release(with_model_of(second, first))
    assert place.process() == before
    assert ask(address)["model_version"] == 1
    assert statuses(place) == ["serving", "failed"]
    assert _endpoints_of(place) == [before.pid]


def test_a_release_that_does_not_start_shows_the_end_of_its_log(
    place: Place, first: Built, second: Built, tmp_path: Path
) -> None:
    address = place.release(first).address
    broken = package(second.content, tmp_path / "store")
    (broken.path / "src" / "model" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ReleaseError, match=r"(?s)before it was ready.*INVALID_PROTOBUF"):
        place.release(Built(second.content, broken))
    assert ask(address)["model_version"] == 1
    assert statuses(place) == ["serving", "failed"]


def test_a_bento_has_what_predicts_trees_for_every_platform_and_is_not_made_without(
    first: Built, second: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = first.bento.path / "src" / "serving" / "trees" / "lib"
    assert {path.stem for path in libraries.iterdir()} == set(build.TARGETS)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    with pytest.raises(ReleaseError, match=r"(?s)there is no .*linux-x86_64\.so.*make libraries"):
        package(second.content, tmp_path / "store")


def test_a_bento_whose_model_was_swapped_for_another_does_not_get_ready_and_says_why(
    place: Place, first: Built, second: Built, tmp_path: Path
) -> None:
    address = place.release(first).address
    swapped = package(second.content, tmp_path / "store")
    models = [built.path / "src" / "model" for built in (first.bento, swapped)]
    shutil.copytree(*models, dirs_exist_ok=True)
    with pytest.raises(
        ReleaseError,
        match=r"(?s)before it was ready.*does not answer what it did when it was packed: for row 1 of 200, "
        r"{.*} was expected, {.*} came",
    ):
        place.release(Built(second.content, swapped))
    assert ask(address)["model_version"] == 1
    assert statuses(place) == ["serving", "failed"]


def test_an_endpoint_that_was_killed_is_started_again_at_its_address(
    place: Place, first: Built, free_port: int
) -> None:
    address = place.release(first).address
    process = place.process()
    process.kill()
    process.wait()
    outcome = place.release(first)
    assert outcome.changed
    assert outcome.address == address
    assert ask(address)["model_version"] == 1
    assert statuses(place) == ["stopped", "serving"]


@pytest.mark.parametrize("moment", ["go_public", "serve", "_stop"])
def test_a_release_that_was_killed_leaves_an_endpoint_that_answers_and_the_next_one_clears_up(
    place: Place, first: Built, second: Built, moment: str, tmp_path: Path
) -> None:
    address = place.release(first).address
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(place.settings.home), place.url, str(second.bento.path), moment],
        env=os.environ | {"MODELYARD_ENDPOINT_PORT": str(place.settings.endpoint_port)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert ask(address)["model_version"] in {1, 2}
    outcome = place.release(second)
    assert outcome.address == address
    assert ask(address)["model_version"] == 2
    assert len(_endpoints_of(place)) == 1
    assert "rolling_out" not in statuses(place)


# A release in a process of its own, which kills itself at the moment that it is told.
_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from db import releases as record
from releases import local, release
from settings import Settings
from serving.package import Packed
from tests.integration.releases.titanic import build
home, url, bento, moment = sys.argv[1:]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
owner = {"go_public": local.Candidate, "serve": record, "_stop": release}[moment]
setattr(owner, moment, die)
built = build(Path(bento).parents[2], version=2, strength=10.0)
release.release(Settings(home=Path(home)), url, built.content, built.bento)
"""


def test_a_second_release_at_the_same_time_is_turned_away(place: Place, first: Built) -> None:
    with (
        advisory_lock(place.url, "release titanic local"),
        pytest.raises(DatabaseError, match="Another process is at it: release titanic"),
    ):
        place.release(first)


def test_a_port_that_another_program_has_is_passed_over(place: Place, first: Built) -> None:
    with local.public_socket("127.0.0.1", [place.settings.endpoint_port]):
        outcome = place.release(first)
    assert outcome.address != f"http://127.0.0.1:{place.settings.endpoint_port}"
    assert ask(outcome.address)["model_version"] == 1


def test_a_halted_endpoint_is_revived_with_its_bento_at_its_address(place: Place, first: Built) -> None:
    outcome = place.release(first)
    process = place.process()
    store = place.settings.home / "bentoml" / "bentos" / "titanic"
    store.mkdir(parents=True)
    (store / first.bento.path.name).symlink_to(first.bento.path)
    assert releases.halt(place.settings, place.url) == ["titanic"]
    assert not process.is_running()
    assert releases.halt(place.settings, place.url) == []

    (serving,) = record.all_serving(place.url, "local")
    assert releases.revive(place.settings, place.url, serving)
    (revived,) = record.all_serving(place.url, "local")
    assert (revived.id, revived.bento, revived.address) == (serving.id, outcome.bento, outcome.address)
    assert place.process().is_running()
    assert not releases.revive(place.settings, place.url, revived)


def test_the_release_after_a_halted_endpoint_has_its_address(place: Place, first: Built) -> None:
    address = place.release(first).address
    releases.halt(place.settings, place.url)
    assert place.release(first).address == address


def test_a_model_that_no_longer_predicts_what_was_recorded_is_not_packed(
    first: Built, second: Built, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match="doesn't predict what it did when it was registered"):
        package(with_model_of(second, first).content, tmp_path / "store")
    assert not (tmp_path / "store" / "bentos").exists()


def test_the_same_version_is_packed_once(first: Built, store: Path) -> None:
    again = package(first.content, store)
    assert again == Packed(first.bento.tag, first.bento.path, built=False)


def _endpoints_of(place: Place) -> list[int]:
    """Processes that serve a Bento with a door below the place's home."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if f"--lend {place.settings.home}/" in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found
