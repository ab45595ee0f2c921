"""The registry of an AWS account: who has logged in with `aws ecr get-login-password` may what IAM lets them.

    >>> from opslab.worlds.images.registry.ecr import Ecr
    >>> with Registry(Ecr("workspace/.cloud/ecr", cloud.ask, "111111111111"), port=5001) as registry:     # doctest: +SKIP
    ...     registry.address                                 # what describe-repositories says in repositoryUri, too
    '127.0.0.1:5001'

With `aws_name=True`, repositoryUri has the name that AWS gives to the registry, for clients that are led from it to this address.

Layers are files in FOLDER/ACCOUNT/REGION. Images belong to the organisation: each request here becomes the operation of ECR that
AWS's own registry makes of it, for the one who has logged in, and a push is a PutImage in the organisation's journal. So what
`aws ecr` says is what clients pull, images are there again when the organisation is made anew, and one whose layers have been
lost meanwhile is not. (opslab/worlds/aws/ecr.py is the other side.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opslab import wire
from opslab.worlds.aws.clients import REGION
from opslab.worlds.images.registry import doors, manifests
from opslab.worlds.images.registry import store as files
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.registry.manifests import Manifest
from opslab.worlds.images.registry.store import GRACE_SECONDS, LIMITS, Collected, Limits, Store

USER = "AWS"
ADDRESS = "address"
"""The file that tells the organisation where this registry listens."""

# What AWS says, and what its registry makes of it.
CODES = {
    "AccessDeniedException": ("DENIED", 403),
    "ExpiredToken": ("DENIED", 403),
    "RepositoryNotFoundException": ("NAME_UNKNOWN", 404),
    "ImageNotFoundException": ("MANIFEST_UNKNOWN", 404),
    "ImageTagAlreadyExistsException": ("TAG_INVALID", 400),
    "LayersNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ReferencedImagesNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ImageDigestDoesNotMatchException": ("DIGEST_INVALID", 400),
    "InvalidParameterException": ("MANIFEST_INVALID", 400),
}

Ask = Callable[..., Any]
"""`Cloud.ask`, or whatever does the same: ask(operation, **arguments)."""


class Ecr(doors.Door):
    """A door for one account and region. The caller is a password, which the organisation knows; "" for nobody.

    folder  of all registries of the organisation: what was given to it as `registries`
    ask     `Cloud.ask`; a function that finds the Cloud of the moment, where that may change
    aws_name    whether the organisation is to call it ACCOUNT.dkr.ecr.REGION.amazonaws.com: where something leads clients from
            that name to the address (`opslab.worlds.images.engine`)
    """

    mounts = False
    deletes_blobs = False

    def __init__(
        self,
        folder: str | os.PathLike[str],
        ask: Ask,
        account: str,
        region: str = REGION,
        *,
        limits: Limits = LIMITS,
        aws_name: bool = False,
    ) -> None:
        super().__init__(Store(Path(folder) / account / region, limits))
        self.ask, self.account, self.region, self.aws_name = ask, account, region, aws_name

    def opened(self, address: str) -> None:
        super().opened(address)
        # Without an address there, the organisation says what AWS would.
        self.store.note(ADDRESS, "" if self.aws_name else address)

    # --- who, and may they -----------------------------------------------------------------------------------------------------

    def caller(self, headers: Mapping[str, str]) -> str:
        given = doors.basic(headers)
        if given is None:
            return ""
        if given[0] != USER:
            raise self._challenge(f"The user is {USER}, the password what `aws ecr get-login-password` prints.")
        return given[1]

    def _challenge(self, message: str) -> RegistryError:
        told = f'Basic realm="http://{self.address}/",service="ecr.amazonaws.com"'
        return RegistryError("UNAUTHORIZED", message, headers={"WWW-Authenticate": told})

    def ping(self, caller: str) -> None:
        self._do(caller, "", {})

    def allow(self, caller: str, want: str, name: str) -> None:
        self._do(caller, want, {"repositoryName": name}, only_ask=True)

    def _do(
        self, caller: str, operation: str, parameters: Mapping[str, Any], *, only_ask: bool = False
    ) -> dict[str, Any]:
        """An operation of ECR, in this registry, for the caller. RegistryError with what AWS says where it cannot be."""
        try:
            answer = self.ask(
                "registry",
                password=caller,
                account=self.account,
                region=self.region,
                operation=operation,
                parameters=dict(parameters),
                only_ask=only_ask,
            )
        except (RuntimeError, OSError, wire.Refusal) as error:  # CloudError: it has gone, or is about to come
            raise RegistryError("UNAVAILABLE", f"AWS does not answer: {error}") from None
        if "result" in answer:
            return answer["result"]
        if answer["status"] == 401:
            raise self._challenge(answer["message"])
        code, status = CODES.get(answer["code"], ("DENIED", 400))
        raise RegistryError(code, answer["message"], status=status)

    # --- images ----------------------------------------------------------------------------------------------------------------

    def manifest(self, caller: str, name: str, reference: str) -> Manifest:
        found = self._do(caller, doors.GET_MANIFEST, {"repositoryName": name, "imageIds": [_image_id(reference)]})[
            "images"
        ]
        if not found:
            raise RegistryError("MANIFEST_UNKNOWN", "Requested image not found")
        return manifests.parse(found[0]["imageManifest"].encode(), found[0].get("imageManifestMediaType") or "")

    def put_manifest(self, caller: str, name: str, reference: str, content: bytes, media_type: str) -> Manifest:
        found = manifests.parse(content, media_type)
        # It goes by way of the folder: what is said to the organisation must fit into a line.
        self.store.keep(found)
        wanted = {"repositoryName": name, "manifest": found.digest, "imageManifestMediaType": found.media_type}
        try:
            self._do(caller, doors.PUT_MANIFEST, wanted | _image_id(reference))
        except RegistryError as error:
            # The same image under the same tag: ECR has no objection to such a push.
            if "already exists" not in error.message or error.code == "TAG_INVALID":
                raise
        return found

    def delete_manifest(self, caller: str, name: str, reference: str) -> None:
        done = self._do(caller, doors.DELETE, {"repositoryName": name, "imageIds": [_image_id(reference)]})
        if done.get("failures"):
            failure = done["failures"][0]
            if failure["failureCode"] == "ImageReferencedByManifestList":
                raise RegistryError("DENIED", failure["failureReason"], status=409)
            raise RegistryError("MANIFEST_UNKNOWN", failure["failureReason"])

    def tags(self, caller: str, name: str) -> list[str]:
        found = self._do(caller, doors.LIST_TAGS, {"repositoryName": name})["imageIds"]
        return sorted(one["imageTag"] for one in found if one.get("imageTag"))

    def referrers(self, caller: str, name: str, digest: str) -> list[Manifest]:
        self.allow(caller, doors.GET_MANIFEST, name)
        return [one for one in self._images().get(name, []) if one.subject == digest]

    def catalog(self, caller: str) -> list[str]:
        found = self._do(caller, doors.CATALOG, {})["repositories"]
        return sorted(one["repositoryName"] for one in found)

    def _images(self) -> dict[str, list[Manifest]]:
        found = self.ask("images", account=self.account, region=self.region)
        return {
            name: [manifests.parse(one["manifest"].encode(), one["mediaType"]) for one in those]
            for name, those in found.items()
        }

    def collect(self, *, grace: float = GRACE_SECONDS) -> Collected:
        """Take away layers and uploads that no image of the organisation needs: see `Store.collect`."""
        live = {name: {blob for one in those for blob in one.blobs} for name, those in self._images().items()}
        return self.store.collect(grace=grace, live=live)


def take(source: str | os.PathLike[str], target: str | os.PathLike[str], limits: Limits = LIMITS) -> None:
    """Copy the layers of all accounts that somebody has handed in, as far as they are sound: see `store.take`."""
    for folder in Path(source).glob("*/*"):
        if re.fullmatch(r"\d{12}", folder.parent.name) and re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", folder.name):
            files.take(folder, Path(target) / folder.parent.name / folder.name, limits)


def _image_id(reference: str) -> dict[str, str]:
    return {"imageDigest" if ":" in reference else "imageTag": reference}
