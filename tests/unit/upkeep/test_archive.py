"""An archive comes back as it was, or not at all."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from errors import ModelyardError, UsageError
from upkeep import archive

CONTENTS = {
    "databases/zenml.dump": bytes(range(256)) * 50,
    "home/artifacts/naïve 東京.txt": b"",
    "home/a": b"a",
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """An archive with three files."""
    file = tmp_path / "backup.tar"
    with archive.write(file) as writer:
        for number, (name, content) in enumerate(CONTENTS.items()):
            path = tmp_path / str(number)
            path.write_bytes(content)
            writer.add(path, name)
        writer.finish(created_at=datetime(2024, 3, 1, tzinfo=UTC), home="/home", versions={}, databases={})
    return file


def test_files_come_back_as_they_were(written: Path, tmp_path: Path) -> None:
    manifest = archive.read_manifest(written)
    archive.unpack(written, manifest, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert manifest.home == "/home"


def test_only_its_owner_can_read_it(written: Path) -> None:
    assert written.stat().st_mode & 0o777 == 0o600


def test_any_tar_can_look_into_it(written: Path) -> None:
    with tarfile.open(written) as tar:
        assert tar.getnames() == [*CONTENTS, "manifest.json"]


def test_a_file_that_is_there_already_is_never_written_over(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(UsageError, match="is there already"), archive.write(written):
        pass
    assert written.read_bytes() == before


def test_an_archive_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), archive.write(tmp_path / "backup.tar"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent/backup\.tar cannot be made: No such file"):
        archive.write(tmp_path / "absent" / "backup.tar").__enter__()


@pytest.mark.parametrize("position", [600, 5_000, 12_000])
def test_a_damaged_byte_is_found(written: Path, tmp_path: Path, position: int) -> None:
    manifest = archive.read_manifest(written)
    damaged = bytearray(written.read_bytes())
    damaged[position] ^= 1
    written.write_bytes(damaged)
    with pytest.raises(
        ModelyardError, match=r"'databases/zenml\.dump' is not what it was\. Nothing was changed"
    ):
        archive.unpack(written, manifest, tmp_path / "out")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.8])
def test_one_that_was_not_written_to_its_end_is_refused(written: Path, part: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UsageError, match=r"no whole backup|only the beginning of one"):
        archive.read_manifest(written)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no tar\n" * 1_000)
    with pytest.raises(UsageError, match="no backup of Modelyard"):
        archive.read_manifest(file)
    with pytest.raises(UsageError, match="There is no file"):
        archive.read_manifest(tmp_path / "absent.tar")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "home/unknown"])  # noqa: S108 - must not be written
def test_a_file_that_the_manifest_does_not_name_is_never_written(
    written: Path, tmp_path: Path, name: str
) -> None:
    manifest = archive.read_manifest(written)
    with tarfile.open(written, "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, BytesIO(b"x"))
    with pytest.raises(ModelyardError, match="does not belong in it"):
        archive.unpack(written, manifest, tmp_path / "out")
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/outside").exists()  # noqa: S108


def test_a_later_format_is_refused_by_name(written: Path) -> None:
    content = written.read_bytes().replace(b'"format": 1', b'"format": 2')
    written.write_bytes(content)
    with pytest.raises(UsageError, match="has format 2; this Modelyard reads format 1"):
        archive.read_manifest(written)
