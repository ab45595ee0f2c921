"""Would AWS take this policy document? The grammar, and the reason in AWS's words when the answer is no.

    >>> from opslab.worlds.aws import policy_grammar
    >>> policy_grammar.problem('{"Version": "2012-10-17", "Statement": [],}', "identity")
    'Syntax errors in policy.'

Pure, like `policy`. The grammar is reference_policies_grammar of the IAM User Guide; each service words its refusals in its
own way, so a document is always checked for a use:

    identity   an identity-based policy, also a permissions boundary, a session policy, a service control policy
    trust      a role's trust policy
    bucket     an S3 bucket policy
    resource   another resource-based policy: SQS, KMS, Secrets Manager, ECR
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal

from opslab.worlds.aws import policy

Use = Literal["identity", "trust", "bucket", "resource"]

VERSIONS = ("2008-10-17", "2012-10-17")
TOP = {"Version", "Id", "Statement"}
ELEMENTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "*")
IAM_PATHS = (
    "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, "
    "saml-provider/, oidc-provider/, report/, access-report/"
)
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
LEGACY = "The policy failed legacy parsing"
TRUST_ACTIONS = {
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setsourceidentity",
    "sts:tagsession",
    "sts:setcontext",
    "sts:*",
    "*",
}
BUCKET_POLICY_BYTES = 20 * 1024

SIZES = {"user": 2048, "group": 5120, "role": 10240, "managed": 6144, "trust": 2048}
"""Characters without white space (reference_iam-quotas). For user, group and role: all inline policies together."""

PrincipalExists = Callable[[str], bool]
ActionOnObjects = Callable[[str], bool | None]


class _Bad(Exception):
    """Carries AWS's reason."""


def size(document: str) -> int:
    """The size of a policy as IAM counts it: "IAM does not count white space"."""
    return len(re.sub(r"\s", "", document))


def problem(
    document: str,
    use: Use,
    principal_exists: PrincipalExists = lambda arn: True,
    acts_on_objects: ActionOnObjects = lambda action: None,
) -> str | None:
    """None if AWS would take the document, or else AWS's reason.

    principal_exists  says whether the user or role of an ARN exists: AWS refuses to trust strangers
    acts_on_objects   for bucket policies: True for actions on objects, False for those on buckets, None if unknown
    """
    try:
        parsed = _parse(document, use)
        statements = _shape(parsed, use)
        if use == "identity":
            _identity(parsed, statements)
        elif use == "trust":
            _trust(statements)
        else:
            _resource_based(statements, use)
        if use == "bucket":
            _bucket(document, statements, acts_on_objects)
        if use != "identity":
            _strangers(statements, use, principal_exists)
    except _Bad as reason:
        return str(reason)
    return None


SYNTAX = {
    "identity": "Syntax errors in policy.",
    "trust": "Syntax errors in policy.",
    "bucket": "Invalid policy syntax.",
    "resource": "Syntax errors in policy.",
}
NOT_JSON = {
    "identity": "Syntax errors in policy.",
    "trust": "This policy contains invalid Json",
    "bucket": "Policies must be valid JSON and the first byte must be '{'",
    "resource": "This policy contains invalid Json",
}


def _parse(document: str, use: Use) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key twice")
        return found

    try:
        parsed = json.loads(document, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise _Bad(NOT_JSON[use]) from None
    if not isinstance(parsed, dict):
        raise _Bad(NOT_JSON[use])
    return parsed


def _shape(parsed: dict[str, Any], use: Use) -> list[dict[str, Any]]:
    """Elements and their types; what each element holds comes later."""
    wrong = _Bad(SYNTAX[use])
    _known(parsed, TOP, use)
    if parsed.get("Version", VERSIONS[0]) not in VERSIONS or not isinstance(parsed.get("Id", ""), str):
        raise wrong
    statements = parsed.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise wrong
    for statement in statements:
        if not isinstance(statement, dict):
            raise wrong
        _known(statement, ELEMENTS, use)
        if not isinstance(statement.get("Sid", ""), str):
            raise wrong
        if "Effect" not in statement:
            raise _Bad("Missing required field Effect") if use == "bucket" else wrong
        if str(statement["Effect"]).lower() not in ("allow", "deny"):
            raise _Bad(f"Invalid effect: {statement['Effect']}") if use == "bucket" else wrong
        for element in ("Action", "Resource", "Principal"):
            if element in statement and "Not" + element in statement:
                raise wrong
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if element in statement and not _texts(statement[element]):
                raise wrong
        _conditions(statement.get("Condition", {}), wrong, use)
    return statements


def _known(mapping: dict[str, Any], names: set[str], use: Use) -> None:
    for name in mapping:
        if name not in names:
            raise _Bad(SYNTAX["identity"] if use == "identity" else f"Unknown field {name}")


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _conditions(block: Any, wrong: _Bad, use: Use) -> None:
    if not isinstance(block, dict):
        raise wrong
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise wrong
        try:
            name = policy.split_operator(operator)[1]
        except ValueError:
            raise _Bad(f"Invalid Condition type : {operator}") if use == "bucket" else wrong from None
        for key, values in keys.items():
            for value in _list(values):
                if not isinstance(value, (str, bool, int, float)):
                    raise wrong
                if name.startswith("Date") and "${" not in str(value):
                    try:
                        policy._moment(str(value))
                    except (ValueError, OverflowError):
                        raise _Bad(LEGACY) from None
            if ":" not in key:
                raise _Bad("Policy has an invalid condition key" if use == "bucket" else NO_VENDOR)


def _legacy(statements: list[dict[str, Any]]) -> None:
    for statement in statements:
        if statement["Effect"] not in ("Allow", "Deny"):
            raise _Bad(LEGACY)


def _sids(statements: list[dict[str, Any]]) -> None:
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if any(not re.fullmatch(r"[0-9A-Za-z]*", sid) for sid in sids):
        raise _Bad(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    if len(set(sids)) != len(sids):
        raise _Bad("Statement IDs (SID) in a single policy must be unique.")


def _actions(statements: list[dict[str, Any]]) -> None:
    for statement in statements:
        if not (statement.get("Action") or statement.get("NotAction")) and "" not in (
            statement.get("Action"),
            statement.get("NotAction"),
        ):
            raise _Bad("Policy statement must contain actions.")


def _action_names(statements: list[dict[str, Any]]) -> None:
    for statement in statements:
        for action in _list(statement.get("Action", statement.get("NotAction"))):
            vendor, colon, name = action.partition(":")
            if not colon and action != "*":
                raise _Bad(NO_VENDOR)
            if ":" in name:
                raise _Bad("Actions/Condition can contain only one colon.")
            if action != "*" and re.search(r"[^a-zA-Z0-9\-.*]", vendor):
                raise _Bad(f"Vendor {vendor} is not valid")


def _resource_names(statements: list[dict[str, Any]]) -> None:
    later: list[_Bad] = []
    for statement in statements:
        for arn in sorted(_list(statement.get("Resource", statement.get("NotResource", []))), reverse=True):
            if arn == "*":
                continue
            parts = arn.split(":")
            if len(parts) == 1:
                later.append(_Bad(f'Resource {arn} must be in ARN format or "*".'))
            elif parts[1] not in PARTITIONS:
                rest = [*parts[2:5], ":".join(parts[5:])]
                padded = ":".join(rest[i] if i < len(parts) - 2 else "*" for i in range(4))
                later.append(_Bad(f'Partition "{parts[1]}" is not valid for resource "arn:{parts[1]}:{padded}".'))
            elif len(parts) == 2:
                later.append(_Bad("Resource vendor must be fully qualified and cannot contain regexes."))
            elif parts[2] == "" or (len(parts) < 6 and "::" in arn):
                raise _Bad(LEGACY)
            elif re.search(r"[*?]", parts[2]):
                later.append(_Bad("Resource vendor must be fully qualified and cannot contain regexes."))
            elif parts[2] == "iam" and len(parts) > 3 and parts[3]:
                later.append(_Bad(f"IAM resource {arn} cannot contain region information."))
            elif parts[2] == "s3" and len(parts) > 3 and parts[3] and "accesspoint/" not in arn:
                later.append(_Bad(f"Resource {arn} can not contain region information."))
            elif parts[2] == "iam" and not _iam_path(":".join(parts[5:])):
                later.append(_Bad(f'IAM resource path must either be "*" or start with {IAM_PATHS}.'))
    if later:
        raise later[-1]  # AWS names the last one it meets, in reverse order


def _iam_path(path: str) -> bool:
    return path == "*" or path == "root" or path.startswith(("*", *IAM_PATHS.split(", ")))


def _identity(parsed: dict[str, Any], statements: list[dict[str, Any]]) -> None:
    if parsed.get("Version") != VERSIONS[1]:
        raise _Bad("Policy document must be version 2012-10-17 or greater.")
    _legacy(statements)
    if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
        raise _Bad("Policy document should not specify a principal.")
    resource_problem: _Bad | None = None
    try:
        _resource_names(statements)
    except _Bad as found:
        if str(found) == LEGACY:
            raise
        resource_problem = found
    _sids(statements)
    _actions(statements)
    if resource_problem:
        raise resource_problem
    _action_names(statements)
    for statement in statements:
        if not (statement.get("Resource") or statement.get("NotResource")):
            raise _Bad("Policy statement must contain resources.")


def _trust(statements: list[dict[str, Any]]) -> None:
    _legacy(statements)
    _sids(statements)
    for statement in statements:
        for element in ("Resource", "NotResource"):
            if element in statement:
                raise _Bad(f"Has prohibited field {element}")
        if not statement.get("Action") and not statement.get("NotAction"):
            raise _Bad("Missing required field Action")
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise _Bad("Missing required field Principal")
        if any(action.lower() not in TRUST_ACTIONS for action in _list(statement.get("Action", []))):
            raise _Bad("AssumeRole policy may only specify STS AssumeRole actions.")
        _principal_shape(statement, "trust")


def _resource_based(statements: list[dict[str, Any]], use: Use) -> None:
    for statement in statements:
        if statement["Effect"] not in ("Allow", "Deny"):
            raise _Bad(f"Invalid effect: {statement['Effect']}" if use == "bucket" else LEGACY)
        for names in (("Principal", "NotPrincipal"), ("Action", "NotAction")):
            if not any(statement.get(name) for name in names):
                raise _Bad(f"Missing required field {names[0]}")
        _principal_shape(statement, use)


def _principal_shape(statement: dict[str, Any], use: Use) -> None:
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal:
        raise _Bad("Invalid principal in policy" if use == "bucket" else SYNTAX[use])
    for kind, values in principal.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser") or not _texts(values) or not values:
            raise _Bad("Invalid principal in policy" if use == "bucket" else SYNTAX[use])


_ACCOUNT = re.compile(r"\d{12}|arn:aws[\w-]*:iam::\d{12}:root")
_PERSON = re.compile(
    r"arn:aws[\w-]*:(iam::\d{12}:(user|role)/[\w+=,.@/-]+|sts::\d{12}:(assumed-role|federated-user)/[\w+=,.@/-]+)"
)


def _strangers(statements: list[dict[str, Any]], use: Use, exists: PrincipalExists) -> None:
    """Principals that are no ARN, have a wildcard inside, or do not exist."""
    for statement in statements:
        principal = statement.get("Principal", statement.get("NotPrincipal"))
        for arn in _list(principal.get("AWS", [])) if isinstance(principal, dict) else []:
            if arn == "*" or _ACCOUNT.fullmatch(arn) or (_PERSON.fullmatch(arn) and exists(arn)):
                continue
            raise _Bad(
                "Invalid principal in policy" if use == "bucket" else f'Invalid principal in policy: "AWS":"{arn}"'
            )


def _bucket(document: str, statements: list[dict[str, Any]], acts_on_objects: ActionOnObjects) -> None:
    if len(document.encode()) > BUCKET_POLICY_BYTES:
        raise _Bad("Policy exceeds the maximum allowed document size.")
    for statement in statements:
        resources = _list(statement.get("Resource", statement.get("NotResource", [])))
        if not resources:
            raise _Bad("Missing required field Resource")
        if any(not re.match(r"\*|arn:aws[\w-]*:s3:", arn) for arn in resources):
            raise _Bad("Policy has invalid resource")
        actions = _list(statement.get("Action", []))
        if any(action != "*" and not re.fullmatch(r"(?i)s3:[\w*?]+", action) for action in actions):
            raise _Bad("Policy has invalid action")
        # The classic: s3:GetObject on the bucket, s3:ListBucket on its objects.
        on_objects = {acts_on_objects(action) for action in actions}
        plain = all("*" not in arn.split("/")[0] for arn in resources)
        if plain and (
            (on_objects == {True} and not any("/" in arn for arn in resources))
            or (on_objects == {False} and all("/" in arn for arn in resources))
        ):
            raise _Bad("Action does not apply to any resource(s) in statement")
