"""The guard: a WSGI application around moto that says no as AWS would.

Every request goes the same way: who signed it (`signature`, `state`), which operation it is (moto's own routing and parsing,
from botocore's models), what IAM must be asked (`operations`, `context`), what the policies say (`policy`), and then either a
refusal in AWS's words (`wording`) or on to moto. What cannot be understood is refused.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from opslab.worlds.aws import context, documents, ecr, journal, moto_fixes, operations, signature, wording
from opslab.worlds.aws.policy import ANONYMOUS, Decision, Policies, Policy, Request, evaluate
from opslab.worlds.aws.signature import Credential, Http
from opslab.worlds.aws.state import Caller, State
from opslab.worlds.aws.wording import Refusal, Reply

LIMIT = "This is a limit of the sandbox, not of AWS: "
BODY_LIMIT = 64 * 1024 * 1024
JSON_SERVICES = "application/x-amz-json"

# One of these at a time, or guard and moto might read the same request differently.
S3_SUBRESOURCES = {
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
}


@dataclass
class Record:
    """One request and what became of it: what `explain` explains."""

    number: int
    service: str
    operation: str
    caller: str
    decisions: list[Decision] = field(default_factory=list)
    refusal: Refusal | None = None
    explained: bool = False

    @property
    def allowed(self) -> bool:
        return self.refusal is None


@dataclass
class Rules:
    """What the organisation adds to what is in moto.

    scps              the levels of service control policies for an account; None for an account that none apply to
    check_principals  refuse policies that name users or roles which do not exist, as AWS does
    """

    organisation: str
    scps: Callable[[str], tuple[tuple[Policy, ...], ...] | None]
    check_principals: bool = True
    seed: int = 0


class Guard:
    """The WSGI application. One lock, because moto is not made for threads: decision and execution are one step."""

    def __init__(self, state: State, rules: Rules) -> None:
        moto_fixes.apply()
        self.state = state
        self.rules = rules
        self.lock = threading.RLock()
        self.records: deque[Record] = deque(maxlen=1000)
        self.seen: Counter[str] = Counter()
        self.on_change: Callable[[Work], None] | None = None
        """Called, under the lock, after each request that may have changed something. See `journal`."""
        self._count = 0
        self._apps: dict[str, Any] = {}

    def forget(self) -> None:
        """Back to the start: no sessions, no records, the same ids again."""
        self.state.sessions.clear()
        self.records.clear()
        self.seen.clear()

    # --- WSGI ----------------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        reply = self.answer(environ)
        phrase = {200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified"}.get(reply.status, "Error")
        start_response(f"{reply.status} {phrase}", list(reply.headers))
        return [reply.body]

    def answer(self, environ: dict[str, Any]) -> Reply:
        """A request in, AWS's answer out."""
        work = Work(self, environ)
        try:
            http = work.http = _http(environ)
            work.now = datetime.datetime.now(datetime.UTC)
            with self.lock:
                self._count += 1
                work.record.number = self._count
                work.authenticate()
                work.understand()
                work.authorise()
                documents.check(work)
                reply = work.forward()
                self.records.append(work.record)
                if self.on_change and reply.status < 400 and journal.changes(work.service, work.operation):
                    self.on_change(work)
            if reply.status == 200 and work.operation == "ReceiveMessage":
                reply = work.wait_for_messages(reply)
            return reply
        except Refusal as refusal:
            work.record.refusal = refusal
        except operations.Unmapped as unknown:
            work.record.refusal = Refusal("AccessDenied", f"{LIMIT}it does not know what IAM asks for {unknown}.")
        except Exception as error:  # noqa: BLE001  (a client gets an AWS error, never a broken connection)
            traceback.print_exc()
            work.record.refusal = Refusal(
                "InternalFailure", f"A bug of the sandbox: {type(error).__name__}: {error}", 500
            )
        with self.lock:
            self.records.append(work.record)
        method = http.method if work.http else "GET"
        return wording.reply(work.record.refusal, work.service, work.protocol, f"{work.record.number:032x}", method)

    def repeat(self, entry: Mapping[str, Any]) -> str:
        """Do again what stands in a journal, as the caller whose name stands there. Returns why it does not work, or ""."""
        work = Work(self, {})
        try:
            http = work.http = journal.http_of(entry)
            work.environ = _environ(http)
            work.now = journal.when(entry)
            work.nth = entry.get("nth", 0)
            work.service, work.region = entry["service"], entry.get("region", "us-east-1")
            work.record.service, work.record.caller = work.service, entry["caller"]
            if work.service not in operations.SERVICES:
                return f"there is no service {work.service}"
            with self.lock:
                if entry["caller"]:
                    work.caller = self.state.caller_named(entry["caller"])
                    if work.caller is None:
                        return "there is no such caller"
                    work.sign_for_moto()
                work.understand()
                if not journal.changes(work.service, work.operation):
                    return "it changes nothing"
                work.authorise()
                documents.check(work)
                reply = work.forward()
            return "" if reply.status < 400 else reply.body.decode("utf-8", "replace")[:300]
        except Refusal as refusal:
            return f"{refusal.code}: {refusal.message}"
        except Exception as error:  # noqa: BLE001  (one bad line must not cost the rest)
            return f"{type(error).__name__}: {error}"

    def act(
        self,
        caller: Caller,
        service: str,
        region: str,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        only_ask: bool = False,
    ) -> Reply:
        """Do one call for somebody who has shown elsewhere who they are, by something else than a signature.

        A registry of images speaks another protocol than ECR, and its clients send a token. All the rest is as with any
        request: it is decided, recorded, and written down where it changes something. service: one that speaks JSON.
        only_ask: find out whether they may, and do nothing.
        """
        work = Work(self, {})
        work.http = journal.json_call(service, operation, parameters)
        work.environ = _environ(work.http)
        work.service, work.region, work.protocol, work.caller = service, region, "json", caller
        work.record.service, work.record.caller = service, caller.principal.arn
        with self.lock:
            self._count += 1
            work.record.number = self._count
            self.records.append(work.record)
            try:
                work.sign_for_moto()
                work.understand()
                work.authorise()
                if only_ask:
                    ecr.must_exist(work)
                    return Reply(200, (), b"{}")
                documents.check(work)
                reply = work.forward()
                if self.on_change and reply.status < 400 and journal.changes(service, work.operation):
                    self.on_change(work)
                return reply
            except Refusal as refusal:
                work.record.refusal = refusal
            except operations.Unmapped as unknown:
                work.record.refusal = Refusal("AccessDenied", f"{LIMIT}it does not know what IAM asks for {unknown}.")
        return wording.reply(work.record.refusal, service, "json", f"{work.record.number:032x}", "POST")

    # --- decisions, also for those who only want to know ----------------------------------------------------------------

    def decide(self, ask: operations.Ask, caller: Caller | None, call: operations.Call, keys: context.Keys) -> Decision:
        """What the live policies say to one ask. `keys` are those of the network and the time."""
        state = self.state
        principal = caller.principal if caller else ANONYMOUS
        tags = state.entity_tags(principal) if caller else {}
        session = caller.session if caller else None
        if session:
            tags = {**tags, **session.tags}
        all_keys = {
            **keys,
            **context.of_caller(caller, self.rules.organisation, tags),
            **context.of_ask(ask, call, caller, state, self.rules.organisation),
        }
        if principal.kind == "user" and caller:
            all_keys["aws:userid"] = self.state.user_id(principal)
        elif principal.kind == "role":
            all_keys["aws:userid"] = f"{self.state.user_id(principal)}:{principal.arn.rsplit('/', 1)[-1]}"
        identity, boundary = state.identity(principal) if caller else ((), None)
        resource, kind = state.resource_policy(ask)
        policies = Policies(
            identity=identity,
            resource=resource,
            resource_kind=kind,  # type: ignore[arg-type]
            boundary=boundary,
            session=session.policies if session else None,
            scps=self.rules.scps(principal.account) if caller else None,
        )
        return evaluate(Request(principal, ask.action, ask.resource, ask.account, all_keys), policies)

    def app(self, service: str) -> Any:
        """Moto's application of one service."""
        if service not in self._apps:
            from moto.moto_server.werkzeug_app import create_backend_app

            self._apps[service] = create_backend_app(service)
        return self._apps[service]


def _environ(http: Http) -> dict[str, Any]:
    """A request as a WSGI server would give it."""
    from werkzeug.test import create_environ

    environ = create_environ(
        unquote(http.path),
        "http://127.0.0.1/",
        http.query,
        method=http.method,
        headers=dict(http.headers),
        data=http.body,
    )
    return {**environ, "RAW_URI": f"{http.path}?{http.query}" if http.query else http.path, "REMOTE_ADDR": "127.0.0.1"}


def _http(environ: dict[str, Any]) -> Http:
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    for key, name in (environ.get("moto.preserved_header_names") or {}).items():
        headers[name.lower()] = headers.pop(key[5:].replace("_", "-").lower(), "")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > BODY_LIMIT:
        raise Refusal("EntityTooLarge", f"{LIMIT}it takes at most {BODY_LIMIT // 1024 // 1024} MB in one request.", 400)
    if environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(BODY_LIMIT)
    else:
        body = environ["wsgi.input"].read(length) if length else b""
    path, _, query = (environ.get("RAW_URI") or quote(environ.get("PATH_INFO", "/"))).partition("?")
    if not path.startswith("/"):
        path = re.sub(r"^\w+://[^/]*", "", path) or "/"
    return Http(environ["REQUEST_METHOD"], path, query or environ.get("QUERY_STRING", ""), headers, body)


def _address(environ: Mapping[str, Any]) -> str:
    """Where a request comes from. What comes over a unix socket, from the jail, comes from this machine."""
    address = environ.get("REMOTE_ADDR", "")
    return address if address[:1].isdigit() else "127.0.0.1"


class Work:
    """One request on its way. The attributes fill up from step to step."""

    def __init__(self, guard: Guard, environ: dict[str, Any]) -> None:
        self.guard = guard
        self.state = guard.state
        self.environ = environ
        self.http: Any = None
        self.now = datetime.datetime.now(datetime.UTC)
        self.service = "s3"
        self.protocol = "rest-xml"
        self.operation = ""
        self.region = "us-east-1"
        self.credential: Credential | None = None
        self.caller: Caller | None = None
        self.params: Mapping[str, Any] = {}
        self.asks: list[operations.Ask] = []
        self.record = Record(0, "", "", "")
        self.nth = 0
        """Of how many requests that say the same this is the one; 0: not known yet. Ids follow from it."""
        self._seeded = ""

    # --- who? ----------------------------------------------------------------------------------------------------------

    def authenticate(self) -> None:
        """Finds the caller by the access key and checks the signature. Unsigned requests are anonymous: S3 knows those."""
        http = self.http
        self._guess_service()
        host = http.headers.get("host", "").rsplit(":", 1)[0]
        if host not in ("127.0.0.1", "localhost"):
            raise Refusal(
                "InvalidRequest", f"{LIMIT}it answers to http://127.0.0.1 only, not to {host or 'no host'}.", 400
            )
        try:
            self.credential = credential = signature.read(http)
        except signature.Malformed as error:
            raise Refusal(
                "IncompleteSignature", f"The request signature does not conform to AWS standards: {error}."
            ) from None
        if credential is None:
            if self.service != "s3":
                raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")
            self.record.caller = "an unsigned request"
            return
        if credential.version == "v4":
            self.service, self.region = credential.service, credential.region
        self.record.service = self.service
        self._set_protocol()
        if self.service not in operations.SERVICES:
            raise operations.Unmapped(f"the service {self.service}; there are: {', '.join(operations.SERVICES)}")
        if credential.presigned and self.service != "s3":
            raise operations.Unmapped(f"a presigned URL of {self.service}")
        if self.service in operations.GLOBAL and self.region != "us-east-1":
            self.region = "us-east-1" if self.service == "iam" else self.region
        caller = self.state.caller(credential.key)
        if (
            caller is None
            or not caller.active
            or (credential.token or None) != (caller.session.token if caller.session else None)
        ):
            raise Refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
        self.record.caller = caller.principal.arn
        wrong = signature.problem(http, credential, caller.secret, self.now)
        if wrong == "body":
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise Refusal("XAmzContentSHA256Mismatch", message, 400)
        if wrong == "expired":
            raise Refusal("AccessDenied", "Request has expired")
        if wrong == "skewed":
            stamp = credential.when.strftime("%Y%m%dT%H%M%SZ")
            raise Refusal(
                "RequestExpired", f"Signature expired: {stamp} is now earlier or later than 15 minutes from now."
            )
        if wrong:
            raise Refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
                "Key and signing method. Consult the service documentation for details.",
            )
        if caller.session and self.now >= caller.session.expires:
            raise Refusal("ExpiredToken", "The security token included in the request is expired")
        self.caller = caller

    def sign_for_moto(self) -> None:
        """Put in the header from which moto reads region and key, for a request that is done again without a signature.

        The key is one that the caller has now, and never one that a journal tells.
        """
        caller = self.caller
        key = caller.session.access_key if caller.session else self.state.key_of(caller)
        scope = f"{key or 'NONE'}/{self.now:%Y%m%d}/{self.region}/{self.service}/aws4_request"
        self.environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"

    def _guess_service(self) -> None:
        """For errors that come before the signature has told."""
        auth = self.http.headers.get("authorization", "")
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([\w-]+)/", auth)
        if scope:
            self.service = scope[1]
        elif self.http.headers.get("x-amz-target") or self.http.headers.get("content-type", "").startswith(
            "application/x-www-form-urlencoded"
        ):
            self.service = "sts"
        self._set_protocol()

    def _set_protocol(self) -> None:
        kind = self.http.headers.get("content-type", "")
        self.protocol = "rest-xml" if self.service == "s3" else "json" if kind.startswith(JSON_SERVICES) else "query"

    # --- what? ---------------------------------------------------------------------------------------------------------

    def understand(self) -> None:
        """Operation and parameters, from moto's routing and parsing."""
        from moto.core.parse import PROTOCOL_PARSERS
        from moto.core.request import determine_request_protocol
        from moto.core.routing import get_service_router
        from moto.core.utils import get_service_model
        from moto.moto_server.werkzeug_app import BackendRequest
        from werkzeug.exceptions import HTTPException

        http = self.http
        names = [part.partition("=")[0] for part in http.query.split("&") if part]
        if self.service != "s3" and names:
            raise operations.Unmapped(f"{self.service} with a query string")
        if self.service == "s3" and (len(S3_SUBRESOURCES & set(names)) > 1 or len(set(names)) < len(names)):
            raise operations.Unmapped(f"s3 with {http.query}")
        if http.path.startswith(("/moto-api", "/favicon.ico", "/latest/")):
            raise Refusal("AccessDenied", "Access Denied")
        environ = self.environ
        environ["wsgi.input"] = io.BytesIO(http.body)
        request = BackendRequest(dict(environ))
        try:
            operation, uri_params = get_service_router(self.service).match(request)
            self.operation = self.record.operation = operation.name
            protocol = determine_request_protocol(get_service_model(self.service), request.content_type)
            body = _without_chunks(http) if self.service == "s3" else request.data
            self.params = PROTOCOL_PARSERS[protocol](operation).parse(
                {
                    "method": request.method,
                    "values": request.values,
                    "headers": _Headers(http.headers),
                    "body": body,
                    "url_path": request.path,
                    "url_params": uri_params,
                }
            )
        except (HTTPException, NotImplementedError):
            raise operations.Unmapped(f"{self.service}: {http.method} {http.path}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal("SerializationException", f"The request cannot be read: {error}", 400) from None
        except Exception as error:  # the parsers' own errors have no common base
            if type(error).__name__ != "RequestParserError":
                raise
            code = "MalformedXML" if self.service == "s3" else "SerializationException"
            raise Refusal(code, "The XML you provided was not well-formed or did not validate.", 400) from None
        self.protocol = protocol

    # --- may they? -----------------------------------------------------------------------------------------------------

    @property
    def call(self) -> operations.Call:
        account = self.caller.principal.account if self.caller else ""
        name = self.caller.user_name if self.caller else ""
        return operations.Call(self.service, self.operation, self.params, account, self.region, name)

    def network_keys(self) -> context.Keys:
        keys = context.of_http(self.http, self.credential, self.region, _address(self.environ), self.now)
        if self.service == "s3" and self.credential:
            v4 = self.credential.version == "v4"
            keys["s3:signatureversion"] = "AWS4-HMAC-SHA256" if v4 else "AWS"
            keys["s3:authType"] = "REST-QUERY-STRING" if self.credential.presigned else "REST-HEADER"
            age = max(0, int((self.now - self.credential.when).total_seconds() * 1000))
            keys["s3:signatureAge"] = str(age)
            if "x-amz-content-sha256" in self.http.headers:
                keys["s3:x-amz-content-sha256"] = self.http.headers["x-amz-content-sha256"]
        return keys

    def authorise(self) -> None:
        """Asks for everything the call needs; the first no ends it."""
        params = self.params
        if self.service == "s3" and self.operation not in ("ListBuckets", "CreateBucket"):
            bucket = params.get("Bucket", "")
            if self.state.bucket_owner(bucket) is None:
                raise Refusal("NoSuchBucket", "The specified bucket does not exist", 404)
        if self.caller and self.caller.session and self.caller.principal.kind == "user":
            documents.session_token_limits(self)
        call, keys = self.call, self.network_keys()
        self.asks = operations.asks(call, self.state)
        for ask in self.asks:
            self.ask(ask, call, keys)
        if self.service == "s3" and self.operation in ("GetObject", "HeadObject") and params.get("Key"):
            # Who may not list a bucket is not told that an object is missing.
            owner = self.asks[0].account
            if not self.state.object_exists(owner, params["Bucket"], params["Key"]):
                self.ask(operations.Ask("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}", owner), call, keys)

    def ask(self, ask: operations.Ask, call: operations.Call, keys: context.Keys) -> None:
        decision = self.guard.decide(ask, self.caller, call, keys)
        self.record.decisions.append(decision)
        if not decision.allowed:
            raise wording.denied(decision)

    # --- then do ---------------------------------------------------------------------------------------------------------

    def forward(self) -> Reply:
        """On to moto, as the account that owns the resource."""
        environ = dict(self.environ)
        for name in [name for name in environ if name.startswith("HTTP_X_MOTO_")]:
            del environ[name]
        owner = self.asks[0].account if self.asks and self.service not in ("sts", "iam") else ""
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = owner or self.call.account
        environ["HTTP_USER_AGENT"] = "opslab"  # moto would read a region out of it
        body = self._without_waiting() if self.operation == "ReceiveMessage" else self.http.body
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        if self.service != "s3":
            environ[moto_fixes.OPERATION] = self.operation
        self._seed()
        head: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            head[:] = [int(status.split()[0]), tuple(headers)]
            return lambda data: None

        try:
            chunks = self.guard.app(self.service)(environ, start)
            body = b"".join(chunks)
            if hasattr(chunks, "close"):
                chunks.close()
        except NotImplementedError:
            message = f"{LIMIT}{self.service}:{self.operation} is allowed to you, but moto cannot do it."
            raise Refusal("NotImplemented", message, 400) from None
        reply = Reply(head[0], head[1], body)
        if reply.status >= 400 and self._seeded:
            # What has failed does not count: a journal, which does not know of it, must come to the same ids.
            self.guard.seen[self._seeded] -= 1
        if reply.status < 300 and self.service == "sts":
            reply = documents.remember_session(self, reply)
        if reply.status < 300 and self.service == "ecr":
            reply = ecr.finish(self, reply)
        return reply

    def _seed(self) -> None:
        """Ids depend on the request alone, and so are the same every time a lesson runs, whatever runs beside it."""
        if self.operation.startswith(("Get", "List", "Describe", "Head")) and self.service != "sts":
            return
        from moto.moto_api._internal import mock_random

        plain = {
            name: value
            for name, value in self.params.items()
            if name
            not in ("Body", "ContentLength", "ClientRequestToken", "ClientToken", "clientToken", "CreatorRequestId")
        }
        text = f"{self.call.account}/{self.service}/{self.operation}/{json.dumps(plain, sort_keys=True, default=str)}"
        self.nth = self.guard.seen[text] = self.nth or self.guard.seen[text] + 1
        self._seeded = text
        mock_random.seed(f"{self.guard.rules.seed}/{text}/{self.nth}")

    def _without_waiting(self) -> bytes:
        """A ReceiveMessage that returns at once."""
        if self.protocol == "json":
            return json.dumps({**json.loads(self.http.body or b"{}"), "WaitTimeSeconds": 0}).encode()
        return re.sub(rb"&?WaitTimeSeconds=\d*", b"", self.http.body) + b"&WaitTimeSeconds=0"

    def wait_for_messages(self, reply: Reply) -> Reply:
        """Long polling, without keeping everybody else waiting."""
        wait = self.params.get("WaitTimeSeconds")
        if wait is None:
            wait = getattr(self.state.thing(self.asks[0]), "receive_message_wait_time_seconds", 0)
        until = time.monotonic() + min(int(wait or 0), 20)
        while b"MessageId" not in reply.body and time.monotonic() < until:
            time.sleep(0.05)
            with self.guard.lock:
                reply = self.forward()
        return reply


class _Headers(dict[str, str]):
    """Header names without regard to case, and quicker than werkzeug's, which the parser asks dozens of times."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


def _without_chunks(http: Http) -> bytes:
    """The body of a request in aws-chunked encoding, as some clients send it to S3."""
    if not http.headers.get("x-amz-content-sha256", "").startswith(signature.STREAMING):
        return http.body
    rest, parts = http.body, []
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        try:
            size = int(head.split(b";")[0] or b"0", 16)
        except ValueError:
            break
        if not size:
            break
        parts.append(rest[:size])
        rest = rest[size + 2 :]
    return b"".join(parts)
