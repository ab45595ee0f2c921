"""Is a request signed by the key that it names? Signature version 4, in headers or in a presigned URL, and the old version 2
that boto3 still uses for presigned S3 URLs. Standard library only.

The algorithm: IAM/latest/UserGuide/reference_sigv-create-signed-request.html; for URLs AmazonS3/latest/API/
sigv4-query-string-auth.html; version 2: AmazonS3/latest/API/RESTAuthentication.html.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote

CLOCK_SKEW = datetime.timedelta(minutes=15)
STREAMING = "STREAMING-"


@dataclass(frozen=True)
class Http:
    """A request as it came over the wire. Header names in lower case; `path` and `query` undecoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Credential:
    """What a request says about its signature. `service` and `region` are empty for version 2."""

    key: str
    token: str | None
    version: Literal["v4", "v2"]
    presigned: bool
    service: str
    region: str
    day: str
    signed_headers: tuple[str, ...]
    signature: str
    when: datetime.datetime
    expires: int = 0


class Malformed(Exception):
    """The authorisation cannot be read."""


def read(http: Http) -> Credential | None:
    """The credential of a request, or None when it is not signed. `Malformed` when it makes no sense."""
    try:
        header = http.headers.get("authorization", "")
        if header.startswith("AWS4-HMAC-SHA256"):
            return _from_header(http, header)
        if header.startswith("AWS "):
            key, _, signature = header[4:].partition(":")
            date = http.headers.get("x-amz-date") or http.headers["date"]
            when = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=datetime.UTC)
            return _version_2(key, signature, http.headers.get("x-amz-security-token"), when, presigned=False)
        if header:
            raise Malformed("Authorization header must start with AWS4-HMAC-SHA256")
        query = dict(parse_qsl(http.query, keep_blank_values=True))
        if "X-Amz-Signature" in query:
            return _from_query(query)
        if "Signature" in query and "AWSAccessKeyId" in query:
            until = datetime.datetime.fromtimestamp(int(query["Expires"]), datetime.UTC)
            token = query.get("x-amz-security-token")
            return _version_2(query["AWSAccessKeyId"], query["Signature"], token, until, presigned=True)
    except (KeyError, ValueError, IndexError, OverflowError):
        raise Malformed("the signature is incomplete") from None
    return None


def _version_2(key: str, signature: str, token: str | None, when: datetime.datetime, presigned: bool) -> Credential:
    return Credential(key, token, "v2", presigned, "", "", "", (), signature, when)


def _stamp(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)


def _from_header(http: Http, header: str) -> Credential:
    parts = dict(part.strip().split("=", 1) for part in header.removeprefix("AWS4-HMAC-SHA256").split(","))
    key, day, region, service, end = parts["Credential"].split("/")
    if end != "aws4_request":
        raise ValueError(end)
    return Credential(
        key,
        http.headers.get("x-amz-security-token"),
        "v4",
        False,
        service,
        region,
        day,
        tuple(parts["SignedHeaders"].split(";")),
        parts["Signature"],
        _stamp(http.headers["x-amz-date"]),
    )


def _from_query(query: Mapping[str, str]) -> Credential:
    key, day, region, service, end = query["X-Amz-Credential"].split("/")
    if query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or end != "aws4_request":
        raise ValueError(end)
    return Credential(
        key,
        query.get("X-Amz-Security-Token"),
        "v4",
        True,
        service,
        region,
        day,
        tuple(query["X-Amz-SignedHeaders"].split(";")),
        query["X-Amz-Signature"],
        _stamp(query["X-Amz-Date"]),
        int(query["X-Amz-Expires"]),
    )


def problem(http: Http, credential: Credential, secret: str, now: datetime.datetime) -> str | None:
    """None if the signature is right, or else what is wrong: "signature", "skewed", "expired" or "body"."""
    if credential.version == "v2":
        return _problem_v2(http, credential, secret, now)
    if credential.when.strftime("%Y%m%d") != credential.day:
        return "signature"
    if credential.presigned:
        if not 0 < credential.expires <= 604800 or now > credential.when + datetime.timedelta(
            seconds=credential.expires
        ):
            return "expired"
    elif abs(now - credential.when) > CLOCK_SKEW:
        return "skewed"
    if "host" not in credential.signed_headers:
        return "signature"
    payload = _payload(http, credential)
    if payload is None:
        return "body"
    canonical = "\n".join(
        (
            http.method,
            _canonical_path(http.path, credential.service),
            _canonical_query(http.query),
            "".join(f"{name}:{_squeeze(http.headers.get(name, ''))}\n" for name in credential.signed_headers),
            ";".join(credential.signed_headers),
            payload,
        )
    )
    scope = f"{credential.day}/{credential.region}/{credential.service}/aws4_request"
    stamp = credential.when.strftime("%Y%m%dT%H%M%SZ")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _signing_key(secret, credential.day, credential.region, credential.service)
    good = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(good, credential.signature) else "signature"


@lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _squeeze(value: str) -> str:
    return " ".join(value.split())


def _payload(http: Http, credential: Credential) -> str | None:
    """The hash of the body that was signed; None if the body is another one."""
    said = http.headers.get("x-amz-content-sha256")
    if credential.presigned and credential.service == "s3":
        return said or "UNSIGNED-PAYLOAD"
    if said in ("UNSIGNED-PAYLOAD", None) or said.startswith(STREAMING):
        if said and credential.service == "s3":
            return said
        said = None
    have = hashlib.sha256(http.body).hexdigest()
    return have if said in (None, have) else None


def _canonical_path(path: str, service: str) -> str:
    """S3 signs the path as it is sent; the others encode it once more."""
    return path if service == "s3" else quote(path or "/", safe="/-_.~")


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != "X-Amz-Signature":
            pairs.append((_encode(name), _encode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


# --- Version 2 ---------------------------------------------------------------------------------------------------------

_SUBRESOURCES = {
    *("acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy"),
    *("requestPayment", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"),
    *("response-cache-control", "response-content-disposition", "response-content-encoding"),
    *("response-content-language", "response-content-type", "response-expires"),
}


def _problem_v2(http: Http, credential: Credential, secret: str, now: datetime.datetime) -> str | None:
    if credential.presigned and now > credential.when:
        return "expired"
    if not credential.presigned and abs(now - credential.when) > CLOCK_SKEW:
        return "skewed"
    amz = {name: value for name, value in http.headers.items() if name.startswith("x-amz-") and name != "x-amz-date"}
    parameters = parse_qsl(http.query, keep_blank_values=True)
    if credential.presigned:
        amz |= {name.lower(): value for name, value in parameters if name.lower().startswith("x-amz-")}
        date = str(int(credential.when.timestamp()))
    else:
        date = "" if "x-amz-date" in http.headers else http.headers.get("date", "")
        amz |= {"x-amz-date": http.headers["x-amz-date"]} if "x-amz-date" in http.headers else {}
    kept = sorted((name, value) for name, value in parameters if name in _SUBRESOURCES)
    resource = (
        http.path + ("?" if kept else "") + "&".join(f"{name}={value}" if value else name for name, value in kept)
    )
    text = "\n".join(
        (
            http.method,
            http.headers.get("content-md5", ""),
            http.headers.get("content-type", ""),
            date,
            *(f"{name}:{amz[name]}" for name in sorted(amz)),
            resource,
        )
    )
    good = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return None if hmac.compare_digest(good, credential.signature) else "signature"
