"""Refusals of the registry, with the codes of the specification: distribution-spec, "Error Codes"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "TAG_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
    "UNAVAILABLE": 503,
    "UNKNOWN": 500,
}
"""The usual status of each code. TAG_INVALID, UNAVAILABLE and UNKNOWN are not in the list of OCI, but clients know them from
Docker's registry, and ECR says TAG_INVALID, too."""


class RegistryError(Exception):
    """What a client is told. message: one sentence; detail: anything that JSON can hold; headers: for the answer."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.detail = code, message, detail
        self.status = status or STATUS[code]
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON that the specification asks for."""
        error = {"code": self.code, "message": self.message}
        return {"errors": [error if self.detail is None else {**error, "detail": self.detail}]}
