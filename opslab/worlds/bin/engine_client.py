"""How `docker` and `scan` speak with the engine of the desk. Runs in the jail, too: nothing of the course is imported.

    done = ask("images", {})
    done = ask("build", {…}, [("app.py", "/home/you/loader/app.py"), ("stdin", b"…")])

The protocol is told in opslab/worlds/images/engine/__init__.py.
"""

import contextlib
import http.client
import itertools
import json
import os
import stat
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

PIECE = 1024 * 1024
MOST = 200_000
"""Files and folders below a folder that are looked at."""

OPEN_THE_DESK = "run the first cell of the notebook, or opslab shell"


class Problem(Exception):
    """Why something cannot be done, in words. code: the exit code, 0 for the usual one of the command."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


def ask(
    command: str, question: dict, files: Iterable[tuple[str, object]] | bytes = b"", *, silent: bool = False
) -> dict:
    """Ask the engine, print what it says meanwhile, and give its result. files: for `archive`, or bytes. Raises Problem."""
    line = http.client.HTTPConnection(address(), timeout=1000, blocksize=PIECE)
    body = itertools.chain(
        [json.dumps(question).encode() + b"\n"], [files] if isinstance(files, bytes) else archive(files)
    )
    headers = {"Content-Type": "application/x-desk", "Transfer-Encoding": "chunked"}
    try:
        line.connect()
    except OSError:
        raise Problem(
            f"nobody answers at {os.environ['DOCKER_HOST']}. The desk is not open: {OPEN_THE_DESK}."
        ) from None
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough, and says why
            line.request("POST", f"/v1/{command}", body, headers, encode_chunked=True)
        answer = line.getresponse()
        for text in answer:
            said = json.loads(text)
            if "done" in said:
                return said["done"]
            if "error" in said:
                raise Problem(said["error"], said["code"])
            if not silent:
                stream = sys.stdout if "out" in said else sys.stderr
                stream.write(said.get("out") or said.get("err") or "")
                stream.flush()
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError):
            raise  # whoever reads our output has gone
        raise Problem(
            f"the engine has stopped in the middle of its answer ({error or type(error).__name__}). Try again."
        ) from None
    finally:
        line.close()
    raise Problem("the engine has stopped in the middle of its answer. Try again.")


def address() -> str:
    """Where the engine listens, as DOCKER_HOST says."""
    said = os.environ.get("DOCKER_HOST", "")
    if not said:
        raise Problem(f"no engine is named in DOCKER_HOST. The desk is not open: {OPEN_THE_DESK}.")
    try:
        url = urlsplit(said)
        if url.scheme != "tcp" or url.hostname not in ("127.0.0.1", "localhost") or not url.port:
            raise ValueError
    except ValueError:
        raise Problem(
            f"DOCKER_HOST is {said}; the engine of the desk is at a port of this machine, and the desk sets DOCKER_HOST itself: leave it as it is."
        ) from None
    return f"{url.hostname}:{url.port}"


def archive(files: Iterable[tuple[str, object]]) -> Iterator[bytes]:
    """A tar archive, piece by piece. files: the name in it, and bytes, None for an empty folder, or the path of what it is here."""
    for name, source in files:
        head = tarfile.TarInfo(name)
        if source is None or isinstance(source, bytes):
            head.type, head.mode = (tarfile.REGTYPE, 0o644) if source is not None else (tarfile.DIRTYPE, 0o755)
            head.size = len(source or b"")
            yield _head(head) + (source or b"") + bytes(-head.size % tarfile.BLOCKSIZE)
            continue
        try:
            about = os.lstat(source)
            head.mode = stat.S_IMODE(about.st_mode) & 0o777
            if stat.S_ISLNK(about.st_mode):
                head.type, head.linkname = tarfile.SYMTYPE, os.readlink(source)
                yield _head(head)
            elif stat.S_ISDIR(about.st_mode):
                head.type = tarfile.DIRTYPE
                yield _head(head)
            elif stat.S_ISREG(about.st_mode):
                with open(source, "rb") as file:
                    head.size = os.fstat(file.fileno()).st_size
                    yield _head(head)
                    yield from _content(file, head.size, name)
        except OSError as error:
            raise Problem(f"{source} cannot be read: {error.strerror}.") from None
    yield bytes(2 * tarfile.BLOCKSIZE)


def _head(head: tarfile.TarInfo) -> bytes:
    return head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(file, size: int, name: str) -> Iterator[bytes]:
    left = size
    while left:
        piece = file.read(min(left, PIECE))
        if not piece:
            raise Problem(f"{name} became shorter while it was sent. Try again when nothing writes to it.")
        yield piece
        left -= len(piece)
    yield bytes(-size % tarfile.BLOCKSIZE)


def walk(folder: str) -> Iterator[tuple[str, str, int]]:
    """What is below a folder, (path, kind, size) with kind file, dir or link, a folder before what is in it. Links are not followed."""
    waiting, count = [""], 0
    while waiting:
        above = waiting.pop()
        try:
            entries = sorted(os.scandir(os.path.join(folder, above)), key=lambda entry: entry.name)
        except OSError as error:
            yield above, f"it cannot be opened ({error.strerror})", 0
            continue
        for entry in entries:
            count += 1
            if count > MOST:
                raise Problem(f"{folder} has more than {MOST:,} files and folders, which is too much to look at.")
            path = f"{above}/{entry.name}" if above else entry.name
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                waiting.append(path)
                yield path, "dir", 0
            elif stat.S_ISLNK(about.st_mode):
                yield path, "link", 0
            elif stat.S_ISREG(about.st_mode):
                yield path, "file", about.st_size
            else:
                yield path, "no file, folder or link", 0


def text_of(path: str) -> str:
    """The text of a file. Raises Problem."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Problem(f"there is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read ({error}).") from None


def config_file() -> Path:
    """docker's configuration file, with the logins."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def config() -> dict:
    """What is in it. Raises Problem where it cannot be read."""
    try:
        found = json.loads(config_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(
            f"{config_file()} cannot be read ({error}). Repair it, or take it away and log in again."
        ) from None
    return found if isinstance(found, dict) else {}


def logins() -> dict:
    """Registry to user:password in base64."""
    auths = config().get("auths")
    found = auths.items() if isinstance(auths, dict) else ()
    return {
        host: entry["auth"] for host, entry in found if isinstance(entry, dict) and isinstance(entry.get("auth"), str)
    }


def end(name: str, main) -> None:
    """Run a command to its end: problems become a line, and nothing becomes a traceback."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except Problem as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        code = problem.code or 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # whoever read the output has gone; Python is not to complain of it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    sys.exit(code)
