"""The layer that holds a Bento: the same files are the same bytes, whoever made them and when."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from errors import ReleaseError
from releases.kubernetes.image import layer_of


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    return _written(tmp_path / "bento")


def _written(folder: Path) -> Path:
    (folder / "src" / "serving").mkdir(parents=True)
    (folder / "bento.yaml").write_text("name: toy\nversion: 1-abc\n")
    (folder / "src" / "serving" / "service.py").write_text("service = None\n")
    return folder


def test_the_same_files_written_elsewhere_at_another_time_with_other_rights_are_the_same_bytes(
    bento: Path, tmp_path: Path
) -> None:
    other = _written(tmp_path / "other")
    os.utime(other / "bento.yaml", (1, 1))
    (other / "bento.yaml").chmod(0o600)
    with layer_of(bento) as layer, layer_of(other) as again:
        assert (layer.digest, layer.diff_id, layer.size) == (again.digest, again.diff_id, again.size)
        assert layer.content.read() == again.content.read()
    (other / "bento.yaml").write_text("name: toy\nversion: 2-abc\n")
    with layer_of(other) as changed:
        assert changed.digest != layer.digest


def test_its_digests_are_those_of_its_bytes_packed_and_unpacked(bento: Path) -> None:
    with layer_of(bento) as layer:
        packed = layer.content.read()
    assert layer.size == len(packed)
    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"


def test_any_user_of_the_image_can_read_it_and_none_but_root_can_change_it(bento: Path) -> None:
    for path in [*bento.rglob("*"), bento]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    with layer_of(bento) as layer, tarfile.open(fileobj=layer.content) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == [
        "opt/bento",
        "opt/bento/bento.yaml",
        "opt/bento/src",
        "opt/bento/src/serving",
        "opt/bento/src/serving/service.py",
    ]
    for entry in entries:
        assert entry.mode == (0o755 if entry.isdir() else 0o644)
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)


def test_what_python_compiled_while_it_was_served_from_the_folder_is_left_out(bento: Path) -> None:
    with layer_of(bento) as before:
        pass
    compiled = bento / "src" / "serving" / "__pycache__" / "service.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"compiled")
    with layer_of(bento) as after:
        assert after.digest == before.digest


def test_no_space_left_is_said_with_the_place_and_what_to_do(
    bento: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    def full(*_: Any, **__: Any) -> Any:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with (
        pytest.raises(ReleaseError, match=r"No space is left in .* or let TMPDIR name another folder"),
        layer_of(bento),
    ):
        pass
