"""The team's registry: users with passwords, who may pull, push or delete where their rules say so.

    >>> from opslab.worlds.images.registry.team import Team, User
    >>> users = {"ana": User("a-password", {"clicks/*": "pull push"}), "ci": User("another", {"*": "pull push delete"})}
    >>> team = Team("workspace/registry", users, public=["base/*"], immutable=["*"])            # doctest: +SKIP

Clients log in as with most registries: a request without a token is answered with `WWW-Authenticate: Bearer`, and they fetch a
token at /token with user and password (distribution, "Token Authentication Specification"). User and password with each
request, as curl sends them, are taken as well.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opslab.worlds.images.registry import doors, names
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.manifests import Manifest
from opslab.worlds.images.registry.store import LIMITS, Limits, Store

SERVICE = "registry"
TOKEN_SECONDS = 300
RIGHTS = ("pull", "push", "delete")

RIGHT = {
    doors.CHECK_BLOB: "pull",
    doors.GET_BLOB: "pull",
    doors.GET_MANIFEST: "pull",
    doors.LIST_TAGS: "pull",
    doors.START_UPLOAD: "push",
    doors.UPLOAD: "push",
    doors.FINISH_UPLOAD: "push",
    doors.PUT_MANIFEST: "push",
    doors.DELETE: "delete",
}


@dataclass(frozen=True)
class User:
    """rules: a pattern for repositories, and what may be done there: `{"clicks/*": "pull push"}`. The rights add up."""

    password: str = field(repr=False)
    rules: Mapping[str, str]

    def rights(self, name: str) -> set[str]:
        """What the user may do in a repository: pull, push, delete."""
        return {
            right
            for pattern, those in self.rules.items()
            if fnmatch.fnmatchcase(name, pattern)
            for right in those.split()
        }


@dataclass(frozen=True)
class Caller:
    """user: "" for somebody who has not logged in. scopes: what the token was asked for; None where there is no token."""

    user: str
    scopes: Mapping[str, list[str]] | None = None


class Team(doors.Door):
    """A registry of one's own. users: name: User; None for a registry where everybody may do everything.

    public     patterns of repositories that may be pulled without logging in
    immutable  patterns of repositories whose tags stay what they are
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        users: Mapping[str, User] | None,
        *,
        public: Iterable[str] = (),
        immutable: Iterable[str] = (),
        limits: Limits = LIMITS,
    ) -> None:
        super().__init__(Store(folder, limits))
        self.users = users
        self.public, self.immutable = list(public), list(immutable)
        self._key = secrets.token_bytes(32)
        for name, user in (users or {}).items():
            wrong = {right for those in user.rules.values() for right in those.split()} - set(RIGHTS)
            if wrong:
                raise ValueError(f"The rules of {name} have the right {wrong.pop()!r}; there are: {', '.join(RIGHTS)}.")

    # --- who ---------------------------------------------------------------------------------------------------------------

    def caller(self, headers: Mapping[str, str]) -> Caller:
        if self.users is None:
            return Caller("")
        if given := doors.basic(headers):
            return Caller(self._log_in(*given))
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._read(value.strip())
        return Caller("")

    def _log_in(self, name: str, password: str) -> str:
        user = (self.users or {}).get(name)
        # Compared also where there is no such user, so that the time tells nothing.
        right = hmac.compare_digest(password.encode(), (user.password if user else secrets.token_hex()).encode())
        if user is None or not right:
            raise self._challenge(f"There is no user {names.short(name)} with this password.", basic=True)
        return name

    def _challenge(self, message: str, scope: str = "", error: str = "", *, basic: bool = False) -> RegistryError:
        parts = [f'realm="http://{self.address}/token"', f'service="{SERVICE}"']
        parts += [f'scope="{scope}"'] if scope else []
        parts += [f'error="{error}"'] if error else []
        told = f'Basic realm="{SERVICE}"' if basic else f"Bearer {','.join(parts)}"
        return RegistryError("UNAUTHORIZED", message, headers={"WWW-Authenticate": told})

    # --- tokens ------------------------------------------------------------------------------------------------------------

    def token(self, headers: Mapping[str, str], query: Mapping[str, list[str]]) -> dict[str, Any]:
        given = doors.basic(headers)
        user = self._log_in(*given) if given and self.users is not None else ""
        scopes: dict[str, list[str]] = {}
        for scope in " ".join(query.get("scope", [])).split()[:100]:
            # The first kind of scope names a repository with what is wanted there; the other is for the catalog.
            if found := re.fullmatch(r"repository:([^:]+):([\w*,]+)", scope):
                scopes.setdefault(found[1], []).extend(found[2].split(","))
        now = int(time.time())
        claims = json.dumps({"user": user, "scopes": scopes, "until": now + TOKEN_SECONDS}).encode()
        token = f"{_text(claims)}.{_text(self._sign(claims))}"
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return {"token": token, "access_token": token, "expires_in": TOKEN_SECONDS, "issued_at": issued}

    def _sign(self, claims: bytes) -> bytes:
        return hmac.digest(self._key, claims, hashlib.sha256)

    def _read(self, token: str) -> Caller:
        claims, _, signature = token.partition(".")
        try:
            raw = _bytes(claims)
            if not hmac.compare_digest(self._sign(raw), _bytes(signature)):
                raise ValueError
            found = json.loads(raw)
        except ValueError:
            raise self._challenge("The token is not one of this registry.", error="invalid_token") from None
        if found["until"] < time.time():
            raise self._challenge("The token has expired.", error="invalid_token")
        return Caller(found["user"], found["scopes"])

    # --- may they ------------------------------------------------------------------------------------------------------------

    def ping(self, caller: Caller) -> None:
        # Also where anybody may pull: from this answer, clients learn where to log in.
        if self.users is not None and not caller.user and caller.scopes is None:
            raise self._challenge("Please log in.")

    def allow(self, caller: Caller, want: str, name: str) -> None:
        if self.users is None:
            return
        if want == doors.CATALOG:
            if not caller.user:
                raise self._challenge("Please log in to list the repositories.", "registry:catalog:*")
            return
        right = RIGHT[want]
        rights = self._rights(caller.user, name)
        # Who asks whether a blob is there is about to push. Some clients (oras for Python) ask for a token only once.
        more = "push" if want == doors.CHECK_BLOB else right
        scope = f"repository:{name}:{','.join(dict.fromkeys(['pull', more]))}"
        if right not in rights:
            if not caller.user:
                raise self._challenge(f"Please log in to {right}.", scope)
            may = " and ".join(one for one in RIGHTS if one in rights) or "nothing"
            raise RegistryError(
                "DENIED", f"{caller.user} may not {right} in {name}; what {caller.user} may do there: {may}."
            )
        if caller.scopes is not None and right not in caller.scopes.get(name, ()):
            raise self._challenge("The token is for something else.", scope, "insufficient_scope")

    def _rights(self, user: str, name: str) -> set[str]:
        rights = self.users[user].rights(name) if self.users and user in self.users else set()
        return rights | {"pull"} if _fits(name, self.public) else rights

    # --- images ------------------------------------------------------------------------------------------------------------

    def put_manifest(self, caller: Caller, name: str, reference: str, content: bytes, media_type: str) -> Manifest:
        self.allow(caller, doors.PUT_MANIFEST, name)
        return self.store.put(name, reference, content, media_type, immutable=_fits(name, self.immutable))

    def catalog(self, caller: Caller) -> list[str]:
        self.allow(caller, doors.CATALOG, "")
        found = self.store.repositories()
        return found if self.users is None else [name for name in found if self._rights(caller.user, name)]


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
