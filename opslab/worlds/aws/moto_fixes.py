"""Where moto must be put right, and a list of what the guard relies on.

Each fix is small and replaces one method. `tests/test_aws_moto.py` checks every name that is used here and in `state`, so
that a new moto that moves something fails there, with words, and not in a lesson.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from opslab.worlds.aws import ecr

TESTED = "5.2.5"
"""The moto that all this was tried with; pyproject.toml pins the same."""

OPERATION = "opslab.operation"
"""Key of the WSGI environment: the operation that was authorised, and so the only one that may run."""


@cache
def apply() -> None:
    """Puts moto right, once in a process."""
    _one_operation()
    _one_account()
    _policies_are_decided_elsewhere()
    _boundaries_of_users()
    _ids_of_users()
    _names_that_are_not_there()
    _tokens_of_sessions()
    _keys_of_kms()
    _ids_of_uploads()
    ecr.apply()


def _one_operation() -> None:
    """Moto looks for the action in many places, the guard in one. Both must mean the same call."""
    from moto.core.responses import BaseResponse

    original = BaseResponse._get_action

    def the_authorised(self: Any) -> str:
        return self.normalized_request.environ.get(OPERATION) or original(self)

    BaseResponse._get_action = the_authorised


def _one_account() -> None:
    """The guard says whose account it is; moto would rather believe the environment or look through all keys."""
    from moto.core.responses import BaseResponse

    BaseResponse.get_current_account = lambda self: self.headers["x-moto-account-id"]


def _policies_are_decided_elsewhere() -> None:
    """Moto applies a bucket policy's Deny to everybody, and judges unsigned requests by itself; the guard has decided. It
    refuses numbers in conditions, for one, which AWS takes; `policy_grammar` has looked already."""
    from moto.iam import policy_validation
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    FakeBucket.get_permission = lambda self, action, resource: PermissionResult.PERMITTED
    for name in ("BaseIAMPolicyValidator", "IAMPolicyDocumentValidator", "IAMTrustPolicyDocumentValidator"):
        getattr(policy_validation, name).validate = lambda self: None


def _boundaries_of_users() -> None:
    """Users have permissions boundaries too, which moto forgets."""
    from moto.core.responses import EmptyResult
    from moto.iam.models import User
    from moto.iam.responses import IamResponse

    original = IamResponse.create_user

    def put(self: Any) -> Any:
        user = self.backend.get_user(self._get_param("UserName"))
        arn = self._get_param("PermissionsBoundary")
        user.permissions_boundary = (
            {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} if arn else None
        )
        return EmptyResult()

    def create(self: Any) -> Any:
        result = original(self)
        put(self)
        return result

    User.permissions_boundary = None
    IamResponse.create_user = create
    IamResponse.put_user_permissions_boundary = put
    IamResponse.delete_user_permissions_boundary = put


def _ids_of_users() -> None:
    """A user's id starts with AIDA and is in capitals: reference_identifiers, "Understanding unique ID prefixes"."""
    from moto.iam.models import User

    original = User.__init__

    def make(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.id = f"AIDA{self.id.upper()[:17]}"

    User.__init__ = make


def _names_that_are_not_there() -> None:
    """AWS's sentences for a role, group or policy that does not exist."""
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import IAMBackend

    def say(method: str, sentence: str) -> None:
        original = getattr(IAMBackend, method)

        def ask(self: Any, name: str) -> Any:
            try:
                return original(self, name)
            except NotFoundException:
                raise NotFoundException(sentence.format(name)) from None

        setattr(IAMBackend, method, ask)

    say("get_role", "The role with name {} cannot be found.")
    say("get_group", "The group with name {} cannot be found.")
    say("get_policy", "Policy {} was not found.")


def add_aws_managed(account: str, arn: str) -> bool:
    """Puts a policy that AWS manages (arn:aws:iam::aws:policy/…) into an account, the first time it is named."""
    from moto.iam.models import AWSManagedPolicy, iam_backends

    backend = iam_backends[account]["aws"]
    if arn in backend.managed_policies:
        return True
    data = _managed().get(arn.rsplit("/", 1)[-1])
    if data is None:
        return False
    policy = AWSManagedPolicy.from_data(arn.rsplit("/", 1)[-1], account, "aws", data)
    if policy.arn != arn:
        return False
    backend.managed_policies[arn] = policy
    return True


@cache
def _managed() -> dict[str, Any]:
    import json

    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return json.loads(aws_managed_policies_data)


def _tokens_of_sessions() -> None:
    """Session tokens follow from the request, as keys do: a journal that is done again gives the same credentials."""
    from moto.moto_api._internal import mock_random
    from moto.sts import models

    models.random_session_token = lambda: f"FQoGZXIvYXdzEBYaD{mock_random.get_random_string(120)}"


def _keys_of_kms() -> None:
    """A key's material follows from the request, too: what was encrypted can be decrypted when a journal was done again."""
    from moto.kms import models
    from moto.kms.utils import MASTER_KEY_LEN
    from moto.moto_api._internal import mock_random

    models.generate_master_key = lambda: mock_random.getrandbits(8 * MASTER_KEY_LEN).to_bytes(MASTER_KEY_LEN, "big")


def _ids_of_uploads() -> None:
    """And so does the id of a multipart upload: the requests that follow name it."""
    from moto.moto_api._internal import mock_random
    from moto.s3.models import FakeMultipart

    original = FakeMultipart.__init__

    def make(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.id = mock_random.get_random_string(76)

    FakeMultipart.__init__ = make
