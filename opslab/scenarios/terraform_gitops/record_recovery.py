"""Record what Atlantis says of the merge request of task 4.6: its plan, and its apply after the one that was killed.

    python -m opslab.scenarios.terraform_gitops.record_recovery           # needs terraform

The real bot plans and applies it in the world of a seed; instead of the names of that seed, the comments then hold `{{half}}` and
`{{more}}`. To be run again when the code in `repositories/exports/` changes, or the words of the bot.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.terraform_gitops import bots, common, recovery
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.cloud import Cloud

SEED = 1


def start(aws) -> None:
    """The part of the organisation that it needs."""
    common.furnish(aws)
    recovery.furnish(aws)


def listen(aws: Cloud, seed: int = SEED) -> dict[str, str]:
    """What the bot says, by command. aws: an organisation of this seed that holds what `start` puts there."""
    found = recovery.words(seed)
    with tempfile.TemporaryDirectory() as place:
        forge = Forge(Path(place, "forge"))
        for person, full_name in common.PEOPLE.items():
            forge.add_user(person, full_name)
        repository = common.put_repository(forge, recovery.NAME, "exports", {}, seed=seed, reviewers=recovery.REVIEWERS)
        recovery.merge_request(repository, found)
        mr, said = repository.merge_request(1), {}
        for what in ("plan", "apply"):
            mr.comment(f"atlantis {what} -p {found['half']}", by=found["author"])
            repository.react(bots=bots.bots(Path(place), aws, print), run_pipelines=False)
            said[what] = mr.record["discussion"][-1]["text"]
    for what, text in said.items():
        for name in ("half", "more"):
            text = text.replace(found[name], "{{" + name + "}}")
        said[what] = text
    return said


def main() -> None:
    """Record what Atlantis says."""
    from opslab.worlds.aws.organisation import Organisation

    with (
        tempfile.TemporaryDirectory() as place,
        Organisation(common.ACCOUNTS, SEED, start=start, socket=Path(place, "aws")) as aws,
    ):
        aws.services = {aws.port: Path(place, "aws")}
        recovery.COMMENTS.write_text(json.dumps(listen(aws), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
