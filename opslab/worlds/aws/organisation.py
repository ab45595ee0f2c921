"""An AWS organisation on this machine: accounts, administrators, and an endpoint that really says no.

    >>> from opslab.worlds.aws.organisation import Organisation
    >>> with Organisation({"staging": "111111111111", "production": "222222222222"}) as aws:
    ...     s3 = aws.client("s3", "staging", region_name="us-east-1")
    ...     _ = s3.create_bucket(Bucket="clicks")
    ...     [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    ['clicks']

Moto keeps its state in the process, so one process holds one organisation at a time. Everything that is made from the same
`seed` by the same calls has the same ids, keys included.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from opslab.worlds.aws import clients, ecr, keys, policy_grammar
from opslab.worlds.aws.guard import Guard, Record, Rules
from opslab.worlds.aws.policy import Policy, Principal
from opslab.worlds.aws.state import Session, State, iam

ADMINISTRATOR = "administrator"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
FULL_ACCESS = "FullAWSAccess"
"""The service control policy that AWS attaches everywhere by default."""

_open_here = threading.Lock()


class Organisation:
    """The accounts of an organisation behind one endpoint on the loopback. Use as a context manager.

    accounts          name: account id of 12 digits
    seed              the same seed gives the same keys and ids
    port              of the endpoint; 0 takes a free one
    check_principals  refuse policies that name users or roles which do not exist, as AWS does
    socket            a unix socket to listen on as well, for clients in the jail
    start             called with the organisation at the start and after each reset, to put things there
    organisation_id   what aws:PrincipalOrgID says
    registries        the folder where registries of images keep the layers of ECR, in ACCOUNT/REGION: see `ecr`
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        seed: int = 0,
        port: int = 0,
        check_principals: bool = True,
        start: Callable[[Organisation], None] | None = None,
        socket: Path | None = None,
        organisation_id: str = "o-exampleorg",
        registries: Path | None = None,
    ) -> None:
        for name, account in accounts.items():
            if not re.fullmatch(r"\d{12}", account):
                raise ValueError(f"The account {name!r} has the id {account!r}; an account id has 12 digits.")
        if len(set(accounts.values())) < len(accounts) or not accounts:
            raise ValueError("An organisation needs at least one account, and each account an id of its own.")
        self.accounts = dict(accounts)
        self.seed = seed
        self.organisation_id = organisation_id
        self._port = port
        self._socket = socket
        self._start = start
        self._registries = registries
        self._scps: dict[str, dict[str, Policy]] = {}
        self.state = State(tuple(self.accounts.values()))
        self.guard = Guard(self.state, Rules(organisation_id, self._levels, check_principals, seed))
        self._servers: list[Any] = []

    # --- life ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Starts the endpoint in a thread."""
        from opslab.worlds.aws.server import make_server

        if not _open_here.acquire(blocking=False):
            raise RuntimeError("This process already holds an organisation: close it, or start another process.")
        try:
            ecr.use(self._registries)
            self.reset()
            self._servers = [make_server(self._port, self.guard)]
            if self._socket:
                self._servers.append(make_server(self._socket, self.guard))
        except BaseException:
            for server in self._servers:
                server.server_close()
            self._servers = []
            _open_here.release()
            raise
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="aws").start()
        return self

    def close(self) -> None:
        """Stops the endpoint and forgets everything."""
        if not self._servers:
            return
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []
        with self.guard.lock:
            _empty_moto()
            ecr.use(None)
        _open_here.release()

    def reset(self) -> None:
        """Back to the start: nothing but the administrators, with the same keys, and what `start` puts there."""
        with self.guard.lock:
            _empty_moto()
            self.guard.forget()
            self._scps = {}
            for account in self.accounts.values():
                self._seed_administrator(account)
            if self._start:
                self._start(self)

    def _seed_administrator(self, account: str) -> None:
        from moto.moto_api._internal import mock_random

        mock_random.seed(f"{self.seed}/{account}/{ADMINISTRATOR}")
        backend = iam(account)
        user = backend.create_user("aws", ADMINISTRATOR)
        user.put_policy("AdministratorAccess", json.dumps(EVERYTHING))
        self.access_key(account, ADMINISTRATOR)

    # --- for seeding, by direct calls ------------------------------------------------------------------------------------

    def account(self, name: str) -> str:
        """The id of an account, by name or id."""
        if name in self.accounts.values():
            return name
        if name not in self.accounts:
            raise ValueError(f"There is no account {name!r}; there are: {', '.join(self.accounts)}.")
        return self.accounts[name]

    def access_key(self, account: str, user: str) -> tuple[str, str]:
        """(access key id, secret) of a user: made at the first call, always the same for the same seed."""
        account = self.account(account)
        backend = iam(account)
        there = backend.get_user(user).access_keys
        if not there:
            key_id, secret = keys.access_key(self.seed, account, user)
            made = backend.create_access_key(user)
            del backend.access_keys[made.access_key_id]
            made.access_key_id, made.secret_access_key = key_id, secret
            backend.access_keys[key_id] = made
        return there[0].access_key_id, there[0].secret_access_key

    def role_session(self, account: str, role: str) -> tuple[str, str, str]:
        """(key, secret, token) of a session of a role, without asking whom it trusts. LookupError if there is no such role."""
        account = self.account(account)
        arn = self.state.entity_arn(account, "role", role)
        if arn is None:
            raise LookupError(f"There is no role {role} in the account {account}.")
        key, secret = keys.access_key(self.seed, account, f"session of {arn}")
        key = f"ASIA{key[4:]}"  # temporary ones begin so
        session_arn = f"arn:aws:sts::{account}:assumed-role/{role}/check"
        now = datetime.datetime.now(datetime.UTC)
        self.state.sessions[key] = Session(
            Principal(session_arn, account, "role", arn),
            key,
            secret,
            secret,
            now,
            now + datetime.timedelta(hours=1),
            "",
        )
        return key, secret, secret

    # --- service control policies ------------------------------------------------------------------------------------------

    def attach_scp(self, target: str, name: str, document: str | Mapping[str, Any]) -> None:
        """Attaches a service control policy to "root" (all accounts) or to one account."""
        text = document if isinstance(document, str) else json.dumps(document)
        if reason := policy_grammar.problem(text, "identity"):
            raise ValueError(f"MalformedPolicyDocument: {reason}")
        self._attached(target)[name] = Policy.parse(text, f"{name}, attached to {target}")

    def detach_scp(self, target: str, name: str) -> None:
        """Takes one away; also FullAWSAccess, which is everywhere at the start."""
        if self._attached(target).pop(name, None) is None:
            raise ValueError(f"No service control policy {name!r} is attached to {target}.")

    def _attached(self, target: str) -> dict[str, Policy]:
        key = "root" if target == "root" else self.account(target)
        return self._scps.setdefault(
            key, {FULL_ACCESS: Policy.parse(EVERYTHING, f"{FULL_ACCESS}, attached to {target}")}
        )

    def _levels(self, account: str) -> tuple[tuple[Policy, ...], ...] | None:
        if not self._scps:
            return None  # FullAWSAccess at every level
        return tuple(tuple(self._attached(level).values()) for level in ("root", account))

    # --- for clients -----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return self._servers[0].server_address[1]

    @property
    def endpoint(self) -> str:
        """The address of every service, for endpoint_url or AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def credentials_file(
        self, path: str | os.PathLike[str], users: Mapping[str, tuple[str, str]] | None = None
    ) -> Path:
        """Writes an AWS credentials file. By default one profile for each account, named by its id, for its administrator;
        or profile: (account, user)."""
        profiles = users or {account: (account, ADMINISTRATOR) for account in self.accounts.values()}
        lines = []
        for profile, (account, user) in profiles.items():
            key, secret = self.access_key(account, user)
            lines += [f"[{profile}]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}", ""]
        path = Path(path)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines))
        return path

    def environment(self, home: str | os.PathLike[str], base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment in which every AWS client talks to this organisation only. `base` (by default this process's
        environment) without anything about AWS and proxies; config and credentials come from `home`."""
        return clients.environment(self.endpoint, home, base)

    def client(self, service: str, account: str, user: str = ADMINISTRATOR, **options: Any) -> Any:
        """A boto3 client, of an administrator or of another user of an account."""
        key, secret = self.access_key(account, user)
        return self.client_with(service, key, secret, **options)

    def client_with(self, service: str, key: str, secret: str, token: str | None = None, **options: Any) -> Any:
        """A boto3 client with given keys. Takes nothing from the environment or from files."""
        return clients.client(service, self.endpoint, key, secret, token, **options)

    # --- what happened -----------------------------------------------------------------------------------------------------

    @property
    def records(self) -> list[Record]:
        """The last requests, the newest last."""
        with self.guard.lock:
            return list(self.guard.records)

    def last_denial(self) -> Record | None:
        """The newest request that was refused."""
        return next((record for record in reversed(self.records) if not record.allowed), None)


def _empty_moto() -> None:
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    BackendDict.reset()
    reset_model_data()
