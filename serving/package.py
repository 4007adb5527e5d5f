"""One Bento per model version: model, proof, contract, environment lock, reference profile and provenance.

A Bento is made in a folder beside the store and moved into it whole by one rename: whoever is killed on the
way leaves nothing that could be taken for a Bento, and of two who make the same one, one wins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import environment
import usecases
from errors import ReleaseError
from serving import contract, endpoint, model, verification
from serving.compile import check_parity, compile_model
from serving.openapi import openapi
from serving.trees.forest import libraries
from settings import PROJECT

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import UseCase

PREDICTION = "prediction"
"""Column of a package's examples with the model's predictions."""
REFERENCE_ROWS = 5_000
"""Examples that a Bento carries at most, for those who measure drift from them."""
LOCK = Path("serving/requirements.txt")
# Code that a Bento carries; of a use case everything but its bundled data.
_CODE = (
    "environment.py",
    "errors.py",
    "serving/**/*.py",
    "serving/**/*.html",
    "serving/**/*.css",
    "serving/**/*.js",
    "usecases/*.py",
)
_DATA = (".parquet", ".csv.gz")
_SERVICE = '''"""The service of this Bento."""

from pathlib import Path

from serving.service import service_of

service = service_of(Path(__file__).parent)
'''


@dataclass(frozen=True)
class ModelPackage:
    """A model version and everything that is to lie beside it in its Bento."""

    use_case: str
    model_version: int
    model: Any
    """Fitted scikit-learn pipeline over request columns."""
    provenance: Mapping[str, Any]
    """Where it comes from, as JSON values: `candidate`, and whatever else is to be told of it."""
    profile: Mapping[str, Any]
    """Reference profile of requests and predictions, as JSON values."""
    examples: pd.DataFrame
    """Validation rows: request columns, the target, and `prediction`, the model's answers when it was
    registered."""


@dataclass(frozen=True)
class Packed:
    """A Bento in the store."""

    tag: str
    """`<use case>:<model version>-<digest>`"""
    path: Path
    built: bool
    """Whether it was made just now; false when it was there already."""


def package(packed: ModelPackage, store: Path) -> Packed:
    """The Bento of a model version in the BentoML home folder `store`, made when it isn't there yet.

    Its version is made of the model version and a digest of everything that it holds: the same package
    gives the same Bento.

    Raises:
        ReleaseError: the model's predictions on the examples are not those that were recorded, it was trained
            with other libraries, it cannot be compiled, the compiled model predicts something else, or most
            examples are no valid requests.
        UsageError: the use case's request model lets through what an endpoint must refuse.
    """
    use_case = usecases.load(packed.use_case)
    files = _files(use_case, packed)
    version = f"{packed.model_version}-{_digest(files, packed.examples)}"
    path = store / "bentos" / packed.use_case / version
    found = Packed(tag=f"{packed.use_case}:{version}", path=path, built=False)
    if path.exists():
        return found
    contract.check(use_case.contract)
    _check_libraries(packed)
    _check_predictions(use_case, packed)
    with _workshop(store) as folder:
        context = folder / "context"
        for name, content in files.items():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_bytes(content)
        fast = compile_model(use_case, packed.model, packed.provenance["candidate"], context / endpoint.MODEL)
        check_parity(use_case, fast, packed.model, packed.examples)
        proof = verification.proof(use_case.contract, fast, packed.examples)
        (context / endpoint.VERIFICATION).write_text(json.dumps(proof))
        made = _build(context, folder, use_case, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(path)
        except OSError:
            if not path.exists():
                raise
            return found  # another command made the same one meanwhile
    _point_latest(path)
    return Packed(tag=found.tag, path=path, built=True)


def discard(bento: Path) -> None:
    """Remove the Bento in this folder from its store; `<use case>:latest` names the newest of the others."""
    latest = bento.with_name("latest")
    if latest.exists() and latest.read_text().strip() == bento.name:
        others = [path for path in bento.parent.iterdir() if path.is_dir() and path != bento]
        if others:
            _point_latest(max(others, key=lambda path: path.stat().st_mtime))
        else:
            latest.unlink()
    shutil.rmtree(bento)


def _files(use_case: UseCase, packed: ModelPackage) -> dict[str, bytes]:
    """Every file of the Bento's sources but the model's, by its path."""
    here = PROJECT / "usecases" / use_case.name
    code = [*libraries(), *(path for pattern in _CODE for path in PROJECT.glob(pattern))]
    own = [path for path in here.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".parquet")]
    files = {str(path.relative_to(PROJECT)): path.read_bytes() for path in sorted([*code, *own])}
    provenance = {
        **packed.provenance,
        "use_case": packed.use_case,
        "model_version": packed.model_version,
        "environment": environment.versions(environment.SERVING),
        "serving_lock": hashlib.sha256((PROJECT / LOCK).read_bytes()).hexdigest(),
    }
    documents = {
        endpoint.PROVENANCE: provenance,
        endpoint.PROFILE: dict(packed.profile),
        endpoint.OPENAPI: openapi(use_case.contract, packed.model_version),
    }
    files[str(LOCK)] = (PROJECT / LOCK).read_bytes()
    texts = {name: json.dumps(document, indent=2, default=str) for name, document in documents.items()}
    files[endpoint.REFERENCE] = _reference(packed.examples)
    return files | {name: text.encode() for name, text in {**texts, "service.py": _SERVICE}.items()}


def _reference(examples: pd.DataFrame) -> bytes:
    """At most `REFERENCE_ROWS` of the examples, always the same ones, as parquet."""
    drawn = examples.sample(min(len(examples), REFERENCE_ROWS), random_state=0).sort_index()
    content: bytes = drawn.to_parquet(index=False)
    return content


def _digest(files: Mapping[str, bytes], examples: pd.DataFrame) -> str:
    """A digest of all that the Bento holds.

    For the model, whose file has random names in it, stand its answers; so they do for its proof.
    """
    import pandas as pd

    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    digest.update(pd.util.hash_pandas_object(examples, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:12]


def _check_libraries(packed: ModelPackage) -> None:
    differ = environment.differences(packed.provenance.get("libraries", {}))
    if differ:
        raise ReleaseError(
            f"Version {packed.model_version} of {packed.use_case} was trained with other libraries: "
            f"{'; '.join(differ)}. Train anew: python run.py train {packed.use_case}"
        )


def _check_predictions(use_case: UseCase, packed: ModelPackage) -> None:
    """The model must still be the one that was registered, up to digits that depend on the machine."""
    now = model.predict(use_case, packed.model, packed.examples[use_case.request_columns])
    recorded = packed.examples[PREDICTION].to_numpy()
    differ = ~np.isclose(now, recorded, rtol=1e-9, atol=1e-12)
    if differ.any():
        raise ReleaseError(
            f"Version {packed.model_version} of {packed.use_case} doesn't predict what it did when it was "
            f"registered: {differ.sum():,} of {len(differ):,} validation rows differ, by up to "
            f"{np.abs(now - recorded).max():.6g}. Its files or the libraries changed; train anew: "
            f"python run.py train {packed.use_case}"
        )


def _build(context: Path, workshop: Path, use_case: UseCase, version: str) -> Path:
    """Let BentoML make the Bento out of `context`, in a store of its own; returns the Bento's folder."""
    # Read when BentoML is imported: nobody is told of it.
    os.environ["BENTOML_DO_NOT_TRACK"] = "true"
    import bentoml
    from bentoml._internal.bento import BentoStore
    from bentoml._internal.configuration.containers import BentoMLContainer

    logging.getLogger("bentoml").setLevel(logging.WARNING)
    store = workshop / "store"
    store.mkdir()
    # Or else it would make folders under the user's home.
    BentoMLContainer.bentoml_home.set(str(workshop))
    BentoMLContainer.tmp_bento_store_dir.set(str(workshop))
    try:
        bento = bentoml.build(
            "service:service",
            name=use_case.name,
            version=version,
            build_ctx=str(context),
            include=["*"],
            python={"packages": _pins(), "lock_packages": False},
            _bento_store=BentoStore(store),
        )
    finally:
        BentoMLContainer.bentoml_home.reset()
        BentoMLContainer.tmp_bento_store_dir.reset()
        # The next Bento's module has the same name.
        sys.modules.pop("service", None)
    return Path(bento.path)


def _pins() -> list[str]:
    """The lines of the serving lock without their hashes, which BentoML takes half a second to read."""
    lines = (PROJECT / LOCK).read_text().splitlines()
    return [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum()]


@contextmanager
def _workshop(store: Path) -> Iterator[Path]:
    """A folder beside the store to work in; those of killed commands are cleared away on the way."""
    building = store / "building"
    building.mkdir(parents=True, exist_ok=True)
    for left in building.iterdir():
        with _locked(left) as ours:
            if ours:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=building))
    with _locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder's lock was free and is now ours; the kernel gives it back when the process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _point_latest(path: Path) -> None:
    """Make `<use case>:latest` name this Bento, in one step."""
    draft = path.with_name(f".latest.{os.getpid()}")
    draft.write_text(path.name)
    draft.replace(path.with_name("latest"))
