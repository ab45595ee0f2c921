"""What the loop costs: push, plan, approve, apply, merge for two projects, against bare init + plan + apply of the same code.

    .venv/bin/python benchmarks/gitops.py [TIMES]

Both use the real terraform, the same provider, lock files and settings, and the same organisation, emptied before each turn; the
bare one without forge, bot and jail. They take turns, TIMES times each (default 3). The quickest turns are compared, because whatever else
runs on the machine only makes a turn longer. Ends with exit code 1 where the loop takes more than 1.2 times as long.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.2
PLATFORM = "333333333333"
TARGETS = {"staging": "111111111111", "production": "222222222222"}
CODE = """\
resource "aws_s3_bucket" "clicks" {
  bucket = "targ-clicks-ENVIRONMENT"
  tags   = { Name = "clicks", Owner = "data", OnCall = "data-oncall" }
}
resource "aws_s3_bucket_versioning" "clicks" {
  bucket = aws_s3_bucket.clicks.id
  versioning_configuration { status = "Enabled" }
}
"""
CONFIG = """\
version: 3
automerge: true
projects:
- {name: staging, dir: staging}
- {name: production, dir: production, depends_on: [staging]}
"""


def main() -> int:
    from opslab.worlds import terraform
    from opslab.worlds.aws import keys
    from opslab.worlds.aws.organisation import Organisation
    from opslab.worlds.aws.seeding import allow
    from opslab.worlds.forge.atlantis import Atlantis
    from opslab.worlds.forge.forge import Forge
    from opslab.worlds.terraform import accounts
    from opslab.worlds.terraform.run import environment

    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    tools = terraform.find()
    key = keys.access_key(0, PLATFORM, "atlantis")
    print(tools.text)

    def furnish(aws: Organisation) -> None:
        accounts.platform(aws, "platform", deployers=dict.fromkeys(TARGETS, "deployer"))
        for name in TARGETS:
            accounts.deployer(aws, name, by="platform", policies={"all": allow("s3:*")})

    base = {"atlantis.yaml": CONFIG}
    change = {}
    for name, account in TARGETS.items():
        base[f"{name}/main.tf"] = accounts.backend(f"{name}.tfstate") + accounts.provider(account)
        base[f"{name}/.terraform.lock.hcl"] = tools.lock_file("~> 5.0")
        change[f"{name}/clicks.tf"] = CODE.replace("ENVIRONMENT", name)

    def bare(folder: Path) -> float:
        """init, plan and apply of both projects, by hand."""
        settings = folder / "terraform.rc"
        settings.write_text(tools.settings())
        for path, text in {**base, **change}.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        started = time.perf_counter()
        for name in TARGETS:
            env = environment(tools, str(settings), aws.endpoint, str(folder / name), key)
            for words in (["init", "-lockfile=readonly"], ["plan", "-out=p"], ["apply", "p"]):
                subprocess.run([tools.binary, *words], cwd=folder / name, env=env, check=True, capture_output=True)
        return time.perf_counter() - started

    def loop(folder: Path) -> float:
        """The same through a merge request."""
        forge = Forge(folder / "forge")
        forge.add_user("mira", "Mira Novak")
        repository = forge.create("platform/infrastructure", files=base)
        services = {aws.port: socket}
        server = "repos: [{id: /.*/, apply_requirements: [approved, mergeable]}]"
        bot = Atlantis(folder / "bot", tools, keys=key, endpoint=aws.endpoint, services=services, server=server)
        started = time.perf_counter()
        repository.commit("clicks", change, "Add the buckets for clicks", by="you")
        mr = repository.create_merge_request("clicks", by="you")
        forge.react(bots=[bot])
        mr.approve("mira")
        mr.comment("atlantis apply", by="you")
        forge.react(bots=[bot])
        taken = time.perf_counter() - started
        if mr.record["state"] != "merged":
            raise SystemExit("\n".join(item["text"] for item in mr.record["discussion"]))
        return taken

    taken: dict[str, list[float]] = {"bare": [], "loop": []}
    with tempfile.TemporaryDirectory(prefix="opslab-bench-") as place:
        socket = Path(place) / "socket" / "aws"
        socket.parent.mkdir()
        with Organisation({"platform": PLATFORM, **TARGETS}, start=furnish, socket=socket) as aws:
            for turn in range(times):
                for kind, run in (("bare", bare), ("loop", loop)):
                    aws.reset()
                    folder = Path(place, f"{kind}{turn}")
                    folder.mkdir()
                    taken[kind].append(run(folder))
                    print(f"  {kind}: {taken[kind][-1]:5.1f} s", flush=True)
    ratio = min(taken["loop"]) / min(taken["bare"])
    good = ratio <= LIMIT
    print(
        f"the loop takes {ratio:.2f} times as long as bare init, plan and apply (limit {LIMIT}) {'' if good else ' TOO SLOW'}"
    )
    return not good


if __name__ == "__main__":
    sys.exit(main())
