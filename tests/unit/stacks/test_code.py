"""The code that a run takes to its pods."""

from __future__ import annotations

import tarfile
from pathlib import Path

from settings import PROJECT
from stacks.kubernetes import code


def test_a_run_takes_along_its_code_and_the_libraries_that_git_ignores(tmp_path: Path) -> None:
    from zenml.utils.code_utils import CodeArchive

    code.take_libraries_along()
    code.take_libraries_along()
    with (tmp_path / "code.tar.gz").open("w+b") as file:
        CodeArchive(root=str(PROJECT)).write_archive(file)
    with tarfile.open(tmp_path / "code.tar.gz") as archive:
        names = archive.getnames()
    assert {"run.py", "serving/trees/kernel.c"} <= set(names)
    assert sorted(name for name in names if name.endswith(".so")) == [
        "serving/trees/lib/darwin-arm64.so",
        "serving/trees/lib/darwin-x86_64.so",
        "serving/trees/lib/linux-aarch64.so",
        "serving/trees/lib/linux-x86_64.so",
    ]
