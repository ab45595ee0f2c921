"""What repositories, tags and digests are called: distribution-spec, "Pulling manifests"; image-spec, descriptor.md, "Digests".

>>> from opslab.worlds.images.registry import names
>>> names.repository("clicks/loader")
'clicks/loader'
>>> names.repository("../etc")
Traceback (most recent call last):
opslab.worlds.images.registry.errors.RegistryError: '../etc' is no name for a repository: …
"""

from __future__ import annotations

import re

from opslab.worlds.images.registry.errors import RegistryError

LONGEST = 240
"""Characters of a repository's name. It becomes the name of a file, and those end at 255."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def short(text: str) -> str:
    """A text from outside, as it may stand in a message."""
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def repository(name: str) -> str:
    """The name, if it is one. Raises RegistryError."""
    if len(name) > LONGEST or not _NAME.fullmatch(name):
        raise RegistryError(
            "NAME_INVALID",
            f"{short(name)} is no name for a repository: small letters and digits, with . _ - in between, and / between its "
            f"parts; at most {LONGEST} characters.",
        )
    return name


def is_tag(text: str) -> bool:
    """Whether it can be a tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it is a digest that can be checked here: sha256 or sha512."""
    return _DIGEST.fullmatch(text) is not None


def digest(text: str) -> str:
    """The digest, if it is one. Raises RegistryError."""
    if not is_digest(text):
        raise RegistryError(
            "DIGEST_INVALID", f"{short(text)} is no digest: sha256: and 64 characters of 0-9 a-f, or sha512: and 128."
        )
    return text


def reference(text: str) -> str:
    """A tag or digest, if it is one. Raises RegistryError."""
    if ":" in text:
        return digest(text)
    if not is_tag(text):
        raise RegistryError(
            "TAG_INVALID",
            f"{short(text)} is no tag: letters, digits and . _ -, at most 128, and not . or - at the start.",
        )
    return text
