"""The front door of a registry: who is asking, may they, and which images are behind it.

`server` speaks HTTP and asks a door; `team` and `ecr` are the two doors that there are. Blobs and uploads are always in the
door's `Store`; manifests and tags are wherever the door has them.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import IO, Any

from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.manifests import Manifest
from opslab.worlds.images.registry.store import Store

# What a request wants, by the names that ECR has for them: IAM knows these, and no other registry has more.
CHECK_BLOB = "BatchCheckLayerAvailability"
GET_BLOB = "GetDownloadUrlForLayer"
START_UPLOAD = "InitiateLayerUpload"
UPLOAD = "UploadLayerPart"
FINISH_UPLOAD = "CompleteLayerUpload"
GET_MANIFEST = "BatchGetImage"
PUT_MANIFEST = "PutImage"
DELETE = "BatchDeleteImage"
LIST_TAGS = "ListImages"
CATALOG = "DescribeRepositories"


class Door(ABC):
    """One front door. `caller` in the methods is whatever `caller()` has found out about who is asking."""

    mounts = True
    """Whether a blob may be had from another repository without sending it."""

    deletes_blobs = True

    def __init__(self, store: Store) -> None:
        self.store = store

    @abstractmethod
    def caller(self, headers: Mapping[str, str]) -> Any:
        """Who is asking. RegistryError where what the request says of it is wrong."""

    @abstractmethod
    def allow(self, caller: Any, want: str, name: str) -> None:
        """Return if the caller may do this in a repository; else raise RegistryError."""

    @abstractmethod
    def ping(self, caller: Any) -> None:
        """Return if /v2/ may be answered; else raise RegistryError, with the challenge from which clients learn how to log in."""

    def token(self, headers: Mapping[str, str], query: Mapping[str, list[str]]) -> dict[str, Any]:
        """The answer to a request for a token."""
        raise RegistryError("UNSUPPORTED", "This registry gives no tokens here.", status=404)

    address = ""

    def opened(self, address: str) -> None:
        """Called with the address, "127.0.0.1:5000", when the registry begins to listen."""
        self.address = address

    # Images. Each method asks `allow` itself.

    def manifest(self, caller: Any, name: str, reference: str) -> Manifest:
        self.allow(caller, GET_MANIFEST, name)
        return self.store.manifest(name, reference)

    def put_manifest(self, caller: Any, name: str, reference: str, content: bytes, media_type: str) -> Manifest:
        self.allow(caller, PUT_MANIFEST, name)
        return self.store.put(name, reference, content, media_type)

    def delete_manifest(self, caller: Any, name: str, reference: str) -> None:
        self.allow(caller, DELETE, name)
        self.store.delete_manifest(name, reference)

    def tags(self, caller: Any, name: str) -> list[str]:
        self.allow(caller, LIST_TAGS, name)
        return self.store.tags(name)

    def referrers(self, caller: Any, name: str, digest: str) -> list[Manifest]:
        self.allow(caller, GET_MANIFEST, name)
        return self.store.referrers(name, digest)

    def catalog(self, caller: Any) -> list[str]:
        self.allow(caller, CATALOG, "")
        return self.store.repositories()

    # Blobs, of which only the reading is not the same everywhere.

    def open_blob(self, caller: Any, want: str, name: str, digest: str) -> IO[bytes]:
        """A blob for GET_BLOB, or for CHECK_BLOB, which is not read."""
        self.allow(caller, want, name)
        return self.store.open(name, digest)


def basic(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """(user, password) of a request with Basic authentication; None where it has none. RegistryError where it is garbled."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user, colon, password = "", "", ""
    if not colon:
        raise RegistryError(
            "UNAUTHORIZED", "The Authorization header cannot be read: Basic, then user:password in base64."
        )
    return user, password
