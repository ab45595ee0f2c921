"""Task 5.3: a small program and the Dockerfile that a colleague has left, in which everything is wrong that can be.

    image/          the program, its lock, encrypted rates, and things that no image needs
    secrets/rates   the passphrase of the rates

What the image is to do follows from the seed: `rates`, `answer`. So do the words that must not be in it: `passphrase`, `junk`.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from opslab.scenarios.docker_pinning.image import unlock
from opslab.scenarios.docker_pinning.image.app.rounding import fee
from opslab.scenarios.docker_pinning.incident import write
from opslab.worlds import packages
from opslab.worlds.images import base
from opslab.worlds.images.desk import BASE, RELEASES
from opslab.worlds.images.store import Store
from opslab.worlds.packages import incident

HERE = Path(__file__).parent / "image"
FOLDER = "image"
DOCKERFILE, IGNORE = "Dockerfile", ".dockerignore"
SECRET = "secrets/rates"
SECRET_ID = "rates"
"""The name under which a build gets the passphrase."""

ARGUMENT = "RATES_PASSPHRASE"
SOURCE = ("README.md", "unlock.py", "app/main.py", "app/rounding.py")
LOCKED = (("targ-metrics", "0.7.0"), ("targ-units", "1.2.0"))
"""What the lock names: what was newest last week, and is not on every day."""

HISTORY_BYTES = 2_000_000
WORDS = """
    anchor basil copper dune falcon ginger hazel indigo jasmine kestrel lantern marble nutmeg olive pepper quartz raven saffron
    thistle umber velvet walnut yarrow zephyr""".split()  # noqa: SIM905  (a list of words reads better as words)


def _dice(part: str, seed: int) -> random.Random:
    return random.Random(f"05 dockerfile {part} {seed}")


def passphrase(seed: int) -> str:
    """The passphrase of the rates: words, so that nobody takes it for one of this world."""
    return "-".join(_dice("passphrase", seed).sample(WORDS, 5))


def junk(seed: int) -> dict[str, str]:
    """Words that tell that something is in an image which does not belong there: the word, and what it is."""
    dice = _dice("junk", seed)
    return {
        "-".join(dice.sample(WORDS, 4)): ".env, with the password of the warehouse",
        "-".join(dice.sample(WORDS, 4)): ".git, with everything that ever was in the code",
        "-".join(dice.sample(WORDS, 4)): "history/2025.tsv, two megabytes of last year",
    }


def rates(seed: int) -> dict[str, float]:
    """What partners pay, in percent."""
    dice = _dice("rates", seed)
    return {partner: dice.randrange(300, 1200, 5) / 100 for partner in incident.PARTNERS}


def answer(seed: int, partner: str, amounts: Sequence[str], currency: str = "EUR") -> str:
    """What the program prints."""
    percent = rates(seed)[partner]
    return (
        "".join(f"{partner} {amount}: {fee(amount, percent)} {currency}\n" for amount in amounts)
        + f"{len(amounts)} fees\n"
    )


@functools.cache
def lock(seed: int) -> str:
    """requirements.lock, with the hashes of the index."""
    lines = []
    for name, version in LOCKED:
        files = [one for one in packages.Index(seed, packages.MONDAY).files(name) if one.release.version == version]
        lines += [f"{name}=={version} \\\n    " + " \\\n    ".join(f"--hash=sha256:{one.sha256}" for one in files)]
    return "\n".join(lines) + "\n"


def opened(seed: int) -> bytes:
    """rates.json, as `unlock.py` brings it out of `locked`."""
    return (json.dumps(rates(seed), indent=1) + "\n").encode()


@functools.cache
def locked(seed: int) -> str:
    """rates.locked: salt, signature and the encrypted rates."""
    salt = _dice("salt", seed).randbytes(16)
    first, second = unlock.keys(passphrase(seed).encode(), salt)
    body = unlock.mixed(opened(seed), first)
    parts = (salt, hmac.digest(second, salt + body, "sha256"), body)
    return "".join(f"{base64.b64encode(part).decode()}\n" for part in parts)


def words(seed: int) -> dict[str, str]:
    """What stands for {{…}} in answers: the digests of the base image on this machine, older and newer, and the passphrase."""
    with tempfile.TemporaryDirectory(prefix="opslab-base-") as folder:
        store = Store(folder)
        older, newer = (base.install(store, BASE, release=release).digest for release in RELEASES)
    return {"older_base": older, "base": newer, "rates_passphrase": passphrase(seed)}


def put(folder: Path, seed: int) -> None:
    """All that is in the folder of the image but the Dockerfile and .dockerignore, which are the answer."""
    example = "".join(f"    {line}\n" for line in answer(seed, "sofashop", ["120.00", "19.90"]).splitlines())
    for name in SOURCE:
        write(folder / name, (HERE / name).read_text().replace("{{example}}", example))
    write(folder / "requirements.txt", "targ-metrics\n")
    write(folder / "requirements.lock", lock(seed))
    write(folder / "rates.locked", locked(seed))
    env, git, history = junk(seed)
    write(folder / ".env", f"WAREHOUSE_USER=loader\nWAREHOUSE_PASSWORD={env}\n")
    # A repository without commits, so that git has nothing against it.
    write(folder / ".git/HEAD", "ref: refs/heads/main\n")
    write(
        folder / ".git/config",
        f'[core]\n\trepositoryformatversion = 0\n\tbare = false\n[branch "{git}"]\n\tremote = origin\n',
    )
    (folder / ".git/objects").mkdir(exist_ok=True)
    (folder / ".git/refs/heads").mkdir(parents=True, exist_ok=True)
    line = "2025-11-18\tsofashop\t120.00\t9.60\n"
    write(folder / "history/2025.tsv", f"# {history}\n" + line * (HISTORY_BYTES // len(line)))


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the folder and the passphrase on the desk."""
    folder = home / FOLDER
    put(folder, seed)
    write(folder / DOCKERFILE, (HERE / DOCKERFILE).read_text())
    write(home / SECRET, f"{passphrase(seed)}\n")
    (home / SECRET).chmod(0o600)
