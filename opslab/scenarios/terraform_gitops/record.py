"""Record what terraform does in AWS when it applies the code of this module's repositories for the first time.

    python -m opslab.scenarios.terraform_gitops.record [NAME …]          # needs terraform

Each part with a RECORDED says what: name of the recording and, for it, the repository with the folders to apply, in order. To be run
again when code in `repositories/` changes; `tests/test_04_recorded.py` says when that was forgotten.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from opslab.scenarios.iam_roles.names import ACCOUNTS
from opslab.scenarios.terraform_gitops import common
from opslab.worlds import terraform
from opslab.worlds.aws import keys
from opslab.worlds.aws.journal import Journal
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.terraform.run import environment

CHECKSUM = re.compile(r"content-md5|x-amz-(checksum|sdk-checksum|content-sha256).*")
TIME = "2026-10-05T08:00:00+00:00"


def record(repository: str, folders: Iterable[str], words: Iterable[str]) -> list[str]:
    """Apply folders of a repository's code; the lines of a journal, with stand-ins for the words."""
    tools = terraform.find()
    with tempfile.TemporaryDirectory() as place:
        code = Path(place, "code")
        for path, text in common.files(repository, {word: common.stand_in(word) for word in words}).items():
            (code / path).parent.mkdir(parents=True, exist_ok=True)
            (code / path).write_text(text)
        rc = Path(place, "terraform.rc")
        rc.write_text(tools.settings())
        journal = Path(place, "journal.jsonl")
        with Organisation(ACCOUNTS, start=common.furnish) as aws:
            Journal(journal).record(aws)
            for folder in folders:
                env = environment(tools, str(rc), aws.endpoint, str(code / folder), keys.access_key(0, ACCOUNTS["platform"], "atlantis")) | common.DEPLOYS  # fmt: skip
                for step in (["init", "-lockfile=readonly"], ["apply", "-auto-approve"]):
                    done = subprocess.run([tools.binary, *step, "-no-color"], cwd=code / folder, env=env, text=True, capture_output=True, check=False)  # fmt: skip
                    if done.returncode:
                        raise SystemExit(f"{repository}/{folder}: {done.stdout}{done.stderr}")
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [json.dumps(lean(entry)) for entry in lines if wanted(entry)]


def wanted(entry: dict) -> bool:
    """Sessions and locks are over."""
    return entry["service"] != "sts" and not any(arn.endswith(".tflock") for arn in entry["resources"])


def lean(entry: dict) -> dict:
    """An entry without what would not fit other words (checksums) or changes from one recording to the next (names of sessions)."""
    headers = {name: value for name, value in entry["request"]["headers"].items() if not CHECKSUM.fullmatch(name)}
    caller = re.sub(r"assumed-role/(\w+)/.*", r"assumed-role/\1/terraform", entry["caller"])
    return {**entry, "time": TIME, "caller": caller, "request": {**entry["request"], "headers": headers}}


def main(names: list[str]) -> None:
    """Record what is named, or everything."""
    from opslab.scenarios.terraform_gitops.cloud import PARTS

    for part in PARTS:
        for name, (repository, folders) in getattr(part, "RECORDED", {}).items():
            if not names or name in names:
                lines = record(repository, folders, part.words(1))
                (common.HERE / "recorded" / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
                print(f"{name}: {len(lines)} changes in AWS")


if __name__ == "__main__":
    main(sys.argv[1:])
