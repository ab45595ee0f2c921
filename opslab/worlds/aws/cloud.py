"""An AWS organisation in a process of its own, with a scenario, and with a memory in a file.

    >>> from opslab.worlds.aws.cloud import Host
    >>> with Host() as host:                                                          # doctest: +SKIP
    ...     with host.open("opslab.scenarios.iam_roles.cloud", seed=1) as cloud:
    ...         cloud.user("staging", "mara").client("s3").list_buckets()

This side is light: it imports neither moto nor boto3, until a client is asked for.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from opslab import wire
from opslab.worlds.aws import clients, keys

JOURNAL = ".cloud/journal.jsonl"
"""Where a workspace keeps what was changed in its organisation."""


ANSWER_SECONDS = 120
"""An organisation that is silent for so long is taken for gone. To make a long journal again takes up to a minute."""

CLOSE_SECONDS = 5


class CloudError(RuntimeError):
    """The organisation cannot be started, or has gone. The text is one sentence."""


class Host:
    """The process that organisations are forked from. Use as a context manager, or `shared()`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="opslab-aws-", ignore_cleanup_errors=True)
        self._lock = threading.Lock()
        self._count = 0
        names = ("PATH", "LANG", "LC_ALL", "TMPDIR")
        env = {name: os.environ[name] for name in names if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "opslab.worlds.aws.host"],
            cwd="/",
            # Nothing of AWS, proxies or somebody's home can get in.
            env={
                **env,
                "HOME": self._folder.name,
                "PYTHONDONTWRITEBYTECODE": "1",
                "AWS_EC2_METADATA_DISABLED": "true",
                # Objects stay in memory, where `host` limits them, and never become temporary files.
                "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(2**40),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and every organisation in it."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def open(
        self,
        scenario: str,
        *,
        seed: int = 0,
        twists: Iterable[str] = (),
        port: int = 0,
        journal: Path | None = None,
        record: bool = False,
        registries: Path | None = None,
    ) -> Cloud:
        """Start an organisation. For the arguments see `opslab.worlds.aws.host.Order`. Raises CloudError."""
        with self._lock:
            self._count += 1
            folder = Path(self._folder.name) / str(self._count)
            order = {
                "folder": str(folder),
                "scenario": scenario,
                "seed": seed,
                "twists": sorted(twists),
                "port": port,
                "journal": str(journal or ""),
                "record": record,
                "registries": str(registries or ""),
            }
            try:
                folder.mkdir(mode=0o700)
                self._process.stdin.write(json.dumps(order) + "\n")
                self._process.stdin.flush()
                said = json.loads(self._process.stdout.readline() or '{"error": "its process has ended"}')
            except (OSError, ValueError) as error:
                said = {"error": str(error)}
        if "error" in said:
            shutil.rmtree(folder, ignore_errors=True)
            if port and "cannot be had" in said["error"]:
                return self.open(
                    scenario, seed=seed, twists=twists, journal=journal, record=record, registries=registries
                )
            raise CloudError(f"The AWS organisation of this module could not be started ({said['error']}).")
        return Cloud(folder, seed, said["port"], tuple(said["remarks"]))


@functools.cache
def _shared() -> list[Host]:
    host = [Host()]
    atexit.register(lambda: host[0].close())
    return host


def shared() -> Host:
    """The host of this process; started at the first call, and again should it have died."""
    host = _shared()
    if not host[0].running:
        host[0].close()
        host[0] = Host()
    return host[0]


@dataclass(frozen=True)
class Cloud:
    """A running organisation. remarks: what of the journal could not be done again, in words."""

    folder: Path
    seed: int
    port: int
    remarks: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def services(self) -> dict[int, Path]:
        """For `opslab.jail`: what has to be reachable inside, by port."""
        return {self.port: self.folder / "aws"}

    def ask(self, op: str, *, seconds: float = ANSWER_SECONDS, **arguments: Any) -> Any:
        """One of the operations of `opslab.worlds.aws.host.Control`.

        Raises wire.Refusal with the sentence of what it refuses, CloudError where it has gone or is silent for `seconds`.
        """
        try:
            return wire.exchange(self.folder / "control", {"op": op, **arguments}, seconds=seconds)
        except (OSError, ValueError) as error:
            raise CloudError(f"The AWS organisation of this module has gone ({error}).") from None

    @property
    def running(self) -> bool:
        try:
            self.ask("explained", seconds=2 * CLOSE_SECONDS)
        except CloudError:
            return False
        return True

    def close(self) -> None:
        """End it. What was recorded stays in its journal. One that does not listen any more ends when its folder is gone."""
        with contextlib.suppress(CloudError):
            self.ask("stop", seconds=CLOSE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def user(self, account: str, name: str) -> Actor:
        """A user of an account (id of 12 digits), with the key that the organisation gave them."""
        return Actor(self.endpoint, *keys.access_key(self.seed, account, name))

    def role(self, account: str, name: str) -> Actor:
        """A session of a role, whoever the role trusts. Raises wire.Refusal where there is no such role."""
        return Actor(self.endpoint, *self.ask("role_session", account=account, role=name))

    def nobody(self) -> Actor:
        """Somebody without a key."""
        return Actor(self.endpoint, None, None)


@dataclass(frozen=True)
class Answer:
    """What AWS said to one call. code and message are empty where it was done."""

    allowed: bool
    code: str = ""
    message: str = ""
    result: Mapping[str, Any] | None = None


DENIALS = (
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException",
    "ExpiredToken", "ExpiredTokenException", "KMSAccessDeniedException", "403", "SignatureDoesNotMatch",
)  # fmt: skip


class Actor:
    """Somebody who calls AWS: a user, a session of a role, or nobody in particular."""

    def __init__(self, endpoint: str, key: str | None, secret: str | None, token: str | None = None) -> None:
        self.endpoint, self.key, self.secret, self.token = endpoint, key, secret, token
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = clients.REGION) -> Any:
        """A boto3 client of this caller."""
        if (service, region) not in self._clients:
            self._clients[service, region] = clients.client(
                service, self.endpoint, self.key, self.secret, self.token, region_name=region
            )
        return self._clients[service, region]

    def call(self, service: str, operation: str, **parameters: Any) -> Answer:
        """Do one call, `call("s3", "get_object", Bucket=…)`, and say whether it was permitted.

        What fails for another reason than permission (no such key, a bad argument) counts as permitted: IAM came first.
        Raises CloudError where nobody answers.
        """
        from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

        function: Callable[..., Any] = getattr(self.client(service), operation)
        try:
            return Answer(True, result=function(**parameters))
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            return Answer(code not in DENIALS, code, message)
        except (HTTPClientError, ConnectionError) as error:
            raise CloudError(f"The AWS organisation of this module does not answer ({error}).") from None

    def assume(self, role: str, **parameters: Any) -> Actor | Answer:
        """Become a role (its ARN), as `aws sts assume-role` does. The Answer says why not."""
        answer = self.call("sts", "assume_role", RoleArn=role, RoleSessionName="check", **parameters)
        if answer.result is None:
            return answer
        made = answer.result["Credentials"]
        return Actor(self.endpoint, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
