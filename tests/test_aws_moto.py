"""The moto that the guard relies on."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version

import pytest

from opslab.worlds.aws import moto_fixes

WHAT_TO_DO = f"""
moto is {version("moto")}; the guard of opslab/worlds/aws was made for {moto_fixes.TESTED}. Before moving on:
  1. read moto's changelog for: core/routing, core/parse, core/request, moto_server, iam, sts, s3;
  2. make the tests test_aws_*.py green (what moved is named below; it is used in state.py, moto_fixes.py, guard.py only);
  3. set TESTED in opslab/worlds/aws/moto_fixes.py and the pin in pyproject.toml to the new version.
"""

# What is used of moto, by name. An entry "Class.__init__:attribute" is an attribute that objects get when they are made.
RELIED_ON = [
    "moto.sts.models:random_session_token",
    "moto.kms.models:generate_master_key",
    "moto.kms.utils:MASTER_KEY_LEN",
    "moto.s3.models:FakeMultipart.__init__",
    "moto.core.base_backend:BackendDict.reset",
    "moto.core.model_instances:reset_model_data",
    "moto.core.parse:PROTOCOL_PARSERS",
    "moto.core.request:determine_request_protocol",
    "moto.core.responses:BaseResponse._get_action",
    "moto.core.responses:BaseResponse.get_current_account",
    "moto.core.responses:EmptyResult",
    "moto.core.routing:get_service_router",
    "moto.core.utils:get_service_model",
    "moto.iam.access_control:PermissionResult.PERMITTED",
    "moto.iam.exceptions:NotFoundException",
    "moto.iam.models:AWSManagedPolicy.from_data",
    "moto.iam.models:IAMBackend.get_group",
    "moto.iam.models:IAMBackend.get_policy",
    "moto.iam.models:IAMBackend.get_role",
    "moto.iam.models:Role.permissions_boundary",
    "moto.iam.policy_validation:BaseIAMPolicyValidator.validate",
    "moto.iam.policy_validation:IAMPolicyDocumentValidator.validate",
    "moto.iam.policy_validation:IAMTrustPolicyDocumentValidator.validate",
    "moto.iam.responses:IamResponse.create_user",
    "moto.moto_api._internal:mock_random.seed",
    "moto.moto_server.werkzeug_app:BackendRequest",
    "moto.moto_server.werkzeug_app:MotoRequestHandler",
    "moto.moto_server.werkzeug_app:create_backend_app",
    "moto.s3.models:FakeBucket.get_permission",
    "moto.s3.models:s3_backends.bucket_accounts",
    "moto.sts.models:sts_backends",
    "moto.iam.models:IAMBackend.__init__:access_keys",
    "moto.iam.models:IAMBackend.__init__:groups",
    "moto.iam.models:IAMBackend.__init__:instance_profiles",
    "moto.iam.models:IAMBackend.__init__:managed_policies",
    "moto.iam.models:IAMBackend.__init__:roles",
    "moto.iam.models:IAMBackend.__init__:tagger",
    "moto.iam.models:IAMBackend.__init__:users",
    "moto.iam.models:AccessKey.__init__:status",
    "moto.iam.models:AccessKey.__init__:user_name",
    "moto.iam.models:Group.__init__:users",
    "moto.iam.models:Policy.__init__:versions",
    "moto.iam.models:Role.__init__:assume_role_policy_document",
    "moto.iam.models:Role.__init__:max_session_duration",
    "moto.iam.models:Role.__init__:policies",
    "moto.iam.models:Role.__init__:managed_policies",
    "moto.iam.models:User.__init__:mfa_devices",
    "moto.iam.models:User.__init__:policies",
    "moto.s3.models:FakeBucket.__init__:policy",
    "moto.sqs.models:SQSBackend.__init__:queues",
    "moto.kms.models:KmsBackend.__init__:keys",
    "moto.kms.models:Key.__init__:policy",
    "moto.secretsmanager.models:SecretsManagerBackend.__init__:secrets",
    "moto.secretsmanager.models:FakeSecret.__init__:policy",
    "moto.ecr.models:ECRBackend.__init__:repositories",
    "moto.ecr.models:Repository.__init__:policy",
    "moto.kinesis.models:KinesisBackend.__init__:resource_policies",
    "moto.kinesis.models:KinesisBackend.__init__:streams",
    "moto.dynamodb.models:DynamoDBBackend.__init__:resource_policies",
    "moto.dynamodb.models:DynamoDBBackend.__init__:tables",
    "moto.athena.models:AthenaBackend.__init__:executions",
    "moto.athena.models:AthenaBackend.__init__:named_queries",
    "moto.ssm.models:SimpleSystemManagerBackend.__init__:_resource_tags",
    "moto.sts.models:STSBackend.__init__:assumed_roles",
]


def test_moto_is_the_one_it_was_made_for() -> None:
    assert version("moto") == moto_fixes.TESTED, WHAT_TO_DO


@pytest.mark.parametrize("name", RELIED_ON)
def test_what_the_guard_relies_on_is_there(name: str) -> None:
    module, path, *attribute = name.split(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        assert hasattr(found, part), f"{name} is gone.\n{WHAT_TO_DO}"
        found = getattr(found, part)
    for one in attribute:
        assert f"self.{one}" in inspect.getsource(inspect.unwrap(found)) or one in _original(found), (
            f"{name} is gone.\n{WHAT_TO_DO}"
        )


def _original(function) -> str:
    """The source of what a fix has replaced, when the fixes are in place already."""
    return "".join(
        inspect.getsource(cell.cell_contents)
        for cell in function.__closure__ or ()
        if inspect.isfunction(cell.cell_contents)
    )


def test_moto_still_answers_everybody_with_an_example() -> None:
    """GetSessionToken: the guard puts real keys in the place of these."""
    from moto.sts.responses import TokenResponse

    from opslab.worlds.aws import documents

    for call in (TokenResponse.get_session_token, TokenResponse.get_federation_token):
        source = inspect.getsource(call)
        assert documents.EXAMPLE_KEY in source and documents.EXAMPLE_SECRET in source, WHAT_TO_DO
