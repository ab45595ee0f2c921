"""ECR, as far as moto does not have it: tokens that mean somebody, images with their true digests, and what a registry asks.

Moto knows repositories, policies and lifecycle rules. Layers are in a folder, one for each account and region, where
`opslab.worlds.images.registry` keeps them; what it asks comes to `serve`, and is decided, recorded and written into the journal
like any other call of the one who has logged in there. The folder is `Organisation(registries=…)`; without one, there is nowhere
to push to, and moto's own answers stand.

    aws ecr get-login-password   →  `finish` makes a token for the caller
    docker login, push, pull     →  the registry sends the token along: `serve` finds the caller again, and asks the guard
    aws ecr describe-images      →  what was put, with sha256 digests and sizes

Findings of image scans are made elsewhere and handed in: `hand_in`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslab.worlds.aws.state import Caller, backend_of
from opslab.worlds.aws.wording import Refusal, Reply
from opslab.worlds.images.registry import manifests, names
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.store import Store

if TYPE_CHECKING:
    from opslab.worlds.aws.guard import Work
    from opslab.worlds.aws.organisation import Organisation

TOKEN_HOURS = 12
"""AmazonECR/latest/userguide/registry_auth: "valid for 12 hours"."""

ADDRESS = "address"
"""The file in a registry's folder that says where it listens."""

_folder: Path | None = None
_findings: dict[tuple[str, str, str, str], dict[str, Any]] = {}


def use(registries: Path | None) -> None:
    """From now on, layers are below this folder, in ACCOUNT/REGION. None: there are no registries."""
    global _folder
    _folder = registries
    _findings.clear()


# --- tokens ------------------------------------------------------------------------------------------------------------


def password(seed: int, caller: Caller, identity: str, now: datetime.datetime) -> tuple[str, datetime.datetime]:
    """What `aws ecr get-login-password` prints for a caller, and until when it is good. identity: see `State.user_id`."""
    until = now + datetime.timedelta(hours=TOKEN_HOURS)
    key = caller.session.access_key if caller.session else ""
    claims = {"arn": caller.principal.arn, "id": identity, "key": key, "until": until.timestamp()}
    payload = json.dumps(claims).encode()
    # The same form as AWS's own, of which nobody is meant to read more than the expiration.
    token = {
        "payload": base64.b64encode(payload).decode(),
        "datakey": base64.b64encode(_sign(seed, payload)).decode(),
        "version": "2",
        "type": "DATA_KEY",
        "expiration": int(until.timestamp()),
    }
    return base64.b64encode(json.dumps(token).encode()).decode(), until


def holder(aws: Organisation, given: str) -> Caller:
    """Who has got this password. It means the user or role as they are now, with the policies that they have now.

    Raises Refusal: InvalidToken, ExpiredToken.
    """
    try:
        token = json.loads(base64.b64decode(given, validate=True))
        payload = base64.b64decode(token["payload"], validate=True)
        signature = base64.b64decode(token["datakey"], validate=True)
        if not hmac.compare_digest(signature, _sign(aws.seed, payload)):
            raise ValueError
        claims = json.loads(payload)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise Refusal("InvalidToken", "Not Authorized", 401) from None
    if claims["until"] < datetime.datetime.now(datetime.UTC).timestamp():
        raise Refusal("ExpiredToken", "Your authorization token has expired. Reauthenticate and try again.")
    # A session keeps what was passed when it was made: its policies and tags.
    session = aws.state.caller(claims["key"]) if claims["key"] else None
    caller = session or aws.state.caller_named(claims["arn"])
    # Somebody of the same name who was made later is somebody else.
    if caller is None or aws.state.user_id(caller.principal) != claims["id"]:
        raise Refusal("InvalidToken", "Not Authorized", 401)
    return caller


def _sign(seed: int, payload: bytes) -> bytes:
    return hmac.digest(f"opslab/{seed}/ecr".encode(), payload, hashlib.sha256)


# --- what a registry asks ------------------------------------------------------------------------------------------------


def serve(
    aws: Organisation,
    given: str,
    account: str,
    region: str,
    operation: str,
    parameters: Mapping[str, Any],
    only_ask: bool = False,
) -> dict[str, Any]:
    """Do one operation of ECR for whoever has the password. Called by a registry, never by a client.

    operation: "" to look at the password only.
    parameters: as the aws CLI has them; `manifest` in the place of `imageManifest` is the digest of one in the folder.
    only_ask: what the registry does itself, like taking a layer: may the caller, and is the repository there?
    Returns {"result": …}, or {"code", "message", "status"} of what AWS would say.
    """
    try:
        caller = holder(aws, given)
    except Refusal as refusal:
        return {"code": refusal.code, "message": refusal.message, "status": refusal.status}
    if not operation:
        return {"result": {}}
    parameters = {**parameters, "registryId": account}
    if digest := parameters.pop("manifest", ""):
        parameters["imageManifest"] = _store(account, region)._blob_path(digest).read_text()
    reply = aws.guard.act(caller, "ecr", region, operation, parameters, only_ask=only_ask)
    found = json.loads(reply.body or b"{}")
    if reply.status < 400:
        return {"result": found}
    code = str(found.get("__type", "")).rpartition("#")[2]
    return {"code": code, "message": found.get("message", ""), "status": reply.status}


def must_exist(work: Work) -> None:
    """The end of a call that is only asked about. Raises Refusal where there is no such repository."""
    if work.state.thing(work.asks[0]) is None:
        name, account = work.params.get("repositoryName"), work.asks[0].account
        raise Refusal(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{account}'",
            400,
        )


def images(aws: Organisation, account: str, region: str) -> dict[str, list[dict[str, str]]]:
    """The images of every repository of a registry: {repository: [{"digest", "mediaType", "manifest"}]}. For the registry."""
    backend = backend_of("ecr", aws.account(account), region)
    return {
        name: [
            {
                "digest": one.get_image_digest(),
                "mediaType": one.image_manifest_media_type,
                "manifest": one.image_manifest,
            }
            for one in repository.images
        ]
        for name, repository in backend.repositories.items()
    }


def hand_in(
    aws: Organisation, account: str, region: str, repository: str, digest: str, findings: Iterable[Mapping[str, Any]]
) -> None:
    """Say what a scan has found in an image: {"name": "CVE-…", "severity": "HIGH", "description", "uri", "attributes"} each.

    From then on it is what `aws ecr describe-image-scan-findings` answers. LookupError where there is no such image.
    """
    found = images(aws, account, region).get(repository, [])
    if digest not in [one["digest"] for one in found]:
        raise LookupError(f"There is no image {digest} in the repository {repository} of {account}.")
    _findings[aws.account(account), region, repository, digest] = {
        "findings": [dict(one) for one in findings],
        "completed": int(datetime.datetime.now(datetime.UTC).timestamp()),
    }


def finish(work: Work, reply: Reply) -> Reply:
    """After moto has answered: a token that means the caller; and the time of a push, also when it is done again."""
    if work.operation == "PutImage":
        image = json.loads(reply.body)["image"]
        repository = work.state.thing(work.asks[0])
        for one in repository.images:
            if one.get_image_digest() == image["imageId"]["imageDigest"] and not one.dated:
                one.image_pushed_at, one.dated = int(work.now.timestamp()), True
    if work.operation != "GetAuthorizationToken":
        return reply
    identity = work.state.user_id(work.caller.principal)
    secret, until = password(work.guard.rules.seed, work.caller, identity, work.now)
    data = [
        {
            "authorizationToken": base64.b64encode(f"AWS:{secret}".encode()).decode(),
            "expiresAt": until.timestamp(),
            "proxyEndpoint": endpoint(account, work.region),
        }
        for account in work.params.get("registryIds") or [work.call.account]
    ]
    body = json.dumps({"authorizationData": data}).encode()
    headers = [(name, value) for name, value in reply.headers if name.lower() != "content-length"]
    return Reply(reply.status, (*headers, ("Content-Length", str(len(body)))), body)


# --- the registry's folder -------------------------------------------------------------------------------------------------


def place(account: str, region: str) -> Path | None:
    """Where the registry of an account and region has its files; None where there are no registries."""
    # Account and region may be what a client has said: they must not lead anywhere else.
    sound = re.fullmatch(r"\d{12}", account) and re.fullmatch(r"[a-z0-9-]{1,40}", region)
    return _folder / account / region if _folder and sound else None


def _store(account: str, region: str) -> Store:
    found = place(account, region)
    if found is None:
        raise LookupError("There are no registries here.")
    return Store(found, read_only=True)


def host(account: str, region: str) -> str:
    """What comes before a repository's name: where the registry listens, or what it would be at AWS."""
    found = place(account, region)
    try:
        text = (found / ADDRESS).read_text()[:100].strip() if found else ""
    except (OSError, ValueError):
        text = ""
    if re.fullmatch(r"127\.0\.0\.1:\d{1,5}", text):
        return text
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


def endpoint(account: str, region: str) -> str:
    """The same as a URL."""
    found = host(account, region)
    return f"http://{found}" if found.startswith("127.") else f"https://{found}"


def layer_size(repository: Any, digest: str) -> int | None:
    """The bytes of a layer, if all of it is in the registry's folder."""
    found = place(repository.registry_id, repository.region_name)
    try:
        return Store(found, read_only=True).size(repository.name, digest) if found else None
    except RegistryError:
        return None


# --- moto, put right ---------------------------------------------------------------------------------------------------------


def apply() -> None:
    """Replaces what moto's ECR has differently. See `moto_fixes`."""
    from moto.ecr.models import ECRBackend, Image, Repository
    from moto.ecr.responses import ECRResponse

    ECRBackend.put_image = _put_image
    ECRBackend.batch_delete_image = _without_children(ECRBackend.batch_delete_image)
    ECRBackend.start_image_scan = _start_scan
    ECRBackend.describe_image_scan_findings = _describe_findings
    ECRBackend.batch_check_layer_availability = _with_registry(ECRBackend.batch_check_layer_availability, _check_layers)
    for name in ("initiate_layer_upload", "upload_layer_part", "complete_layer_upload"):
        setattr(ECRResponse, name, _with_registry(getattr(ECRResponse, name), _by_the_registry))
    Repository.uri = property(
        lambda self: f"{host(self.registry_id, self.region_name)}/{self.name}", lambda self, value: None
    )
    Image.get_image_size_in_bytes = lambda self: getattr(self, "true_size", 0)
    Image.image_scan_status = property(_scan_status)
    Image.image_scan_findings_summary = property(_scan_summary)


def _with_registry(original: Any, ours: Any) -> Any:
    """Ours where there is a registry, else moto's."""

    @wraps(original)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        return (ours if _folder else original)(self, *args, **options)

    return method


def _by_the_registry(self: Any) -> None:
    raise NotImplementedError("layers come by `docker push`")


def _put_image(
    self: Any,
    repository_name: str,
    image_manifest: str,
    image_tag: str | None,
    image_manifest_mediatype: str | None = None,
    digest: str | None = None,
) -> Any:
    """AmazonECR/latest/APIReference/API_PutImage: digest, tags that move and tags that do not, layers that are missing."""
    from moto.ecr.exceptions import ImageAlreadyExistsException, InvalidParameterException
    from moto.ecr.models import Image

    repository = self._get_repository(repository_name)
    try:
        found = manifests.parse(image_manifest.encode(), image_manifest_mediatype or "")
    except (RegistryError, UnicodeEncodeError) as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error}'"
        ) from None
    if image_tag is not None and not names.is_tag(image_tag):
        raise InvalidParameterException(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: "
            "'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''"
        )
    if digest and digest != found.digest:
        raise _problem("ImageDigestDoesNotMatchException", "The specified digest does not match the image's digest.")
    there = next((one for one in repository.images if one.get_image_digest() == found.digest), None)
    if there and (image_tag is None or image_tag in there.image_tags):
        raise ImageAlreadyExistsException(repository_name, repository.registry_id, found.digest, image_tag or "null")
    tagged = next((one for one in repository.images if image_tag and image_tag in one.image_tags), None)
    if tagged and _immutable(repository, image_tag or ""):
        raise _problem(
            "ImageTagAlreadyExistsException",
            f"The image tag '{image_tag}' already exists in the '{repository_name}' repository and cannot be overwritten "
            "because the repository is immutable.",
        )
    children = {one.get_image_digest(): one for one in repository.images if one.get_image_digest() in found.children}
    _must_be_there(repository, found, children)
    if there is None:
        there = Image(
            self.account_id,
            None,
            image_manifest,
            repository_name,
            found.media_type,
            found.digest,
            repository.registry_id,
        )
        there.artifact_media_type = found.kind or None
        there.region_name, there.dated = repository.region_name, False
        # "If the image is a manifest list, this will be the max size of all manifests in the list": API_ImageDetail
        sizes = [one.true_size for one in children.values()]
        there.true_size = max(sizes, default=0) if found.is_index else sum(found.blobs.values())
        repository.images.append(there)
    if tagged:
        tagged.remove_tag(image_tag)
        tagged.image_tag = tagged.image_tags[-1] if tagged.image_tags else None
    there.update_tag(image_tag)
    return there


def _must_be_there(repository: Any, found: manifests.Manifest, children: Mapping[str, Any]) -> None:
    where = f"in the repository with name '{repository.name}' in the registry with id '{repository.registry_id}'"
    if missing := [one for one in found.children if one not in children]:
        raise _problem(
            "ReferencedImagesNotFoundException", f"Images with digests '[{', '.join(missing)}]' required for pushing image "
            f"into repository do not exist {where}"
        )  # fmt: skip
    if _folder is None:
        return
    sizes = {digest: layer_size(repository, digest) for digest in found.blobs}
    if missing := [digest for digest, size in sizes.items() if size is None]:
        raise _problem("LayersNotFoundException", f"Layers with digests '[{', '.join(missing)}]' do not exist {where}")
    if wrong := [digest for digest, size in sizes.items() if size != found.blobs[digest]]:
        from moto.ecr.exceptions import InvalidParameterException

        raise InvalidParameterException(
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: "
            f"'it says that {wrong[0]} has {found.blobs[wrong[0]]} bytes; it has {sizes[wrong[0]]}'"
        )


def _without_children(original: Any) -> Any:
    """An image that an index refers to stays as long as the index does."""

    @wraps(original)
    def method(
        self: Any, repository_name: str, registry_id: str | None = None, image_ids: list[dict[str, str]] | None = None
    ) -> Any:
        repository = self._get_repository(repository_name, registry_id)
        asked = {one["imageDigest"] for one in image_ids or [] if "imageDigest" in one}
        holders = {
            child: image.get_image_digest()
            for image in repository.images
            if image.get_image_digest() not in asked
            for child in manifests.parse(image.image_manifest.encode()).children
        }
        held = [one for one in image_ids or [] if one.get("imageDigest") in holders]
        rest = [one for one in image_ids or [] if one not in held]
        response = original(self, repository_name, registry_id, rest) if rest else {"imageIds": [], "failures": []}
        response["failures"] += [
            {
                "imageId": one,
                "failureCode": "ImageReferencedByManifestList",
                "failureReason": f"Requested image referenced by manifest list: [{holders[one['imageDigest']]}]",
            }
            for one in held
        ]
        return response

    return method


def _problem(code: str, message: str) -> Exception:
    """An error of ECR that moto does not have."""
    from moto.core.exceptions import ServiceException

    made = type(code, (ServiceException,), {"code": code})
    return made(message)


def _immutable(repository: Any, tag: str) -> bool:
    """Whether a tag of a repository stays what it is: image-tag-mutability, with its exclusion filters."""
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, one["filter"]) for one in filters)
    return repository.is_tag_immutable() != excluded


def _check_layers(
    self: Any, repository_name: str, layer_digests: list[str], registry_id: str | None = None
) -> dict[str, Any]:
    from moto.ecr.models import LAYER_MEDIA_TYPE

    repository = self._get_repository(repository_name, registry_id)
    layers, failures = [], []
    for digest in layer_digests:
        size = layer_size(repository, digest)
        if size is not None:
            layers.append(
                {
                    "layerDigest": digest,
                    "layerAvailability": "AVAILABLE",
                    "layerSize": size,
                    "mediaType": LAYER_MEDIA_TYPE,
                }
            )
        else:
            sound = re.fullmatch(r"sha256:[a-f0-9]{64}", digest)
            failures.append(
                {
                    "layerDigest": digest,
                    "failureCode": "MissingLayerDigest" if sound else "InvalidLayerDigest",
                    "failureReason": f"Layer digest '{digest}' could not be found"
                    if sound
                    else f"Invalid layer digest '{digest}'",
                }
            )
    return {"layers": layers, "failures": failures}


# --- scans -------------------------------------------------------------------------------------------------------------------


def _handed_in(image: Any) -> dict[str, Any] | None:
    return _findings.get((image.registry_id, image.region_name, image.repository_name, image.get_image_digest()))


def _scan_status(image: Any) -> dict[str, str] | None:
    if _handed_in(image):
        return {"status": "COMPLETE", "description": "The scan was completed successfully."}
    return {"status": "IN_PROGRESS"} if image.last_scan else None


def _scan_summary(image: Any) -> dict[str, Any] | None:
    found = _handed_in(image)
    return found and {"imageScanCompletedAt": found["completed"], "findingSeverityCounts": _counts(found)}


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    return dict(Counter(str(one.get("severity", "UNDEFINED")) for one in found["findings"]))


def _start_scan(self: Any, registry_id: str, repository_name: str, image_id: dict[str, str]) -> dict[str, Any]:
    """The scan begins; whoever scans here hands in what is found."""
    repository = self._get_repository(repository_name, registry_id)
    image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
    image.last_scan = datetime.datetime.now(datetime.UTC)
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository_name,
        "imageId": image.image_id,
        "imageScanStatus": {"status": "IN_PROGRESS"},
    }


def _describe_findings(self: Any, registry_id: str, repository_name: str, image_id: dict[str, Any]) -> dict[str, Any]:
    from moto.ecr.exceptions import ScanNotFoundException

    repository = self._get_repository(repository_name, registry_id)
    image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
    status, found = _scan_status(image), _handed_in(image)
    if status is None:
        named = f"{{imageDigest:'{image.get_image_digest()}', imageTag:'{image_id.get('imageTag') or 'null'}'}}"
        raise ScanNotFoundException(named, repository_name, repository.registry_id)
    answer = {
        "registryId": repository.registry_id,
        "repositoryName": repository_name,
        "imageId": image.image_id,
        "imageScanStatus": status,
    }
    if found:
        answer["imageScanFindings"] = {
            "imageScanCompletedAt": found["completed"],
            "vulnerabilitySourceUpdatedAt": found["completed"],
            "findings": found["findings"],
            "findingSeverityCounts": _counts(found),
        }
    return answer
