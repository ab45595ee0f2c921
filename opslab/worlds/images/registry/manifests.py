"""What is in a manifest: which blobs, which other manifests; and whether it is one at all. Pure.

    >>> import json
    >>> from opslab.worlds.images.registry import manifests
    >>> index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": []}
    >>> manifests.parse(json.dumps(index).encode()).media_type
    'application/vnd.oci.image.index.v1+json'

image-spec: manifest.md, image-index.md, descriptor.md. Docker: distribution, "Image Manifest Version 2, Schema 2".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opslab.worlds.images.registry import names
from opslab.worlds.images.registry.errors import RegistryError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)

ELSEWHERE = ("foreign", "nondistributable")
"""In the media type of a layer whose bytes are not meant to be in a registry (base layers of Windows)."""

LARGEST = 2**53


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    blobs      digest: size of config and layers, those that must be in the registry
    children   digest: size of the manifests that an index points to
    subject    the digest of the manifest that this one is about (a signature, an SBOM), or ""
    kind       artifactType, or the media type of the config, which the specification puts in its place
    """

    content: bytes
    media_type: str
    digest: str
    blobs: Mapping[str, int] = field(default_factory=dict)
    children: Mapping[str, int] = field(default_factory=dict)
    subject: str = ""
    kind: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    def descriptor(self) -> dict[str, Any]:
        """How a list of referrers names it."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}
        if self.kind:
            found["artifactType"] = self.kind
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found


def digest_of(content: bytes) -> str:
    """The sha256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse(content: bytes, media_type: str = "") -> Manifest:
    """Read a manifest. media_type: what the client says it is, "" for nothing. Raises RegistryError, MANIFEST_INVALID."""
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError):
        raise _invalid("it is not JSON in UTF-8, or too deep") from None
    if not isinstance(found, dict):
        raise _invalid("it is not a JSON object")
    if found.get("schemaVersion") != 2:
        raise _invalid("its schemaVersion is not 2")
    said, inside = media_type.partition(";")[0].strip().lower(), found.get("mediaType", "")
    if not isinstance(inside, str):
        raise _invalid("its mediaType is not a text")
    if inside and said and inside != said:
        raise _invalid(f"its mediaType is {names.short(inside)}, but it was sent as {names.short(said)}")
    kind = inside or said or (OCI_INDEX if "manifests" in found else OCI_MANIFEST)
    if kind not in IMAGES + INDEXES:
        raise _invalid(f"its media type is {names.short(kind)}; there are: {', '.join(IMAGES + INDEXES)}")
    if ("manifests" in found) == ("layers" in found or "config" in found):
        # What one client takes for an image, another one could take for an index: CVE-2021-41190.
        raise _invalid("an image has config and layers, an index has manifests; this has both, or neither")
    if kind in INDEXES and "manifests" not in found or kind in IMAGES and "manifests" in found:
        raise _invalid(f"what is in it does not fit its media type {kind!r}")
    blobs, children, artifact = {}, {}, found.get("artifactType") or ""
    if kind in INDEXES:
        children = dict(_descriptor(one)[:2] for one in _list(found, "manifests"))
    else:
        config = _descriptor(found.get("config"))
        layers = [_descriptor(one) for one in _list(found, "layers")]
        blobs = {
            digest: size for digest, size, what in [config, *layers] if not any(word in what for word in ELSEWHERE)
        }
        artifact = artifact or config[2]
    subject = _descriptor(found["subject"])[0] if found.get("subject") is not None else ""
    annotations = found.get("annotations") or {}
    if not isinstance(artifact, str) or not _texts(annotations):
        raise _invalid("artifactType is a text, annotations are texts by name")
    return Manifest(content, kind, digest_of(content), blobs, children, subject, artifact, annotations)


def _invalid(reason: str) -> RegistryError:
    return RegistryError("MANIFEST_INVALID", f"The manifest is not valid: {reason}.")


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise _invalid(f"{name} is not a list")
    return value


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _descriptor(value: Any) -> tuple[str, int, str]:
    """(digest, size, media type)."""
    if not isinstance(value, dict):
        raise _invalid("a descriptor is an object with mediaType, digest and size")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType")
    if not isinstance(digest, str) or not names.is_digest(digest):
        raise _invalid(f"a digest is {names.short(digest) if isinstance(digest, str) else 'missing'}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < LARGEST:
        raise _invalid(f"the size of {digest} is missing or no number of bytes")
    if not isinstance(media_type, str) or not media_type:
        raise _invalid(f"{digest} has no mediaType")
    return digest, size, media_type
