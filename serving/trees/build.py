"""The libraries of kernel.c, for every platform that serves models, compiled on whichever this is.

    .venv/bin/python serving/trees/build.py    # `make run` and others do it when the kernel changed

The compiler is zig's, a wheel of 100 MB that is fetched for this and thrown away again. The same kernel gives
the same bytes wherever it is compiled: Bentos carry them, and are named by what they hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "lib"
TARGETS = {
    "linux-x86_64": "x86_64-linux-gnu.2.17",
    "linux-aarch64": "aarch64-linux-gnu.2.17",
    "darwin-x86_64": "x86_64-macos",
    "darwin-arm64": "aarch64-macos",
}
"""Platform as Python names it → as the compiler does; each stands for every processor of its kind."""
_OPTIONS = "-std=c11 -Wall -Wextra -Werror -O3 -g0 -fomit-frame-pointer -s -shared -nostdlib"


def library(platform: str) -> Path:
    """Where the library for one of `TARGETS` lies."""
    return FOLDER / f"{platform}.so"


def main() -> None:
    """Compile all of them, then put them in their places."""
    with tempfile.TemporaryDirectory() as scratch:
        compiler = _fetch(Path(scratch) / "tools")
        caches = {f"ZIG_{scope}_CACHE_DIR": f"{scratch}/cache" for scope in ("GLOBAL", "LOCAL")}
        for platform, target in TARGETS.items():
            command = [compiler, "cc", *_OPTIONS.split(), "-target", target, str(HERE / "kernel.c")]
            # By a relative name: on macOS a library's own name is in it.
            subprocess.run([*command, "-o", platform], cwd=scratch, env=os.environ | caches, check=True)
        FOLDER.mkdir(exist_ok=True)
        for platform in TARGETS:
            draft = library(platform).with_suffix(f".{os.getpid()}")
            draft.write_bytes((Path(scratch) / platform).read_bytes())
            draft.replace(library(platform))


def _fetch(folder: Path) -> str:
    """The compiler, in a folder of its own, of the version and with the hashes that are locked."""
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    lock = str(HERE / "requirements.txt")
    subprocess.run([*install, "--require-hashes", "--requirements", lock], check=True)
    return str(folder / "ziglang" / "zig")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failed:
        # What went wrong stands above, in uv's or the compiler's words.
        sys.exit(f"No libraries were made: {Path(failed.cmd[0]).name} ended with {failed.returncode}.")
