"""Names and numbers that all parts of module 03 share, and the form of what lies in ~/.aws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opslab.worlds.aws import keys

ACCOUNTS = {"platform": "777788889999", "staging": "111122223333", "production": "444455556666"}
PLATFORM, STAGING, PRODUCTION = ACCOUNTS["platform"], ACCOUNTS["staging"], ACCOUNTS["production"]
REGION = "eu-west-1"
DAY = "2026-11-16"

RAW = "targ-clicks-raw-staging"
CLICKS = f"incoming/{DAY}/clicks-00.csv"


def user(account: str, name: str) -> str:
    """The ARN of a user; account: its id."""
    return f"arn:aws:iam::{account}:user/{name}"


def role(account: str, name: str) -> str:
    """The ARN of a role; account: its id."""
    return f"arn:aws:iam::{account}:role/{name}"


@dataclass(frozen=True)
class Profile:
    """One profile of ~/.aws. settings go into the config file; keys, where there are any, into the credentials file.

    key, secret, token: None where the profile has no keys of its own.
    """

    name: str
    settings: Mapping[str, str]
    key: str = ""
    secret: str = ""
    token: str = ""


def of_user(profile: str, seed: int, account: str, name: str) -> Profile:
    """The profile of a user."""
    key, secret = keys.access_key(seed, account, name)
    return Profile(profile, {}, key, secret)


def of_role(profile: str, arn: str, source: str, **more: str) -> Profile:
    """The profile of a role that is assumed from another profile. more: `external_id`, `role_session_name`."""
    return Profile(profile, {"role_arn": arn, "source_profile": source, **more})


def config_file(profiles: list[Profile]) -> str:
    """The text of ~/.aws/config."""
    lines = ["# Profiles. Whoever has keys has them in ~/.aws/credentials.", ""]
    for one in profiles:
        lines.append("[default]" if one.name == "default" else f"[profile {one.name}]")
        lines += [f"region = {REGION}", *(f"{name} = {value}" for name, value in one.settings.items()), ""]
    return "\n".join(lines)


def credentials_file(profiles: list[Profile]) -> str:
    """The text of ~/.aws/credentials."""
    lines = ["# Keys of the sandbox on this machine. At AWS they open nothing.", ""]
    for one in profiles:
        if one.key:
            lines += [f"[{one.name}]", f"aws_access_key_id = {one.key}", f"aws_secret_access_key = {one.secret}"]
            lines += [f"aws_session_token = {one.token}"] if one.token else []
            lines.append("")
    return "\n".join(lines)
