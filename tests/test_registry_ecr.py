"""The registry of an AWS account: IAM decides each request, `aws ecr` and clients see the same images, and all of it comes back."""

from __future__ import annotations

import base64
import contextlib
import datetime
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from test_registry_http import Client
from test_registry_store import EMPTY, descriptor, digest, image, index

from opslab.worlds.aws import ecr as aws_ecr
from opslab.worlds.aws.host import Control, Order
from opslab.worlds.aws.organisation import Organisation
from opslab.worlds.aws.seeding import Furnisher, allow, document, statement, trust
from opslab.worlds.images.registry import manifests
from opslab.worlds.images.registry.ecr import Ecr, take
from opslab.worlds.images.registry.server import Registry

STAGING, PRODUCTION = "111111111111", "222222222222"
REGION = "eu-west-1"
ACCOUNTS = {"staging": STAGING, "production": PRODUCTION}
LOADER = f"arn:aws:ecr:{REGION}:{STAGING}:repository/clicks/loader"

LOG_IN, CHECK, START, UPLOAD, FINISH, PUT, GET, LAYER = (
    "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
)  # fmt: skip
LIST, DELETE = "ecr:ListImages", "ecr:BatchDeleteImage"
TO_PUSH = (CHECK, START, UPLOAD, FINISH, PUT, GET)


def start(aws: Organisation, twists: frozenset[str]) -> None:
    """The organisation of these tests: this module is its scenario."""
    staging, production = Furnisher(aws, "staging"), Furnisher(aws, "production")
    for name in ("clicks/loader", "clicks/other"):
        staging.repository(name)
    production.repository("clicks/loader", immutable=True)
    on = document(statement("Allow", LOG_IN, "*"), statement("Allow", [*TO_PUSH, LAYER], LOADER))
    staging.user("pia", {"push": on})
    staging.user("ana", {"pull": allow([LOG_IN, GET, LAYER])})
    staging.role("ci", trust(f"arn:aws:iam::{STAGING}:user/pia"), {"all": allow("ecr:*")})
    staging.user("everyone", {"all": allow(["ecr:*", "sts:AssumeRole"])})
    production.user("deployer", {"pull": allow([LOG_IN, GET, LAYER])})


class World:
    """An organisation with a journal, and the registry of its staging account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        order = Order(
            str(self.folder), __name__, 1, (), 0, str(self.folder / ".cloud/journal.jsonl"), True,
            registries=str(self.folder / "ecr"),
        )  # fmt: skip
        self.control = Control(order)
        self.aws = self.control.aws.open()
        self.control.replay((), contextlib.nullcontext())
        self.door = Ecr(self.folder / "ecr", self.ask, STAGING)
        self.registry = Registry(self.door).open()

    def ask(self, op: str, **arguments: Any) -> Any:
        return self.control.answer({"op": op, **arguments}, lambda text: None)

    def close(self) -> None:
        self.registry.close()
        self.control.lock.close()
        self.aws.close()

    def again(self) -> list[str]:
        """End it all, and make it again from the files; returns what could not be made again."""
        self.close()
        self.open()
        return self.control.remarks

    def ecr(self, user: str = "administrator", account: str = STAGING) -> Any:
        return self.aws.client("ecr", account, user)

    def client(self, user: str, account: str = STAGING, registry: Registry | None = None) -> Client:
        """Somebody who has logged in to the registry as AWS's documentation says."""
        return self.logged_in(self.ecr(user, account), registry)

    def logged_in(self, ecr: Any, registry: Registry | None = None) -> Client:
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return self.with_token(token, registry)

    def with_token(self, token: str, registry: Registry | None = None) -> Client:
        client = Client(registry or self.registry)
        client.headers["Authorization"] = f"Basic {token}"
        return client

    def permit(self, user: str, *actions: str, resource: str = "*") -> None:
        """Let a user may this, and nothing else in ECR but to log in."""
        policy = document(statement("Allow", LOG_IN, "*"), statement("Allow", list(actions) or "sts:*", resource))
        self.aws.client("iam", STAGING).put_user_policy(
            UserName=user, PolicyName="all", PolicyDocument=json.dumps(policy)
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def world(running: World) -> World:
    """As it is at the start; the layers of other tests are still in the folder."""
    running.control.journal.lines.clear()
    running.control.reset([])
    return running


@pytest.fixture
def pia(world: World) -> Client:
    return world.client("pia")


def error_of(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def message(reply: Any) -> str:
    return reply.json["errors"][0]["message"]


# ---- logging in ---------------------------------------------------------------------------------------------------------


def test_the_first_answer_says_how_to_log_in(world: World) -> None:
    reply = Client(world.registry)("GET", "/v2/")
    assert reply.error == (401, "UNAUTHORIZED")
    realm = f'Basic realm="http://{world.registry.address}/",service="ecr.amazonaws.com"'
    assert reply.headers["WWW-Authenticate"] == realm
    assert Client(world.registry)("PUT", "/v2/clicks/loader/manifests/1", image()).error == (401, "UNAUTHORIZED")


def test_a_token_is_for_the_user_aws_and_lasts_twelve_hours(world: World) -> None:
    (data,) = world.ecr("pia").get_authorization_token()["authorizationData"]
    user, _, secret = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert user == "AWS" and len(secret) > 200 and data["proxyEndpoint"] == f"http://{world.registry.address}"
    left = data["expiresAt"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=11.9) < left <= datetime.timedelta(hours=12)
    assert json.loads(base64.b64decode(secret))["expiration"] == int(data["expiresAt"].timestamp())
    assert world.with_token(data["authorizationToken"])("GET", "/v2/").status == 200


def test_whoever_may_not_have_a_token_gets_none(world: World) -> None:
    world.aws.client("iam", STAGING).delete_user_policy(UserName="ana", PolicyName="pull")
    assert error_of(world.ecr("ana").get_authorization_token) == (
        "AccessDeniedException",
        (
            f"User: arn:aws:iam::{STAGING}:user/ana is not authorized to perform: ecr:GetAuthorizationToken on resource: * "
            "because no identity-based policy allows the ecr:GetAuthorizationToken action"
        ),
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_is_no_token_of_this_organisation(world: World) -> None:
    caller = world.aws.state.caller_named(f"arn:aws:iam::{STAGING}:user/pia")
    now = datetime.datetime.now(datetime.UTC)
    identity = world.aws.state.user_id(caller.principal)
    mine, _ = aws_ecr.password(1, caller, identity, now)
    other, _ = aws_ecr.password(2, caller, identity, now)
    found = json.loads(base64.b64decode(mine))
    claims = json.loads(base64.b64decode(found["payload"]))
    claims["arn"] = f"arn:aws:iam::{STAGING}:user/administrator"
    forged = encoded(json.dumps({**found, "payload": encoded(json.dumps(claims))}))
    assert world.with_token(encoded(f"AWS:{mine}"))("GET", "/v2/").status == 200
    for wrong in (f"pia:{mine}", f"AWS:{other}", f"AWS:{forged}", "AWS:", "AWS:password", f"AWS:{encoded('[1]')}"):
        assert world.with_token(encoded(wrong))("GET", "/v2/").error == (401, "UNAUTHORIZED")
    old, _ = aws_ecr.password(1, caller, identity, now - datetime.timedelta(hours=12, seconds=1))
    expired = world.with_token(encoded(f"AWS:{old}"))("GET", "/v2/")
    assert expired.error == (403, "DENIED")
    assert message(expired) == "Your authorization token has expired. Reauthenticate and try again."


def test_a_token_means_whoever_has_got_it_as_they_are_now(world: World) -> None:
    client = world.client("everyone")
    assert client("GET", "/v2/clicks/loader/tags/list").status == 200
    world.permit("everyone", GET)
    assert client("GET", "/v2/clicks/loader/tags/list").error == (403, "DENIED")
    iam = world.aws.client("iam", STAGING)
    iam.delete_user_policy(UserName="everyone", PolicyName="all")
    for key in iam.list_access_keys(UserName="everyone")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="everyone", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="everyone")
    assert client("GET", "/v2/").error == (401, "UNAUTHORIZED")
    iam.create_user(UserName="everyone")  # the name alone does not make somebody the same
    assert client("GET", "/v2/").error == (401, "UNAUTHORIZED")


def test_a_session_of_a_role_keeps_its_session_policy(world: World) -> None:
    sts, wanted = world.aws.client("sts", STAGING, "pia"), {"RoleArn": f"arn:aws:iam::{STAGING}:role/ci"}
    made = sts.assume_role(**wanted, RoleSessionName="build", Policy=json.dumps(allow([LOG_IN, GET])))["Credentials"]
    ecr = world.aws.client_with("ecr", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    client = world.logged_in(ecr)
    sts.assume_role(**wanted, RoleSessionName="build")  # another one of the same name, who may more
    assert client("GET", "/v2/clicks/loader/manifests/1").error == (404, "MANIFEST_UNKNOWN")
    denied = client("POST", "/v2/clicks/loader/blobs/uploads/")
    assert denied.error == (403, "DENIED")
    assert message(denied) == (
        f"User: arn:aws:sts::{STAGING}:assumed-role/ci/build is not authorized to perform: ecr:InitiateLayerUpload on "
        f"resource: {LOADER} because no session policy allows the ecr:InitiateLayerUpload action"
    )


# ---- what IAM is asked --------------------------------------------------------------------------------------------------


LAYER_PATH = f"/v2/clicks/loader/blobs/{digest(b'layer')}"
REQUESTS = {
    CHECK: ("HEAD", LAYER_PATH),
    LAYER: ("GET", LAYER_PATH),
    START: ("POST", "/v2/clicks/loader/blobs/uploads/"),
    UPLOAD: ("PATCH", "UPLOAD"),
    FINISH: ("PUT", f"UPLOAD?digest={EMPTY}"),
    PUT: ("PUT", "/v2/clicks/loader/manifests/2"),
    GET: ("GET", "/v2/clicks/loader/manifests/1"),
    LIST: ("GET", "/v2/clicks/loader/tags/list"),
    DELETE: ("DELETE", "/v2/clicks/loader/manifests/1"),
    "ecr:DescribeRepositories": ("GET", "/v2/_catalog"),
}


@pytest.mark.parametrize("action", REQUESTS)
def test_each_request_needs_the_permission_that_it_needs_at_aws(world: World, pia: Client, action: str) -> None:
    pia.push("clicks/loader", "1", b"layer")
    place, client = pia.start("clicks/loader"), world.client("everyone")
    method, path = REQUESTS[action]
    path, body = path.replace("UPLOAD", place), {"PATCH": b"x", "PUT": b""}.get(method)
    if action == PUT:
        body = image(b"layer", annotations={"a": "b"})
    world.permit("everyone", *(set(REQUESTS) - {action}))
    denied = client(method, path, body)
    assert denied.status == 403
    resource = LOADER if action != "ecr:DescribeRepositories" else LOADER.replace("clicks/loader", "*")
    sentence = (
        f"User: arn:aws:iam::{STAGING}:user/everyone is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    if method != "HEAD":
        assert denied.error == (403, "DENIED") and message(denied) == sentence
    assert world.ask("why")["text"].find(action) > 0  # as after any denial, `opslab.why()` explains
    world.permit("everyone", action)
    assert client(method, path, body).status in (200, 201, 202)


def test_a_body_needs_the_right_to_send_it_also_at_the_end(world: World, pia: Client) -> None:
    place, client = pia.start("clicks/loader"), world.client("everyone")
    world.permit("everyone", FINISH)
    assert "ecr:UploadLayerPart" in message(client("PUT", f"{place}?digest={digest(b'x')}", b"x"))
    assert client("PUT", f"{place}?digest={EMPTY}", b"").status == 201


def test_a_repository_has_to_be_there(world: World) -> None:
    client = world.client("everyone")
    for method, path in (
        ("POST", "/v2/clicks/nothing/blobs/uploads/"),
        ("HEAD", f"/v2/clicks/nothing/blobs/{EMPTY}"),
        ("GET", "/v2/clicks/nothing/manifests/1"),
        ("PUT", "/v2/clicks/nothing/manifests/1"),
        ("GET", "/v2/clicks/nothing/tags/list"),
    ):
        reply = client(method, path, image() if method == "PUT" else None)
        assert reply.status == 404, (method, path)
        if method != "HEAD":
            assert reply.error == (404, "NAME_UNKNOWN")
            assert message(reply).startswith(
                f"The repository with name 'clicks/nothing' does not exist in the registry with id '{STAGING}'"
            )


def test_what_is_no_name_is_said_before_anybody_is_asked(world: World) -> None:
    reply = world.client("ana")("GET", "/v2/No.Name/tags/list")
    assert reply.error == (400, "NAME_INVALID")


def test_another_account_needs_the_repositorys_policy_as_well(world: World, pia: Client) -> None:
    known = pia.push("clicks/loader", "1", b"layer")
    deployer = world.client("deployer", PRODUCTION)
    denied = deployer("GET", "/v2/clicks/loader/manifests/1")
    assert denied.error == (403, "DENIED") and message(denied).endswith(
        f"on resource: {LOADER} because no resource-based policy allows the ecr:BatchGetImage action"
    )
    policy = document(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"}, "Action": [GET, LAYER]}
    )
    world.ecr().set_repository_policy(repositoryName="clicks/loader", policyText=json.dumps(policy))
    assert deployer("GET", "/v2/clicks/loader/manifests/1").headers["Docker-Content-Digest"] == known
    assert deployer("GET", LAYER_PATH).body == b"layer"
    assert deployer("POST", "/v2/clicks/loader/blobs/uploads/").error == (403, "DENIED")
    world.aws.client("iam", PRODUCTION).delete_user_policy(UserName="deployer", PolicyName="pull")
    assert "no identity-based policy" in message(deployer("GET", "/v2/clicks/loader/manifests/1"))


def test_a_guardrail_of_the_organisation_counts(world: World, pia: Client) -> None:
    world.aws.attach_scp("staging", "no-pushes", document(statement("Deny", START, "*")))
    assert message(pia("POST", "/v2/clicks/loader/blobs/uploads/")).endswith(
        "with an explicit deny in a service control policy"
    )


# ---- the same images on both sides ----------------------------------------------------------------------------------------


def test_what_was_pushed_is_what_aws_describes(world: World, pia: Client) -> None:
    known = pia.push("clicks/loader", "1.0", b"layer", b"another layer")
    assert known == digest(image(b"layer", b"another layer"))
    (found,) = world.ecr("everyone").describe_images(repositoryName="clicks/loader")["imageDetails"]
    age = datetime.datetime.now(datetime.UTC) - found.pop("imagePushedAt")
    assert datetime.timedelta(seconds=-1) < age < datetime.timedelta(minutes=10)
    assert found == {
        "registryId": STAGING,
        "repositoryName": "clicks/loader",
        "imageDigest": known,
        "imageTags": ["1.0"],
        "imageSizeInBytes": 2 + 5 + 13,
        "imageManifestMediaType": manifests.OCI_MANIFEST,
        "artifactMediaType": "application/vnd.oci.image.config.v1+json",
    }
    (got,) = world.ecr("ana").batch_get_image(repositoryName="clicks/loader", imageIds=[{"imageTag": "1.0"}])["images"]
    assert got["imageManifest"].encode() == image(b"layer", b"another layer")
    assert got["imageId"] == {"imageDigest": known, "imageTag": "1.0"}
    pulled = world.client("ana")("GET", f"/v2/clicks/loader/manifests/{known}")
    assert (pulled.body, pulled.headers["Content-Type"]) == (got["imageManifest"].encode(), manifests.OCI_MANIFEST)
    layers = world.ecr().batch_check_layer_availability(
        repositoryName="clicks/loader", layerDigests=[digest(b"layer"), digest(b"never sent")]
    )
    assert [(one["layerDigest"], one["layerSize"]) for one in layers["layers"]] == [(digest(b"layer"), 5)]
    assert [one["failureCode"] for one in layers["failures"]] == ["MissingLayerDigest"]


def test_where_a_repository_is(world: World) -> None:
    described = world.ecr().describe_repositories(repositoryNames=["clicks/loader"])["repositories"]
    assert [one["repositoryUri"] for one in described] == [f"{world.registry.address}/clicks/loader"]
    elsewhere = world.aws.client("ecr", PRODUCTION)
    uri = elsewhere.describe_repositories()["repositories"][0]["repositoryUri"]
    assert uri == f"{PRODUCTION}.dkr.ecr.{REGION}.amazonaws.com/clicks/loader"  # no registry listens there
    assert elsewhere.get_authorization_token()["authorizationData"][0]["proxyEndpoint"].startswith("https://2222")


def test_asking_for_repositories_by_name_needs_these_only(world: World) -> None:
    world.permit("everyone", "ecr:DescribeRepositories", resource=LOADER)
    ecr = world.ecr("everyone")
    assert ecr.describe_repositories(repositoryNames=["clicks/loader"])["repositories"]
    assert "repository/clicks/other because" in error_of(ecr.describe_repositories, repositoryNames=["clicks/other"])[1]
    assert "repository/* because" in error_of(ecr.describe_repositories)[1]


def test_a_tag_that_moves_leaves_the_old_image_without_one(world: World, pia: Client) -> None:
    old, new = pia.push("clicks/loader", "1", b"old"), pia.push("clicks/loader", "1", b"new")
    found = world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"]
    assert {one["imageDigest"]: one.get("imageTags") for one in found} == {old: None, new: ["1"]}
    assert pia("GET", f"/v2/clicks/loader/manifests/{old}").status == 200


IMMUTABLE = (
    "The image tag '1' already exists in the 'clicks/loader' repository and cannot be overwritten because the repository is "
    "immutable."
)


def test_tags_that_stay_on_both_ways(world: World, pia: Client) -> None:
    ecr = world.ecr()
    ecr.put_image_tag_mutability(repositoryName="clicks/loader", imageTagMutability="IMMUTABLE")
    first = pia.push("clicks/loader", "1", b"first")
    pia.blob("clicks/loader", b"second")
    reply = pia("PUT", "/v2/clicks/loader/manifests/1", image(b"second"))
    assert reply.error == (400, "TAG_INVALID") and message(reply) == IMMUTABLE
    put = {"repositoryName": "clicks/loader", "imageManifest": image(b"second").decode(), "imageTag": "1"}
    assert error_of(ecr.put_image, **put) == ("ImageTagAlreadyExistsException", IMMUTABLE)
    assert pia.push("clicks/loader", "1", b"first") == first  # the same again: nobody minds
    same = {**put, "imageManifest": image(b"first").decode()}
    assert error_of(ecr.put_image, **same)[0] == "ImageAlreadyExistsException"
    assert pia("GET", "/v2/clicks/loader/manifests/1").headers["Docker-Content-Digest"] == first
    assert pia("PUT", "/v2/clicks/loader/manifests/2", image(b"second")).status == 201


def test_tags_that_are_excluded_from_staying(world: World, pia: Client) -> None:
    world.ecr().put_image_tag_mutability(
        repositoryName="clicks/loader",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
    )
    for tag in ("1", "dev-1"):
        pia.push("clicks/loader", tag, b"first")
        pia.blob("clicks/loader", b"second")
    assert pia("PUT", "/v2/clicks/loader/manifests/dev-1", image(b"second")).status == 201
    assert pia("PUT", "/v2/clicks/loader/manifests/1", image(b"second")).error == (400, "TAG_INVALID")


def test_putting_an_image_by_the_api(world: World, pia: Client) -> None:
    """The way to give an image another tag, that AWS documents: batch-get-image, put-image."""
    known, ecr = pia.push("clicks/loader", "1", b"layer"), world.ecr()
    put = {"repositoryName": "clicks/loader", "imageManifest": image(b"layer").decode()}
    made = ecr.put_image(**put, imageTag="stable")["image"]
    assert made["imageId"] == {"imageDigest": known, "imageTag": "stable"}
    assert pia("GET", "/v2/clicks/loader/manifests/stable").headers["Docker-Content-Digest"] == known
    for wrong, code in [
        ({"repositoryName": "clicks/other"}, "LayersNotFoundException"),
        ({"imageDigest": EMPTY}, "ImageDigestDoesNotMatchException"),
        ({"imageTag": "a b"}, "InvalidParameterException"),
        ({"imageManifest": "{}"}, "InvalidParameterException"),
        ({"imageManifest": "no JSON"}, "InvalidParameterException"),
        ({"imageManifest": index(image(b"?")).decode()}, "ReferencedImagesNotFoundException"),
        ({"repositoryName": "nothing"}, "RepositoryNotFoundException"),
    ]:
        assert error_of(ecr.put_image, **{**put, "imageTag": "x", **wrong})[0] == code
    assert error_of(ecr.upload_layer_part, repositoryName="clicks/loader", uploadId=EMPTY[-36:], partFirstByte=0,
                    partLastByte=1, layerPartBlob=b"ab")[0] == "NotImplemented"  # fmt: skip


def test_a_manifest_waits_for_its_blobs(world: World, pia: Client) -> None:
    pia.blob("clicks/loader", b"{}")
    reply = pia("PUT", "/v2/clicks/loader/manifests/1", image(b"never sent to anybody"))
    assert reply.error == (404, "MANIFEST_BLOB_UNKNOWN") and digest(b"never sent to anybody") in message(reply)
    assert world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"] == []


def test_an_image_for_several_machines_and_what_refers_to_it(world: World, pia: Client) -> None:
    pia.push("clicks/loader", "amd", b"amd image")
    pia.push("clicks/loader", "arm", b"arm image, larger")
    both = index(image(b"amd image"), image(b"arm image, larger"))
    assert pia("PUT", "/v2/clicks/loader/manifests/1.0", both).status == 201
    found = world.ecr().describe_images(repositoryName="clicks/loader", imageIds=[{"imageTag": "1.0"}])
    assert found["imageDetails"][0]["imageSizeInBytes"] == 2 + len(b"arm image, larger")
    subject = descriptor(both, manifests.OCI_INDEX)
    sbom = pia.push("clicks/loader", "sbom", b"sbom", subject=subject, artifactType="application/sbom")
    (one,) = pia("GET", f"/v2/clicks/loader/referrers/{digest(both)}").json["manifests"]
    assert (one["digest"], one["artifactType"]) == (sbom, "application/sbom")


def test_deleting_on_either_side(world: World, pia: Client) -> None:
    known, everyone = pia.push("clicks/loader", "1", b"layer"), world.client("everyone")
    world.ecr().batch_delete_image(repositoryName="clicks/loader", imageIds=[{"imageTag": "1"}])
    for reference in ("1", known):
        reply = everyone("GET", f"/v2/clicks/loader/manifests/{reference}")
        assert reply.error == (404, "MANIFEST_UNKNOWN") and message(reply) == "Requested image not found"
    pia.push("clicks/loader", "1", b"layer")
    assert everyone("DELETE", f"/v2/clicks/loader/manifests/{known}").status == 202
    assert everyone("DELETE", f"/v2/clicks/loader/manifests/{known}").error == (404, "MANIFEST_UNKNOWN")
    assert world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"] == []
    assert everyone("DELETE", f"/v2/clicks/loader/blobs/{EMPTY}").error == (405, "UNSUPPORTED")


def test_an_image_that_an_index_needs_stays(world: World, pia: Client) -> None:
    child = pia.push("clicks/loader", "child", b"child")
    both = index(image(b"child"))
    pia("PUT", "/v2/clicks/loader/manifests/both", both)
    everyone = world.client("everyone")
    reply = everyone("DELETE", f"/v2/clicks/loader/manifests/{child}")
    assert reply.error == (409, "DENIED")
    assert message(reply) == f"Requested image referenced by manifest list: [{digest(both)}]"
    everyone("DELETE", f"/v2/clicks/loader/manifests/{digest(both)}")
    assert everyone("DELETE", f"/v2/clicks/loader/manifests/{child}").status == 202


@pytest.mark.parametrize("account", ["../../elsewhere", "..", "/", "1", ""])
def test_a_registry_id_leads_nowhere_else(world: World, account: str, tmp_path: Path) -> None:
    """It comes from whoever creates a repository, and is part of a path."""
    assert aws_ecr.place(account, REGION) is None and aws_ecr.place(STAGING, f"../{REGION}") is None
    before = sorted(world.folder.rglob("*"))
    ecr, name = world.ecr(), "odd/one"
    with contextlib.suppress(ClientError, ParamValidationError):
        ecr.create_repository(repositoryName=name, registryId=account)
        put = {"repositoryName": name, "imageManifest": image().decode(), "imageTag": "1"}
        assert error_of(ecr.put_image, **put)[0] in ("LayersNotFoundException", "RepositoryNotFoundException")
    assert sorted(world.folder.rglob("*")) == before


def test_taking_layers_that_were_handed_in(world: World, pia: Client, tmp_path: Path) -> None:
    pia.push("clicks/loader", "1", b"layer")
    for odd in (f"elsewhere/{REGION}", f"{STAGING}/nowhere", f".../{REGION}"):
        (world.folder / "ecr" / odd).mkdir(parents=True, exist_ok=True)
    take(world.folder / "ecr", tmp_path / "copy")
    assert [str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").glob("*/*")] == [
        f"{STAGING}/{REGION}"
    ]
    assert Ecr(tmp_path / "copy", world.ask, STAGING).store.size("clicks/loader", digest(b"layer")) == 5


def test_lists(world: World, pia: Client) -> None:
    for tag in ("b", "a"):
        pia.push("clicks/loader", tag, b"layer")
    everyone = world.client("everyone")
    assert everyone("GET", "/v2/clicks/loader/tags/list").json == {"name": "clicks/loader", "tags": ["a", "b"]}
    assert everyone("GET", "/v2/_catalog").json == {"repositories": ["clicks/loader", "clicks/other"]}


def test_layers_are_not_shared_between_repositories(world: World, pia: Client) -> None:
    known, everyone = pia.blob("clicks/loader", b"layer"), world.client("everyone")
    asked = everyone("POST", f"/v2/clicks/other/blobs/uploads/?mount={known}&from=clicks/loader")
    assert asked.status == 202  # to be sent
    assert everyone("HEAD", f"/v2/clicks/other/blobs/{known}").status == 404


# ---- moto ---------------------------------------------------------------------------------------------------------------


RELIED_ON = (
    "ECRBackend._get_repository", "ECRBackend.batch_check_layer_availability", "ECRBackend.batch_get_image",
    "ECRBackend.describe_image_scan_findings", "ECRBackend.put_image", "ECRBackend.start_image_scan",
    "Image.get_image_digest", "Image.get_image_size_in_bytes", "Image.image_id", "Image.image_size_in_bytes",
    "Image.remove_tag", "Image.update_tag", "LAYER_MEDIA_TYPE", "Repository._get_image", "Repository.is_tag_immutable",
)  # fmt: skip
ATTRIBUTES = {
    "Repository": ("images", "image_tag_mutability_exclusion_filters", "name", "region_name", "registry_id"),
    "Image": (
        "image_manifest",
        "image_manifest_media_type",
        "image_pushed_at",
        "image_tags",
        "last_scan",
        "repository_name",
    ),
}


@pytest.mark.parametrize("name", RELIED_ON)
def test_what_is_relied_on_in_moto_is_there(name: str) -> None:
    found = importlib.import_module("moto.ecr.models")
    for part in name.split("."):
        assert hasattr(found, part), f"moto.ecr.models has no {name} any more; see test_aws_moto.py for what to do"
        found = getattr(found, part)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_motos_objects_have(name: str) -> None:
    source = inspect.getsource(getattr(importlib.import_module("moto.ecr.models"), name))
    assert [one for one in ATTRIBUTES[name] if f"self.{one}" not in source] == []


# ---- scans --------------------------------------------------------------------------------------------------------------


def test_findings_are_handed_in(world: World, pia: Client) -> None:
    known, ecr = pia.push("clicks/loader", "1", b"layer"), world.ecr()
    asked = {"repositoryName": "clicks/loader", "imageId": {"imageTag": "1"}}
    assert error_of(ecr.describe_image_scan_findings, **asked)[0] == "ScanNotFoundException"
    assert ecr.start_image_scan(**asked)["imageScanStatus"] == {"status": "IN_PROGRESS"}
    assert ecr.describe_image_scan_findings(**asked)["imageScanStatus"] == {"status": "IN_PROGRESS"}
    finding = {"name": "CVE-2026-0001", "severity": "HIGH", "attributes": [{"key": "package_name", "value": "driver"}]}
    place = {"account": STAGING, "region": REGION, "repository": "clicks/loader"}
    world.ask("scan_findings", **place, digest=known, findings=[finding, {**finding, "severity": "LOW"}])
    found = ecr.describe_image_scan_findings(**asked)
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findings"][0] == finding
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1, "LOW": 1}
    (described,) = ecr.describe_images(repositoryName="clicks/loader")["imageDetails"]
    assert described["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 1, "LOW": 1}
    with pytest.raises(Exception, match=f"There is no image {EMPTY} in the repository clicks/loader"):
        world.ask("scan_findings", **place, digest=EMPTY, findings=[])


# ---- again --------------------------------------------------------------------------------------------------------------


def test_everything_is_there_again(tmp_path: Path, running: World) -> None:
    running.close()  # moto holds one organisation at a time
    world = World(tmp_path)
    try:
        pia = world.client("pia")
        known = pia.push("clicks/loader", "1", b"layer")
        lost = pia.push("clicks/loader", "lost", b"lost layer")
        world.ecr().put_image(repositoryName="clicks/loader", imageManifest=image(b"layer").decode(), imageTag="stable")
        place = pia.start("clicks/loader")
        pia("PATCH", place, b"half")
        before = world.ecr().describe_images(repositoryName="clicks/loader", imageIds=[{"imageDigest": known}])
        assert world.again() == []
        after = world.ecr().describe_images(repositoryName="clicks/loader", imageIds=[{"imageDigest": known}])
        assert after["imageDetails"] == before["imageDetails"]
        # The date is that of the push, however late it is done again.
        world.close()
        text = (tmp_path / ".cloud/journal.jsonl").read_text()
        earlier = before["imageDetails"][0]["imagePushedAt"] - datetime.timedelta(hours=3)
        stamp = earlier.astimezone(datetime.UTC).isoformat(timespec="seconds")
        entries = [{**json.loads(line), "time": stamp} for line in text.splitlines()]
        (tmp_path / ".cloud/journal.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
        world.open()
        later = world.ecr().describe_images(repositoryName="clicks/loader", imageIds=[{"imageDigest": known}])
        assert later["imageDetails"][0]["imagePushedAt"] == earlier
        pia.port = world.registry.port  # the old password is still good
        assert pia("GET", "/v2/clicks/loader/manifests/stable").body == image(b"layer")
        assert pia("GET", LAYER_PATH).body == b"layer"
        assert pia("PATCH", place, b"half", Content_Range="4-7").headers["Range"] == "0-7"
        # A layer that somebody has deleted: its image is not promised any more.
        (tmp_path / f"ecr/{STAGING}/{REGION}/blobs" / digest(b"lost layer").replace(":", "/")).unlink()
        (remark,) = world.again()
        assert "LayersNotFoundException" in remark and digest(b"lost layer") in remark
        found = world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"]
        assert [one["imageDigest"] for one in found] == [known]
        pia.port = world.registry.port
        assert pia("GET", f"/v2/clicks/loader/manifests/{lost}").error == (404, "MANIFEST_UNKNOWN")
    finally:
        world.close()
        running.open()


def test_a_journal_gets_no_further_than_the_permissions_of_those_that_it_names(world: World, pia: Client) -> None:
    pia.push("clicks/loader", "1", b"layer")
    entry = json.loads(world.control.journal.lines[-1])
    assert entry["operation"] == "PutImage" and entry["caller"] == f"arn:aws:iam::{STAGING}:user/pia"
    entry["caller"] = f"arn:aws:iam::{STAGING}:user/ana"
    world.control.journal.lines[:] = [json.dumps(entry)]
    world.control.reset([])
    assert "ecr:PutImage on resource" in world.control.remarks[0]
    assert world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"] == []


def test_a_reset_of_a_task_takes_its_images_away(world: World, pia: Client) -> None:
    pia.push("clicks/loader", "1", b"layer")
    world.control.reset(["*:repository/clicks/*"])
    assert world.ecr().describe_images(repositoryName="clicks/loader")["imageDetails"] == []
    assert pia.push("clicks/loader", "1", b"layer")


def test_collecting_keeps_what_the_organisation_needs(world: World, pia: Client) -> None:
    world.door.collect(grace=0)
    known = pia.push("clicks/loader", "1", b"layer")
    pia.push("clicks/loader", "gone", b"to go")
    world.ecr().batch_delete_image(repositoryName="clicks/loader", imageIds=[{"imageTag": "gone"}])
    world.door.collect(grace=0)
    assert world.client("ana")("GET", LAYER_PATH).body == b"layer"
    assert pia("HEAD", f"/v2/clicks/loader/blobs/{digest(b'to go')}").status == 404
    assert world.door.store.used() == len(b"layer") + len(b"{}")
    assert pia("GET", f"/v2/clicks/loader/manifests/{known}").status == 200


def test_an_organisation_that_has_gone_is_said(world: World, pia: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(op: str, **_: Any) -> None:
        raise RuntimeError("The AWS organisation of this module has gone (no such file).")

    monkeypatch.setattr(world.door, "ask", gone)
    assert pia("GET", "/v2/").error == (503, "UNAVAILABLE")


def test_without_registries_moto_answers_as_before(running: World) -> None:
    running.close()
    try:
        with Organisation({"staging": STAGING}) as aws:
            ecr = aws.client("ecr", "staging")
            ecr.create_repository(repositoryName="app")
            uploaded = ecr.initiate_layer_upload(repositoryName="app")
            assert uploaded["uploadId"]
            put = ecr.put_image(repositoryName="app", imageManifest=image(b"x").decode(), imageTag="1")
            assert put["image"]["imageId"]["imageDigest"] == digest(image(b"x"))
    finally:
        running.open()
