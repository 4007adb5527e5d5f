"""The record of releases of a platform, reached through its MLflow server (stacks/platform/records.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from db.platform import Platform
from db.recorded import PATH, Approval, Recorded, Trail
from errors import ReleaseError

T = TypeVar("T")

_LISTED = TypeAdapter(list[Recorded])
_APPROVED = TypeAdapter(list[Approval])
_TRAIL = TypeAdapter(Trail)


class Records(Platform):
    """The record at one server. Each method raises ReleaseError when what it asks for is not done."""

    what = "The record of releases"
    error = ReleaseError

    def begin(
        self,
        *,
        use_case: str,
        model_version: int,
        bento: str,
        target: str,
        released_by: str,
        zenml_run: str | None = None,
        image: str | None = None,
        why: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> int:
        """Note that a release has begun; returns its id."""
        body: dict[str, Any] = {
            "use_case": use_case,
            "model_version": model_version,
            "bento": bento,
            "target": target,
            "released_by": released_by,
            "zenml_run": zenml_run,
            "image": image,
            "why": why,
        }
        if evidence is not None:
            body["evidence"] = dict(evidence)
        return int(self.ask("POST", PATH, 201, json=body).json()["id"])

    def canary(self, release: int, address: str, reason: str | None = None) -> None:
        """The release takes a share from now on, beside the one that serves."""
        self._tell(release, "canary", address=address, reason=reason)

    def serve(self, release: int, address: str) -> None:
        """The release serves from now on, and whichever served before is superseded."""
        self._tell(release, "serve", address=address)

    def fail(self, release: int, reason: str) -> None:
        """The release was given up."""
        self._tell(release, "fail", reason=reason)

    def withdraw(self, release: int, reason: str) -> None:
        """The canary was taken back."""
        self._tell(release, "withdraw", reason=reason)

    def stop(self, release: int, reason: str) -> None:
        """The release no longer serves."""
        self._tell(release, "stop", reason=reason)

    def history(self, use_case: str | None = None, target: str | None = None) -> list[Recorded]:
        """The newest releases first: all of them, or those of a use case or a target."""
        asked = {"use_case": use_case, "target": target}
        return self._read("", _LISTED, **{name: value for name, value in asked.items() if value})

    def trail(self) -> Trail:
        """The audit trail, and what it is about."""
        return self._read("/audit", _TRAIL)

    def approve(
        self, *, use_case: str, model_version: int, model: str, approved_by: str, note: str | None = None
    ) -> int:
        """Note that somebody approved a version; returns the approval's id."""
        body = {
            "use_case": use_case,
            "model_version": model_version,
            "model": model,
            "approved_by": approved_by,
            "note": note,
        }
        return int(self.ask("POST", f"{PATH}/approvals", 201, json=body).json()["id"])

    def approvals(self, use_case: str, model_version: int) -> list[Approval]:
        """The approvals of a version, the newest first."""
        return self._read("/approvals", _APPROVED, use_case=use_case, model_version=model_version)

    def _read(self, path: str, kind: TypeAdapter[T], **asked: Any) -> T:
        answer = self.ask("GET", PATH + path, 200, params=asked)
        try:
            return kind.validate_json(answer.content)
        except ValidationError as error:
            raise ReleaseError(
                f"What {answer.url} answers is no record of releases; is it the address of a platform's "
                f"MLflow server? {error.errors()[0]['msg']}"
            ) from None

    def _tell(self, release: int, change: str, **body: str | None) -> None:
        self.ask("POST", f"{PATH}/{release}/{change}", 204, json=body)
