"""Refusals, in each service's protocol and in AWS's words.

IAM/latest/UserGuide/troubleshoot_access-denied.html has the sentences; S3 and the JSON services end them with the reason,
S3 keeps silent across accounts ("Access Denied"), and AssumeRole never says why.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from opslab.worlds.aws.policy import Decision


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Refusal(Exception):
    """Something AWS would answer with an error: its code and sentence."""

    code: str
    message: str
    status: int = 403


def denied(decision: Decision, action: str = "") -> Refusal:
    """The sentence for a decision of the evaluator. `action` and resource are of the request that was decided."""
    request = decision.request
    service = request.action.split(":")[0]
    action = action or request.action
    if service == "s3" and (decision.cross_account or request.principal.kind == "anonymous"):
        return Refusal("AccessDenied", "Access Denied")
    because = decision.because
    if service == "sqs":
        action, because = action.lower(), because.replace(request.action, request.action.lower())
    message = f"User: {request.principal.arn or 'anonymous'} is not authorized to perform: {action}"
    if service == "s3":
        message += f' on resource: "{request.resource}"' if request.resource != "*" else ""
    else:
        message += f" on resource: {request.resource}"
    if action == "sts:AssumeRole" and not decision.explicit:
        because = ""
    return Refusal("AccessDenied", f"{message} {because}".rstrip())


# How each service calls the same trouble, where it differs.
JSON_CODES = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "ExpiredToken": "ExpiredTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "RequestExpired": "InvalidSignatureException",
    "MalformedPolicyDocument": "MalformedPolicyDocumentException",
}
S3_CODES = {
    "InvalidClientTokenId": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "SignatureDoesNotMatch": (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    "ExpiredToken": ("ExpiredToken", "The provided token has expired."),
    "RequestExpired": (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
    "IncompleteSignature": ("AuthorizationHeaderMalformed", "The authorization header that you provided is not valid."),
    "MalformedPolicyDocument": ("MalformedPolicy", ""),
}
XML = (("Content-Type", "text/xml"),)


def reply(refusal: Refusal, service: str, protocol: str, request_id: str, method: str = "GET") -> Reply:
    """A refusal as bytes, so that the client library of the service reads it as AWS's own."""
    code, message, status = refusal.code, refusal.message, refusal.status
    ids = (("x-amzn-RequestId", request_id), ("x-amz-request-id", request_id))
    if service == "s3":
        code, said = S3_CODES.get(code, (code, ""))
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(said or message, False)}'
            f"</Message><RequestId>{request_id}</RequestId><HostId>sandbox</HostId></Error>"
        )
        return Reply(status, (("Content-Type", "application/xml"), *ids), b"" if method == "HEAD" else text.encode())
    if protocol in ("query", "ec2"):
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message, False)}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Reply(status, (*XML, *ids), text.encode())
    json_code = JSON_CODES.get(code, code)
    headers = (("Content-Type", "application/x-amz-json-1.1"), *ids)
    if service == "sqs":  # keeps the codes that it had before it spoke JSON
        headers += (("x-amzn-query-error", f"{code};Sender"),)
    body = {"__type": json_code, "message": message, "Message": message}
    return Reply(400 if status == 403 else status, headers, json.dumps(body).encode())
