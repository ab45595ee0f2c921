"""Module 01: a new colleague's home folder at Targ: logs, a nightly job that lies, and a file called passwords.txt.

logs/partner-feeds-2026-11-16.log   200,000 lines of arriving partner files (task 1.2)
logs/loader.log                     a failed load, told by Java (1.3)
jobs/export.sh, tools/*             the nightly export and the commands it is made of (1.4)
passwords.txt, jobs/report.sh, …    one password in five places (1.5)
projects/marts                      a small git repository, to see a prompt at work (1.1)
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

from opslab.scenarios.shell_setup import feeds, loader

DESK = Path(__file__).parent / "desk"
DAY = "2026-11-16"
TWISTS = feeds.TWISTS
ACCOUNT = "report_bot"
EXECUTABLE = ("jobs/export.sh", "jobs/report.sh", "jobs/report.sh.bak")


def build(home: Path, seed: int, twists: frozenset[str], lines: int = 200_000) -> None:
    """Put the desk on `home`. lines: the length of the partner log.

    Twists: of the partner log, see TWISTS.
    """
    secret = password(seed)
    for source in sorted(DESK.rglob("*")):
        target = home / source.relative_to(DESK)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.write_text(source.read_text().replace("{{password}}", secret))
        shown = str(source.relative_to(DESK))
        target.chmod(0o755 if shown.startswith("tools/") or shown in EXECUTABLE else 0o644)
    (home / "dot.bash_history").rename(home / ".bash_history")

    for folder in ("logs", "outbox", "tmp", "warehouse"):
        (home / folder).mkdir(exist_ok=True)
    feeds.write(home / "logs" / f"partner-feeds-{DAY}.log", seed, lines=lines, twists=twists)
    (home / "logs" / "loader.log").write_text(loader.log(seed)[0])
    for day in ("2026-11-14", "2026-11-15", DAY):
        orders(home, day, seed)
    set_password(home, secret)
    if not (home / "projects" / "marts" / ".git").exists():
        marts(home)


# ---- the warehouse: orders to export, a password to keep --------------------------------------------------------------


def orders(home: Path, day: str, seed: int, *, fault: str = "") -> str:
    """Write the orders of a day where `fetch_orders` finds them; returns the CSV that a right export publishes.

    fault: "bad row" (one line has lost a column) or "cut off" (the connection ends half way).
    """
    rng = random.Random(f"orders {seed} {day}")
    rows = []
    for number in range(rng.randint(180, 260)):
        rows.append(
            (
                f"{seed % 900 + 100}{number:05d}",
                day[:10],
                rng.choice(("bikes", "books", "cars", "cameras", "chairs", "phones")),
                f"{rng.randint(200, 90_000) / 100:.2f}",
                rng.choice(("EUR", "EUR", "EUR", "PLN", "SEK")),
            )
        )
    lines = ["\t".join(row) for row in rows]
    if fault == "bad row":
        middle = len(lines) // 2
        lines[middle] = lines[middle].replace("\t", " ", 1)
    if fault == "cut off":
        lines = lines[: len(lines) // 2]
    else:
        lines.append("# end")
    (home / "warehouse" / f"orders-{day}.tsv").write_text("\n".join(lines) + "\n")
    header = "order_id,day,category,amount,currency"
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def password(seed: int) -> str:
    """The warehouse password of a world. It is made up from the seed, so none stands in this repository."""
    rng = random.Random(f"password {seed}")
    words = rng.sample(
        ("plum", "teapot", "otter", "canyon", "velvet", "anchor", "maple", "comet", "harbour", "walnut"), 3
    )
    return f"{words[0]}-{words[1]}-{rng.randint(1000, 9999)}-{words[2]}"


def set_password(home: Path, secret: str) -> None:
    """Let the warehouse of this world accept `secret`, and nothing else. It keeps a salted hash, as warehouses do."""
    salt = hashlib.sha256(str(home.name).encode()).hexdigest()[:12]
    digest = hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()
    (home / "warehouse" / "users").write_text(f"{ACCOUNT} {salt} {digest}\n")


# ---- a repository to stand in ------------------------------------------------------------------------------------------


def marts(home: Path) -> None:
    """A git repository with a main and a branch; commit dates are fixed, so that its ids are the same everywhere."""
    place = home / "projects" / "marts"
    place.mkdir(parents=True, exist_ok=True)
    (place / "orders_daily.sql").write_text("select day, count(*) as orders\nfrom orders\ngroup by day\n")
    (place / "README.md").write_text("# marts\n\nThe tables that people at Targ look at.\n")
    when = "2026-11-02T09:00:00+00:00"
    env = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": when,
        "GIT_COMMITTER_DATE": when,
    }
    if shutil.which("git") is None:
        return
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        ["commit", "--quiet", "--message", "Add the daily orders mart"],
        ["branch", "fix-late-feed"],
    ):
        subprocess.run(["git", "-C", str(place), *command], env=env, check=True, capture_output=True)
