"""Task 2.4: the key of alert-bot stands in a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslab.scenarios.iam_roles.names import ACCOUNTS, STAGING, Profile, of_user
from opslab.scenarios.merge_requests.people import history
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation

NAME = "analytics/alerts"
BOT = "alert-bot"
CONFIG = "config.env"
REVIEWERS = {"ada": ("title", "description", "secret")}
LEAK = "Make it run on my machine"

SCRIPT = """\
#!/usr/bin/env bash
# Sends an alert. Who we are stands in config.env.
set -euo pipefail
source "$(dirname "$0")/config.env"
aws sqs send-message --queue-url http://127.0.0.1/111122223333/alerts --message-body "$1"
"""
CLOUD = (f"*:user/{BOT}", "*:alerts")


def profiles(seed: int) -> list[Profile]:
    """What this part puts into ~/.aws."""
    admin = of_user("staging-admin", seed, ACCOUNTS["staging"], "administrator")
    return [admin, of_user(BOT, seed, STAGING, BOT)]


def old_key(seed: int) -> str:
    """The id of the key that was pushed."""
    return of_user(BOT, seed, STAGING, BOT).key


def config(seed: int) -> str:
    """The file that should never have been committed."""
    bot = of_user(BOT, seed, STAGING, BOT)
    return f"export AWS_ACCESS_KEY_ID={bot.key}\nexport AWS_SECRET_ACCESS_KEY={bot.secret}\n"


def build(forge: Forge, seed: int) -> None:
    """Put the repository there."""
    repository = forge.create(NAME, reviewers=REVIEWERS)
    history(
        repository,
        [
            ("pawel", "Send alerts to a queue", {"README.md": "# alerts\n\n`./alert.sh 'the feed is late'`\n"}),
            ("pawel", "A script that sends", {"alert.sh": SCRIPT}),
            ("iwo", LEAK, {CONFIG: config(seed)}),
            (
                "pawel",
                "Say what it is for",
                {"README.md": "# alerts\n\nTells the night shift.\n\n`./alert.sh 'the feed is late'`\n"},
            ),
        ],
    )


def furnish(aws: Organisation) -> None:
    """The user and the queue."""
    from opslab.worlds.aws.seeding import Furnisher, allow

    staging = Furnisher(aws, "staging")
    arn = staging.queue("alerts")
    staging.user(BOT, {"send-alerts": allow(["sqs:SendMessage", "sqs:GetQueueUrl"], arn)})
