"""Objects that lie in buckets with versions at the start, put there by direct calls.

A learner's journal may say "delete the version 7c1e…". When it is made again, that version has to have the same id. So ids follow
from the organisation's seed, the name of the object and how many versions it has already, whatever else is in the world.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from opslab.worlds.aws.state import backend_of

if TYPE_CHECKING:
    from opslab.worlds.aws.organisation import Organisation


def put(aws: Organisation, account: str, bucket: str, key: str, text: str, when: str = "") -> None:
    """Put a version of an object there. account: its id. when: the time that AWS says it is from, `2026-11-13T17:42`."""
    backend = backend_of("s3", account, "aws")
    _seed(aws, account, bucket, key)
    backend.put_object(bucket, key, text.encode())
    _date(aws, account, bucket, key, when)


def delete(aws: Organisation, account: str, bucket: str, key: str, when: str = "") -> None:
    """Delete an object as somebody does who knows of no versions: what they leave is a delete marker."""
    _seed(aws, account, bucket, key)
    backend_of("s3", account, "aws").delete_object(bucket, key)
    _date(aws, account, bucket, key, when)


def forget(aws: Organisation, account: str, bucket: str, key: str) -> None:
    """Let there be no version of an object, as if it had never been."""
    backend_of("s3", account, "aws").get_bucket(bucket).keys.pop(key)


def _versions(aws: Organisation, account: str, bucket: str, key: str) -> list:
    return backend_of("s3", account, "aws").get_bucket(bucket).keys.getlist(key, [])


def _seed(aws: Organisation, account: str, bucket: str, key: str) -> None:
    from moto.moto_api._internal import mock_random

    mock_random.seed(f"{aws.seed}/{account}/{bucket}/{key}/{len(_versions(aws, account, bucket, key))}")


def _date(aws: Organisation, account: str, bucket: str, key: str, when: str) -> None:
    """Say when the newest version is from. Never later than now: AWS lists versions by time, and the learner's come after it."""
    newest = _versions(aws, account, bucket, key)[-1]
    if when:
        newest.last_modified = min(newest.last_modified, datetime.fromisoformat(when))
