"""Push, pull and copy images, for machines that have no docker and no skopeo. Talks to registries on this machine, and no others.

    >>> from opslab.worlds.images.registry import client
    >>> logins = client.Logins("workspace/.docker/config.json")                                           # doctest: +SKIP
    >>> logins.add("127.0.0.1:5000", "ana", "a-password")                                                 # doctest: +SKIP
    >>> client.push("workspace/image", "127.0.0.1:5000/clicks/loader:1.0", logins)                        # doctest: +SKIP
    'sha256:3f0a…'
    >>> client.copy("127.0.0.1:5000/clicks/loader:1.0", "127.0.0.1:5001/clicks/loader:1.0", logins)       # doctest: +SKIP
    'sha256:3f0a…'

Images are folders in the OCI layout. Logins are kept where docker, podman and skopeo keep theirs, in the same form. What a
registry refuses is told in its own words, as those tools do: `denied: …`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, urlsplit

from opslab.worlds.images import references
from opslab.worlds.images.registry import manifests, names
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.manifests import Manifest

PIECE = 1024 * 1024
SECONDS = 60
MANIFEST_LIMIT = 4 * 1024 * 1024
ACCEPT = ", ".join(manifests.IMAGES + manifests.INDEXES)


class ClientProblem(ValueError):
    """It cannot be done. The text is one sentence, made to be shown."""


class Logins:
    """Who one is at which registry, in docker's configuration file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise ClientProblem(f"{self.path} cannot be read ({error}); repair it, or take it away.") from None
        return found if isinstance(found, dict) else {}

    def get(self, host: str) -> str:
        """user:password in base64; "" where one has not logged in."""
        found = self._read().get("auths")
        entry = found.get(host) if isinstance(found, dict) else None
        return str(entry.get("auth", "")) if isinstance(entry, dict) else ""

    def add(self, host: str, user: str, password: str) -> None:
        """Log in: the registry is asked, and the login is kept. Raises ClientProblem where it says no."""
        given = base64.b64encode(f"{user}:{password}".encode()).decode()
        Remote(host, given).ping()
        found = self._read()
        found["auths"] = {**(found.get("auths") or {}), host: {"auth": given}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(found, indent=1) + "\n")
        fresh.replace(self.path)


class Remote:
    """One registry. login: user:password in base64, "" for nobody. Methods raise ClientProblem."""

    def __init__(self, host: str, login: str = "") -> None:
        self.host, self.login = host, login
        self._tokens: dict[str, str] = {}
        name, _, port = host.partition(":")
        if name not in ("127.0.0.1", "localhost") or not re.fullmatch(r"\d{1,5}", port):
            raise ClientProblem(
                f"{host or 'A name without a host'} is not on this machine; registries here are called 127.0.0.1:PORT."
            )

    def ping(self) -> None:
        """Ask whether one may come in."""
        self._ask("GET", "/v2/", "")

    def manifest(self, name: str, reference: str) -> Manifest:
        """The manifest of a tag or digest, checked."""
        with self._ask("GET", f"/v2/{name}/manifests/{reference}", f"repository:{name}:pull", Accept=ACCEPT) as answer:
            content = answer.read(MANIFEST_LIMIT)
            try:
                found = manifests.parse(content, answer.headers.get("Content-Type", ""))
            except RegistryError as error:
                raise ClientProblem(f"{self.host}: {error.message}") from None
        if ":" in reference and found.digest != reference:
            raise ClientProblem(f"{self.host} has sent {found.digest}, and not what was asked for, {reference}.")
        return found

    def has(self, name: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        try:
            self._ask("HEAD", f"/v2/{name}/blobs/{digest}", f"repository:{name}:pull,push").close()
        except ClientProblem:
            return False  # it may also be that nobody says: then sending it will tell
        return True

    def fetch(self, name: str, digest: str, file: IO[bytes]) -> None:
        """Write a blob into a file, and check it."""
        hasher = hashlib.new(digest.partition(":")[0])
        with self._ask("GET", f"/v2/{name}/blobs/{digest}", f"repository:{name}:pull") as answer:
            while piece := answer.read(PIECE):
                hasher.update(piece)
                file.write(piece)
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise ClientProblem(f"{self.host} has sent other bytes than those of {digest}.")

    def send(self, name: str, digest: str, file: IO[bytes]) -> None:
        """Send a blob, unless it is there."""
        if self.has(name, digest):
            return
        scope = f"repository:{name}:pull,push"
        with self._ask("POST", f"/v2/{name}/blobs/uploads/", scope) as answer:
            place = answer.headers.get("Location", "")
        path = urlsplit(place)
        where = f"{path.path}?{path.query}{'&' if path.query else ''}digest={quote(digest)}"
        self._ask("PUT", where, scope, file, Content_Type="application/octet-stream").close()

    def put(self, name: str, reference: str, found: Manifest) -> None:
        """Put a manifest under a tag or digest."""
        scope = f"repository:{name}:pull,push"
        self._ask(
            "PUT", f"/v2/{name}/manifests/{reference}", scope, found.content, Content_Type=found.media_type
        ).close()

    # --- requests --------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        line = http.client.HTTPConnection(self.host, timeout=SECONDS, blocksize=PIECE)
        try:
            line.request(method, path, body, dict(headers))
            yield line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise ClientProblem(
                f"{self.host} does not answer ({error or type(error).__name__}). Is it running?"
            ) from None
        finally:
            line.close()

    def _ask(self, method: str, path: str, scope: str, body: Any = None, **more: str) -> Answer:
        """Do a request; log in as the registry asks for it, once."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if scope in self._tokens:
            headers["Authorization"] = self._tokens[scope]
        answer = Answer(self, method, path, body, headers)
        if answer.status == 401 and (challenge := answer.headers.get("WWW-Authenticate")):
            answer.close()
            self._tokens[scope] = headers["Authorization"] = self._log_in(challenge, scope)
            if hasattr(body, "seek"):
                body.seek(0)
            answer = Answer(self, method, path, body, headers)
        if answer.status >= 400:
            raise ClientProblem(answer.refusal())
        return answer

    def _log_in(self, challenge: str, scope: str) -> str:
        """The Authorization that a challenge asks for: distribution, "Token Authentication Specification"."""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if not self.login:
                raise ClientProblem(f"unauthorized: {self.host} wants to know who you are. Log in first.")
            return f"Basic {self.login}"
        said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urlsplit(said.get("realm", ""))
        if kind.lower() != "bearer" or realm.netloc != self.host:
            raise ClientProblem(
                f"{self.host} asks to log in at {realm.netloc or 'nowhere'}, which is not done from here."
            )
        query = f"service={quote(said.get('service', ''))}" + (f"&scope={quote(scope)}" if scope else "")
        headers = {"Authorization": f"Basic {self.login}"} if self.login else {}
        with Answer(self, "GET", f"{realm.path}?{query}", None, headers) as answer:
            if answer.status != 200:
                raise ClientProblem(answer.refusal())
            content = answer.read(PIECE)
        try:
            return f"Bearer {json.loads(content)['token']}"
        except (ValueError, KeyError, TypeError):
            raise ClientProblem(f"{self.host} has given no token.") from None


class Answer:
    """What a registry has answered. Use as a context manager, or close it."""

    def __init__(self, remote: Remote, method: str, path: str, body: Any, headers: Mapping[str, str]) -> None:
        self.remote = remote
        self._stack = contextlib.ExitStack()
        found = self._stack.enter_context(remote._open(method, path, body, headers))
        self.status, self.headers, self._found = found.status, found.headers, found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def read(self, size: int) -> bytes:
        """Some bytes of the body."""
        try:
            return self._found.read(size)
        except (OSError, http.client.HTTPException):
            raise ClientProblem(f"{self.remote.host} has stopped in the middle of its answer. Try again.") from None

    def refusal(self) -> str:
        """The registry's own words, as docker shows them."""
        with self:
            try:
                (error, *_) = json.loads(self.read(PIECE))["errors"]
                return f"{str(error['code']).replace('_', ' ').lower()}: {error['message']}"
            except (ValueError, KeyError, TypeError):
                return f"{self.remote.host} has answered {self.status}, without a reason."


# --- images ------------------------------------------------------------------------------------------------------------------


def push(layout: str | os.PathLike[str], target: str, logins: Logins) -> str:
    """Send the one image of an OCI layout's folder to HOST/NAME:TAG; returns its digest. Blobs that are there are not sent."""
    folder = Path(layout)
    where, remote = _remote(target, logins)
    try:
        entries = json.loads((folder / "index.json").read_text())["manifests"]
        digest = names.digest(str(entries[0]["digest"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, RegistryError):
        raise ClientProblem(f"{folder} is no image: an OCI layout has an index.json that names one.") from None
    if len(entries) != 1:
        raise ClientProblem(f"{folder} has {len(entries)} images; one is expected.")

    def send(digest: str, media_type: str, reference: str) -> None:
        found = _read(folder, digest, media_type)
        for child in found.children:
            send(child, "", child)
        for blob in found.blobs:
            try:
                file = _file(folder, blob).open("rb")
            except OSError as error:
                raise ClientProblem(f"{folder} is not complete: {blob} ({error.strerror}).") from None
            with file:
                remote.send(where.path, blob, file)
        remote.put(where.path, reference, found)

    send(digest, entries[0].get("mediaType", ""), where.tag or where.digest)
    return digest


def pull(source: str, layout: str | os.PathLike[str], logins: Logins) -> str:
    """Get HOST/NAME:TAG, or @DIGEST, into a folder in the OCI layout, which then has this one image; returns its digest."""
    folder = Path(layout)
    where, remote = _remote(source, logins)
    found = remote.manifest(where.path, where.digest or where.tag)

    def get(one: Manifest) -> None:
        for child in one.children:
            get(remote.manifest(where.path, child))
        for blob in one.blobs:
            path = _file(folder, blob)
            if not path.exists():
                with _fresh(path) as file:
                    remote.fetch(where.path, blob, file)
        with _fresh(_file(folder, one.digest)) as file:
            file.write(one.content)

    get(found)
    entry = {**found.descriptor(), "annotations": {"org.opencontainers.image.ref.name": where.tag or where.digest}}
    entry.pop("artifactType", None)
    with _fresh(folder / "oci-layout") as file:
        file.write(b'{"imageLayoutVersion": "1.0.0"}\n')
    with _fresh(folder / "index.json") as file:
        index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": [entry]}
        file.write(json.dumps(index, indent=1).encode() + b"\n")
    return found.digest


def copy(source: str, target: str, logins: Logins) -> str:
    """Copy an image from one registry to another as it is, so that its digest stays; returns the digest."""
    with tempfile.TemporaryDirectory(prefix="opslab-copy-") as folder:
        pull(source, folder, logins)
        return push(folder, target, logins)


def _remote(text: str, logins: Logins) -> tuple[references.Reference, Remote]:
    try:
        where = references.parse(text)
    except references.NameProblem as error:
        raise ClientProblem(f"{error}.") from None
    return where, Remote(where.host, logins.get(where.host))


def _file(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def _read(folder: Path, digest: str, media_type: str) -> Manifest:
    try:
        content = _file(folder, digest).read_bytes()
        found = manifests.parse(content, media_type)
    except (OSError, RegistryError) as error:
        raise ClientProblem(f"{folder} is not complete: {digest} ({error}).") from None
    if found.digest != digest:
        raise ClientProblem(f"{folder} is damaged: what is called {digest} has the digest {found.digest}.")
    return found


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
