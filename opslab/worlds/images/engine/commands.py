"""What an engine can be asked for, and how it does it. Each command has the shape of its question, and gives plain data.

    >>> commands = Commands(store, {"registry.targ.example": "127.0.0.1:5000"})             # doctest: +SKIP
    >>> commands.do("images", {}, Work(folder, print))                                      # doctest: +SKIP
    {'images': [{'name': 'python', 'tag': '3-slim', …}]}

What somebody asks for may be nonsense or worse: it is held against its shape first. No text in it is ever a path of this machine.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import posixpath
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opslab import jail
from opslab.worlds.forge.schema import Map, Maybe, Text, shaped
from opslab.worlds.images import build as builds
from opslab.worlds.images import container, context, dockerfile, inspection, picture, references
from opslab.worlds.images.engine import parcel, proxy
from opslab.worlds.images.layers import LayerProblem, printable
from opslab.worlds.images.registry import client, manifests
from opslab.worlds.images.rootfs import RootfsError
from opslab.worlds.images.scanner import audit, gate, installed, sbom
from opslab.worlds.images.store import MANIFEST, NAME, Image, ImageNotFound, Store, StoreError, canonical, sha256

VERSION = "1"
SENT = "sent"
"""The file in a request's folder with what came behind the question."""

LEFT_OUT = 1000
"""Paths that .dockerignore leaves out of which a build is told, so that it can name the line."""

LISTED = 200_000

PROBLEMS = (
    StoreError, builds.BuildError, container.ContainerError, context.ContextError, client.ClientProblem, LayerProblem,
    RootfsError, jail.JailError, references.NameProblem, installed.ScanError, dockerfile.DockerfileError,
)  # fmt: skip
"""What has a text that a learner understands."""


class Refused(Exception):
    """It cannot be done. code: the exit code of the command, 0 for its usual one."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Work:
    """One request at work. folder: of its own; `sent` in it is what came behind the question. line: sends a line to the client."""

    folder: Path
    line: Callable[..., None]

    def out(self, text: str) -> None:
        self.line(out=f"{text}\n")

    def err(self, text: str) -> None:
        self.line(err=f"{text}\n")

    def unpacked(self) -> Path:
        """The folder with the files that the client has sent."""
        if not (self.folder / SENT).exists():
            raise Refused("The files are missing behind the question.")
        parcel.unpack(self.folder / SENT, self.folder / "files")
        return self.folder / "files"


@dataclass(frozen=True)
class Command:
    """shape: of the question. heavy: whether it needs a processor for itself. code: the exit code where it cannot be done."""

    do: Callable[[Commands, dict[str, Any], Work], Any]
    shape: dict[str, Any]
    heavy: bool = False
    code: int = 1


COMMANDS: dict[str, Command] = {}

IMAGE, WORD, LONG = Text(512), Text(4096), Text(1024 * 1024)
LOGINS = Maybe(Map(Text(300), Text(16 * 1024)), {})
"""What the client has in its config.json: host to user:password in base64."""


def command(shape: dict[str, Any], **more: Any) -> Callable[[Any], Any]:
    """Marks a method as a command with its own name."""

    def mark(method: Any) -> Any:
        COMMANDS[method.__name__] = Command(method, shape, **more)
        return method

    return mark


@dataclass
class Commands:
    """The commands of one engine. The fields are those of `Engine`."""

    store: Store
    hosts: dict[str, str] = field(default_factory=dict)
    services: Mapping[int, str | Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    images_here: Mapping[str, str] = field(default_factory=dict)
    osv_url: str = ""

    def __post_init__(self) -> None:
        self._work = self.store.folder / "work"
        self._places: dict[str, threading.Lock] = {}
        shutil.rmtree(self._work, ignore_errors=True)  # of an engine that was killed
        self._work.mkdir(exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one request."""
        with tempfile.TemporaryDirectory(dir=self._work, prefix="ask-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def do(self, name: str, ask: Any, work: Work) -> Any:
        """Do a command. Raises Refused; OSError where the client has gone."""
        asked = COMMANDS[name]
        try:
            return asked.do(self, shaped(ask, asked.shape), work)
        except Refused as error:
            raise Refused(str(error), error.code or asked.code) from None
        except PROBLEMS as error:
            raise Refused(str(error), asked.code) from None
        except ValueError as error:
            raise Refused(f"{name}: {error}", asked.code) from None

    # --- images of the store

    def _find(self, name: str) -> Image:
        """An image by its name, by a digest, or by the first digits of one, as docker takes it."""
        name = self.images_here.get(name, name)
        with contextlib.suppress(ImageNotFound):
            return self.store.find(name)
        if start := re.fullmatch(r"(?:sha256:)?([0-9a-f]{4,64})", name):
            found = [one for one in self.store.digests() if one.startswith(f"sha256:{start[1]}")]
            if len(found) > 1:
                raise Refused(f"{name} is the beginning of {len(found)} images; give more of its digits.")
            if found:
                return self.store.image(found[0])
        return self.store.find(name)  # which says what is there

    def _names(self) -> dict[str, list[str]]:
        """Digest to the names of an image; those at registries first, as it is them that a digest is asked for."""
        found: dict[str, list[str]] = {digest: [] for digest in self.store.digests()}
        for name, digest in self.store.tags().items():
            found.setdefault(digest, []).append(name)
        for names in found.values():
            names.sort(key=lambda name: (not references.parse(name).host, name))
        return found

    def _size(self, image: Image) -> int:
        """The bytes of the files in all layers."""
        total = 0
        for layer in image.layers:
            with contextlib.suppress(LayerProblem, StoreError):
                total += sum(node.size for _, node in self.store.listing(layer).nodes)
        return total

    @command({})
    def version(self, ask: dict[str, Any], work: Work) -> Any:
        """What this is, and where it would ask for images."""
        return {"version": VERSION, "registries": list(self.hosts)}

    @command({"name": Maybe(IMAGE, "")})
    def images(self, ask: dict[str, Any], work: Work) -> Any:
        """A row for each name of each image, the newest first; with `name` those of one repository, or one tag of it."""
        rows = []
        wanted = references.parse(ask["name"]) if ask["name"] else None
        tagged = wanted and ":" in ask["name"].rpartition("/")[2]
        for digest, names in reversed(self._names().items()):
            image = self.store.image(digest)
            about = {"digest": digest, "created": image.config["created"], "size": self._size(image)}
            parsed = [references.parse(name) for name in names]
            if wanted:
                parsed = [one for one in parsed if one.name == wanted.name and (not tagged or one.tag == wanted.tag)]
            elif not names:
                rows.append({"name": "<none>", "tag": "<none>", **about})
            rows += [{"name": one.name, "tag": one.tag, **about} for one in parsed]
        return {"images": rows}

    @command({"image": IMAGE})
    def history(self, ask: dict[str, Any], work: Work) -> Any:
        """How an image came to be, newest first."""
        image = self._find(ask["image"])
        rows = []
        for made in reversed(inspection.history(image)):
            size = sum(node.size for _, node in self.store.listing(made.layer).nodes) if made.layer else 0
            rows.append({"by": made.by, "size": size, "created": image.config["created"]})
        return {"digest": image.digest, "rows": rows}

    @command({"images": [IMAGE]})
    def inspect(self, ask: dict[str, Any], work: Work) -> Any:
        """What docker says of images; `problems` for those that are not there."""
        found, problems = [], []
        for name in ask["images"]:
            try:
                found.append(self._about(self._find(name)))
            except (StoreError, Refused) as error:
                problems.append({"name": name, "why": str(error)})
        return {"images": found, "problems": problems}

    def _about(self, image: Image) -> dict[str, Any]:
        names = self._names().get(image.digest, [])
        repositories = list(dict.fromkeys(references.parse(name).name for name in names))
        config = {key: value for key, value in image.run_config.items() if value is not None}
        return {
            "Id": image.digest,
            "RepoTags": names,
            "RepoDigests": [f"{name}@{image.digest}" for name in repositories],
            "Comment": "",
            "Created": image.config["created"],
            "Config": config,
            "Architecture": image.config["architecture"],
            "Os": image.config["os"],
            "Size": self._size(image),
            "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        }

    @command({"image": IMAGE, "name": IMAGE})
    def tag(self, ask: dict[str, Any], work: Work) -> Any:
        """Give an image one more name."""
        self.store.tag(ask["name"], self._find(ask["image"]).digest)
        return {}

    @command({"images": [IMAGE], "force": Maybe(bool, False)})
    def rmi(self, ask: dict[str, Any], work: Work) -> Any:
        """Take names away; an image without a name goes, too."""
        for name in ask["images"]:
            image = self._find(name)
            names = self._names()[image.digest]
            by_name = not references.DIGEST.search(name) and str(references.parse(name)) in names
            if not by_name and len(names) > 1 and not ask["force"]:
                raise Refused(f"{name} has more than one name ({', '.join(names)}): say which, or use --force.")
            gone = [str(references.parse(name))] if by_name else names
            for one in gone:
                self.store.untag(one)
                work.out(f"Untagged: {one}")
            if len(gone) == len(names):
                self.store.forget(image.digest)
                work.out(f"Deleted: {image.digest}")
        return {}

    # --- build

    @command({"name": Text(256), "ignore": Maybe(Text(context.IGNORE_BYTES))})
    def wanted(self, ask: dict[str, Any], work: Work) -> Any:
        """Which paths of a folder a build wants. Behind the question: KIND SIZE PATH for each, and a zero byte.

        The answer has one character for each path: 1 wanted, 0 left out by .dockerignore.
        """
        rules = context.rules(ask["ignore"]) if ask["ignore"] else []
        sent = (work.folder / SENT).read_bytes() if (work.folder / SENT).exists() else b""
        entries = sent.split(b"\0")[:-1]
        if len(entries) > LISTED:
            raise Refused(
                f"there are more than {LISTED:,} files in {printable(ask['name'])}, which is too much to look at."
            )
        wanted, files, size = [], 0, 0
        for entry in entries:
            kind, count, path = entry.decode("utf-8", "surrogateescape").split(" ", 2)
            keeps = not (rules and context.ignored(path, rules))
            wanted.append("01"[keeps])
            files += keeps
            size += int(count[:18]) if keeps and kind == "file" else 0
            if files > context.FILES or size > context.BYTES:
                raise Refused(
                    f"there are more than {context.FILES:,} files or {context.BYTES >> 20:,} MB in {printable(ask['name'])} (the "
                    f"last one was {printable(path)}). Name what the image does not need in .dockerignore, such as .venv, .git or data."
                )
        return {"wanted": "".join(wanted), "bytes": size}

    @command(
        {
            "place": WORD,
            "name": Text(256),
            "dockerfile": WORD,
            "tags": [IMAGE],
            "target": Maybe(Text(256), ""),
            "args": Maybe(Map(Text(256), Text()), {}),
            "secrets": Maybe(Map(Text(256), LONG), {}),
            "cache": Maybe(bool, True),
            "pull": Maybe(bool, False),
            "left_out": Maybe([{"path": WORD, "folder": bool}], []),
            "logins": LOGINS,
        },
        heavy=True,
    )
    def build(self, ask: dict[str, Any], work: Work) -> Any:
        """Build the folder that was sent. place: where it is for the client, so that the next build can tell what has changed."""
        for tag in ask["tags"]:
            if references.parse(tag).digest:
                raise Refused(f"invalid tag {tag}: a digest follows from what is built; give NAME:TAG.")
        files = work.unpacked()
        with self._place(ask["place"], ask["name"]) as folder:
            os.rename(files, folder)
            _add_left_out(folder, ask["left_out"][:LEFT_OUT])
            name = posixpath.normpath(ask["dockerfile"])
            if name.startswith(("/", "../")) or any(
                (folder / part).is_symlink() for part in (name, *map(str, Path(name).parents))
            ):
                raise Refused(f"{printable(name)} is no file in the folder of the build.")
            progress = _Progress(work)
            progress.say(f"[internal] load build definition from {printable(name)}", "[internal] load build context")
            self._fetch_bases(folder / name, ask, work)
            try:
                done = builds.build(
                    folder,
                    self.store,
                    dockerfile=name,
                    tag=ask["tags"][0] if ask["tags"] else "",
                    target=ask["target"],
                    args=ask["args"],
                    secrets={name: _bytes(value) for name, value in ask["secrets"].items()},
                    services=self.services,
                    env=self.env,
                    cache=ask["cache"],
                    images=self.images_here,
                    watch=progress.step,
                )
            except builds.BuildError as error:
                progress.failed()
                raise Refused(f"failed to build {printable(ask['name'])}:\n{error}") from None
        for tag in ask["tags"][1:]:
            self.store.tag(tag, done.image.digest)
        progress.end(done, [str(references.parse(tag)) for tag in ask["tags"]])
        return {"id": done.image.digest}

    def where(self, place: str, name: str) -> Path:
        """Where the files of a build go: for the same folder of the client the same, because a build remembers it by that."""
        key = sha256(place.encode("utf-8", "surrogateescape"))[7:23]
        name = (
            name
            if re.fullmatch(r"[^/\0]{1,100}", name) and name not in (".", "..") and name.isprintable()
            else "context"
        )
        return self._work / key / name

    @contextlib.contextmanager
    def _place(self, place: str, name: str) -> Iterator[Path]:
        """That path, for one build at a time."""
        folder = self.where(place, name)
        with self._places.setdefault(folder.parent.name, threading.Lock()):
            shutil.rmtree(folder.parent, ignore_errors=True)
            folder.parent.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder.parent, ignore_errors=True)

    def _fetch_bases(self, path: Path, ask: dict[str, Any], work: Work) -> None:
        """Get the images of registries that a Dockerfile begins with, where they are not here. What cannot be read, the build says."""
        try:
            file = dockerfile.parse(
                path.read_text(encoding="utf-8") if path.stat().st_size <= builds.DOCKERFILE_BYTES else ""
            )
        except (OSError, UnicodeDecodeError, dockerfile.DockerfileError):
            return
        values: dict[str, str] = {}
        for one in file.arguments:
            for name, default in dockerfile.arguments(one):
                value = ask["args"].get(name, default)
                values[name] = dockerfile.expand(one, value, values) if value is not None else ""
        for stage in file.stages:
            for one, text in [(stage.base, stage.base.body.split()[0])] + [
                (one, one.flag("from") or "") for one in stage.instructions if one.keyword == "COPY"
            ]:
                name = dockerfile.expand(one, text, values)
                with contextlib.suppress(references.NameProblem):
                    if references.parse(name).host in self.hosts and name not in self.images_here:
                        try:
                            self._have(name, ask["logins"], work, "always" if ask["pull"] else "missing")
                        except (Refused, *PROBLEMS) as error:
                            raise Refused(
                                f"failed to build {printable(ask['name'])}:\nline {one.line}: {name}: {error}"
                            ) from None

    # --- run

    @command(
        {
            "image": IMAGE,
            "argv": [LONG],
            "env": Maybe(Map(Text(256), LONG), {}),
            "entrypoint": Maybe([WORD]),
            "user": Maybe(Text(256), ""),
            "workdir": Maybe(WORD, ""),
            "network": Maybe(bool, True),
            "mounts": Maybe([WORD], []),
            "pull": Maybe(re.compile("always|missing|never"), "missing"),
            "logins": LOGINS,
        },
        heavy=True,
        code=125,
    )
    def run(self, ask: dict[str, Any], work: Work) -> Any:
        """Run a command in a container of its own. In what was sent: `stdin`, and `mounts/0`, `mounts/1` … in the order of mounts."""
        image = self._have(ask["image"], ask["logins"], work, ask["pull"])
        sent = work.unpacked() if (work.folder / SENT).exists() and (work.folder / SENT).stat().st_size else None
        mounts, stdin = {}, ""
        for number, target in enumerate(ask["mounts"]):
            if sent is None or not (sent / "mounts" / str(number)).exists():
                raise Refused(f"the files for {target} are missing.")
            mounts[_mount(target)] = sent / "mounts" / str(number)
            _readable(sent / "mounts" / str(number))
        if sent and (sent / "stdin").is_file():
            stdin = (sent / "stdin").read_bytes().decode("utf-8", "replace")
        done = container.run(
            self.store,
            image,
            ask["argv"],
            entrypoint=ask["entrypoint"],
            env=ask["env"],
            user=ask["user"],
            workdir=ask["workdir"],
            services=self.services if ask["network"] else {},
            mounts=mounts,
            stdin=stdin,
        )
        work.line(out=done.out)
        work.line(err=done.err)
        if done.stopped:
            work.err(f"docker: the container was ended: {done.stopped}.")
        return {"code": done.code}

    # --- registries

    @command({"host": Text(300), "login": Text(16 * 1024)})
    def login(self, ask: dict[str, Any], work: Work) -> Any:
        """Ask a registry whether it knows somebody. The client keeps the login."""
        with self._told(ask["host"]):
            self._remote(ask["host"], {ask["host"]: ask["login"]}).ping()
        return {}

    @command({"image": IMAGE, "logins": LOGINS}, heavy=True)
    def pull(self, ask: dict[str, Any], work: Work) -> Any:
        """Get an image from a registry."""
        reference = references.parse(ask["image"])
        self._remote(reference.host, ask["logins"], here=str(reference))
        before = self.store.tags().get(str(reference), "")
        work.out(f"{reference.digest or reference.tag}: Pulling from {reference.path}")
        image = self._pull(reference, ask["logins"])
        work.out(f"Digest: {image.digest}")
        news = "Image is up to date for" if before == image.digest else "Downloaded newer image for"
        work.out(f"Status: {news} {reference}\n{reference}")
        return {"name": str(reference), "digest": image.digest}

    @command({"image": IMAGE, "logins": LOGINS}, heavy=True)
    def push(self, ask: dict[str, Any], work: Work) -> Any:
        """Send an image to the registry that its name begins with."""
        reference = references.parse(ask["image"])
        if reference.digest:
            raise Refused(f"cannot push a digest reference: {reference}. Push a tag; the digest stays what it is.")
        remote = self._remote(
            reference.host, ask["logins"], f"docker tag {reference} REGISTRY/{reference.path}:{reference.tag}"
        )
        try:
            image = self.store.find(str(reference))
        except ImageNotFound as error:
            raise Refused(f"An image does not exist locally with the tag: {reference}. {error}") from None
        work.out(f"The push refers to repository [{reference.name}]")
        content = self.store.blob(image.digest).read_bytes()
        found = manifests.parse(content, MANIFEST if b'"mediaType"' not in content else "")
        with self._told(reference.host):
            known = {layer.digest: layer for layer in image.layers}
            for digest in found.blobs:
                there = remote.has(reference.path, digest)
                if not there:
                    with self.store.blob(digest).open("rb") as file:
                        remote.send(reference.path, digest, file)
                if digest in known:
                    work.out(f"{digest[7:19]}: {'Layer already exists' if there else 'Pushed'}")
            remote.put(reference.path, reference.tag, found)
        work.out(f"{reference.tag}: digest: {image.digest} size: {len(content)}")
        return {"name": str(reference), "digest": image.digest}

    def _remote(self, host: str, logins: Mapping[str, str], hint: str = "", here: str = "") -> client.Remote:
        """A registry, by its name. hint: what to do where the name has no host. here: what may be on this machine already."""
        address = self.hosts.get(host) or (host if host in self.hosts.values() else None)
        if address is None:
            name = host or "Docker Hub"
            more = f" Give the image the name of a registry first: {hint}" if hint and not host else ""
            more += f" {here} is on this machine already." if here in self.store.tags() else ""
            raise Refused(proxy.refusal(name, self.hosts) + more)
        return client.Remote(address, logins.get(host, ""))

    @contextlib.contextmanager
    def _told(self, host: str) -> Iterator[None]:
        """What a registry says, with the name that people know."""
        try:
            yield
        except client.ClientProblem as error:
            text = str(error).replace(self.hosts.get(host, host), host)
            raise Refused(f"{text} {_how_to_log_in(host)}" if "log in" in text.lower() else text) from None

    def _have(self, name: str, logins: Mapping[str, str], work: Work, pull: str = "missing") -> Image:
        """An image that is here, or is got from a registry. pull: always, missing or never."""
        is_id = re.fullmatch(r"sha256:[0-9a-f]+|[0-9a-f]{12,64}", name) or name in self.images_here
        reference = None if is_id else references.parse(name)
        if reference is None or reference.host not in self.hosts or pull == "never":
            return self._find(name)
        if pull == "missing":
            try:
                return self._find(name)
            except ImageNotFound:
                work.err(f"Unable to find image '{reference}' locally")
        image = self._pull(reference, logins)
        work.err(f"Pulled {reference}\nDigest: {image.digest}")
        return image

    def _pull(self, reference: references.Reference, logins: Mapping[str, str]) -> Image:
        remote = self._remote(reference.host, logins)
        what = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
        with self.folder() as folder, self._told(reference.host):
            client.pull(f"{remote.host}/{reference.path}{what}", folder / "layout", _Given(remote.login))
            # It is named here, and not by what the layout calls it: that is the tag alone.
            index = folder / "layout" / "index.json"
            named = {} if reference.digest else {"annotations": {NAME: str(reference)}}
            (entry,) = json.loads(index.read_text())["manifests"]
            index.write_bytes(canonical({"schemaVersion": 2, "manifests": [{**entry, "annotations": {}, **named}]}))
            (loaded,) = self.store.load(folder / "layout")
        return loaded.image

    # --- scan

    @command(
        {
            "image": Maybe(IMAGE, ""),
            "name": Maybe(WORD, ""),
            "exceptions": Maybe(Text(gate.FILE_BYTES + 1)),
            "exceptions_name": Maybe(WORD, "exceptions.toml"),
            "day": Text(20),
            "osv_url": Maybe(WORD, ""),
            "sbom": Maybe(bool, False),
            "logins": LOGINS,
        },
        heavy=True,
        code=2,
    )
    def scan(self, ask: dict[str, Any], work: Work) -> Any:
        """Scan an image, or what was sent: `list`, or the folder `folder` with what says which packages are installed."""
        version = ""
        if ask["image"]:
            image = self._have(ask["image"], ask["logins"], work)
            packages, version = installed.in_image(self.store, image), image.digest
        else:
            sent = work.unpacked()
            if (sent / "list").is_file():
                packages = installed.in_list(
                    (sent / "list").read_bytes().decode("utf-8", "replace"), printable(ask["name"])
                )
            else:
                packages = installed.in_folder(sent / "folder")
        entries = (
            gate.read(ask["exceptions"], printable(ask["exceptions_name"])) if ask["exceptions"] is not None else []
        )
        report = gate.decide(audit.audit(packages, self._advisories(ask["osv_url"])), entries, ask["day"])
        if version:
            picture.note_scan(self.store, version, report)
        what = ask["image"] or ask["name"]
        return {
            "passed": report.passed,
            "text": report.text(),
            "report": report.as_dict(),
            "sbom": sbom.bom(packages, what, version, ask["day"]) if ask["sbom"] else "",
        }

    def _advisories(self, asked: str) -> str:
        """The address for questions. The client may know the service under another port; what is asked of it is the same."""
        if not self.osv_url:
            raise Refused("there is no advisory service on this desk.")
        path = urlsplit(asked).path
        if (
            not asked
            or not re.fullmatch(r"(/\d{4}-\d\d-\d\d)?/osv/v1/query", path)
            or urlsplit(asked).hostname != "127.0.0.1"
        ):
            if asked:
                raise Refused(f"{printable(asked)} is not the advisory service of this desk: see PIP_AUDIT_OSV_URL.")
            return self.osv_url
        return urlsplit(self.osv_url)._replace(path=path).geturl()


class _Given(client.Logins):
    """A login that somebody has sent along."""

    def __init__(self, login: str) -> None:
        self.login = login

    def get(self, host: str) -> str:
        return self.login


class _Progress:
    """Tells a build as `docker build --progress plain` does."""

    def __init__(self, work: Work) -> None:
        self.work, self.number = work, 0

    def say(self, *done: str) -> None:
        """Small things that are done at once."""
        for text in done:
            self.number += 1
            self.work.err(f"#{self.number} {text}\n#{self.number} DONE 0.0s\n")

    def step(self, step: builds.Step) -> None:
        """A step begins, or is done."""
        if not step.done:
            self.number += 1
            stage = "" if step.stage.isdecimal() else f"{step.stage} "
            self.work.err(f"#{self.number} [{stage}{step.number}/{step.of}] {printable_line(step.text)}")
            self.last = step
            return
        self._output(step)
        why = f"  ({step.why})" if step.why else ""
        self.work.err(f"#{self.number} {'CACHED' if step.cached else f'DONE {step.seconds:.1f}s'}{why}\n")

    def failed(self) -> None:
        """The last step did not come to its end."""
        if self.number > 2 and not self.last.done:
            self.work.err(f"#{self.number} ERROR\n")

    def _output(self, step: builds.Step) -> None:
        for line in step.output.splitlines():
            self.work.err(f"#{self.number} {line}")

    def end(self, done: builds.Build, names: list[str]) -> None:
        """What the image is."""
        self.number += 1
        lines = [
            "exporting to image",
            f"writing image {done.image.digest} done",
            *(f"naming to {name} done" for name in names),
        ]
        self.work.err("\n".join(f"#{self.number} {line}" for line in [*lines, "DONE 0.0s"]))
        for warning in done.warnings:
            self.work.err(f"WARNING: {warning}")


def printable_line(text: str) -> str:
    """A line of somebody else's, without what would move the cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def _how_to_log_in(host: str) -> str:
    if ".dkr.ecr." in host:
        return f"aws ecr get-login-password | docker login -u AWS --password-stdin {host}"
    return f"docker login {host}"


def _add_left_out(folder: Path, paths: list[dict[str, Any]]) -> None:
    """Put something empty where .dockerignore leaves something out, so that the build knows that it is there, and by which line."""
    for one in paths:
        path = posixpath.normpath(one["path"])
        target = folder / path
        inside = (
            not path.startswith(("/", ".."))
            and "\0" not in path
            and not any((folder / up).is_symlink() for up in Path(path).parents)
        )
        with contextlib.suppress(OSError):
            if inside and not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.mkdir() if one["folder"] else target.touch()


def _mount(target: str) -> str:
    """Where a container finds a folder of the client. Raises Refused."""
    path = posixpath.normpath(target)
    if not path.startswith("/") or ".." in target.split("/") or path.split("/")[1] in ("", "proc", "sys", "dev"):
        raise Refused(
            f"{printable(target)} is no place in a container: it begins with /, and is not /, /proc, /sys or /dev."
        )
    return "/" + path.lstrip("/")


def _readable(path: Path) -> None:
    """Let every user of a container read what is shown to it: there it belongs to root, and not to whom it belongs here."""
    for one in [path, *path.rglob("*")]:
        if not one.is_symlink():
            one.chmod(one.stat().st_mode | (0o555 if one.is_dir() else 0o444))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a secret is not in base64.") from None
