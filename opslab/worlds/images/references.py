"""Names of images, as people write them: `python:3-slim`, `registry.targ.example/data/loader@sha256:…`.

    >>> parse("registry.targ.example:5000/data/loader:1.4")
    Reference(host='registry.targ.example:5000', path='data/loader', tag='1.4', digest='')
    >>> str(parse("python"))
    'python:latest'

The grammar is that of https://github.com/distribution/reference. To an engine, a name without a host means Docker Hub; here
it means this machine, because nothing is fetched from anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LONGEST = 255

HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""What Docker Hub is called where somebody writes its host."""


class NameProblem(ValueError):
    """A text that is no name of an image. Says what is wrong with it."""


@dataclass(frozen=True)
class Reference:
    """The parts of a name. `host` is empty where none was written; `tag` is empty only beside a digest."""

    host: str
    path: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Host and path: what tags and digests belong to."""
        return f"{self.host}/{self.path}" if self.host else self.path

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Take the name of an image apart. Without tag and digest, the tag is `latest`. Raises NameProblem."""
    shown = repr(text if len(text) <= 80 else f"{text[:80]}…")
    if "://" in text:
        raise NameProblem(f"{shown} is an address; the name of an image has no https:// in front")
    rest, _, digest = text.partition("@")
    if "@" in text and not DIGEST.fullmatch(digest):
        raise NameProblem(f"{shown} has no digest behind its @; one is sha256: and 64 of the digits 0-9 and a-f")
    host, slash, path = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "", rest
    path, colon, tag = path.partition(":")
    if host and not _HOST.fullmatch(host):
        raise NameProblem(f"{shown} has no host in front of its first /; one looks like registry.targ.example")
    if not _PATH.fullmatch(path) or len(rest) > LONGEST:
        wrong = "there are capital letters in it; " if path != path.lower() else ""
        raise NameProblem(
            f"{shown} is no name of an image: {wrong}small letters and digits, with . _ - in between and / between its parts, "
            "then :tag or @sha256:…"
        )
    if colon and not _TAG.fullmatch(tag):
        raise NameProblem(f"{shown} has no tag behind its colon; letters, digits and . _ - make one, such as 3-slim")
    return Reference(host, path, tag or ("" if digest else "latest"), digest)
