"""Virtual environments of the peers: made by uv on the first run, never the project's own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "benchmarks" / ".environments"


def make(
    folder: Path, requirements: Sequence[str], overrides: Sequence[str] = (), lock: Path | None = None
) -> Path:
    """The Python of an environment with these packages, compiled to bytecode as ours is; made when missing.

    Overrides take the place of what a package demands; a lock is installed as it is, hashes checked.
    """
    content = [*requirements, *overrides, lock.read_text() if lock else ""]
    done = folder / f".installed-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if done.exists():
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    if folder.exists():
        shutil.rmtree(folder)
    print(f"Making the environment {folder.name} …", file=sys.stderr)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    if lock:
        subprocess.run([*install, "--requirements", str(lock)], check=True)
    if requirements:
        replaced = folder / "overrides.txt"
        replaced.write_text("\n".join(overrides))
        subprocess.run([*install, "--overrides", str(replaced), *requirements], check=True)
    done.touch()
    return python


def pinned(*names: str) -> list[str]:
    """`name==version` of packages, as the project's lock has them for this Python.

    Raises:
        KeyError: the lock has no such package.
    """
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    found = {}
    for line in lines:
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = f"{requirement.name}{requirement.specifier}"
    return [found[name] for name in names]


def versions(python: Path, *names: str) -> dict[str, str]:
    """Versions of packages in an environment."""
    code = "import json, sys; from importlib.metadata import version; "
    code += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    asked = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(asked.stdout)
    return found
