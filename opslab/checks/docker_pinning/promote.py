"""Task 5.4: the next version is mended and in the team's registry; production runs the digest that staging tested, from its own account."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from opslab.checks import Miss, Trial
from opslab.checks.docker_pinning import module
from opslab.scenarios.docker_pinning import cloud, promote
from opslab.scenarios.iam_roles.names import PLATFORM
from opslab.worlds.aws.clients import REGION
from opslab.worlds.images import references
from opslab.worlds.images.registry.errors import RegistryError
from opslab.worlds.images.scanner import audit, gate, installed
from opslab.worlds.images.store import Image, StoreError
from opslab.worlds.packages import WEDNESDAY

EXCEPTIONS, PRODUCTION = "deploy/exceptions.toml", "deploy/production.yaml"
YAML_CHARACTERS = 20_000
CONTAINERS = ("containers", "initContainers")

to_production = module.task(
    "5.4",
    "From laptop to registry to ECR",
    files=[".registry", "deploy"],
    cloud=[f"arn:aws:ecr:{REGION}:{PLATFORM}:repository/{promote.REPOSITORY}"],
    hints=[
        "Read ~/deploy/README.md first; it says what the gate, the team and the platform want. Two images are under way: the new 1.5 goes to the team's registry, and what staging has tested goes to production. What has been tested is in test-report.txt and staging.yaml, and it is not what the tag 1.4 names today: docker pull it by its tag and by its digest, and compare.",
        "1.5: scan data/loader:1.5 names two advisories. For one there is a mended version: uv pip compile … --upgrade-package targ-units, install into an empty site-packages, build. The other one is for exceptions.toml. Production: AWS_PROFILE=promoter aws ecr create-repository help shows all options, and three of them are wanted; aws ecr get-login-password prints the password of the user AWS.",
        "By digest all the way: docker pull registry.targ.example/data/loader@sha256:…, docker tag (that) 777788889999.dkr.ecr.eu-west-1.amazonaws.com/data/loader:1.4, docker push. With skopeo: skopeo copy --preserve-digests docker://…@sha256:… docker://…:1.4. docker push says the digest in its last line: it is the one that production.yaml names behind an @.",
    ],
)  # fmt: skip


# ---- 1.5 ------------------------------------------------------------------------------------------------------------------


def _packages(trial: Trial, digest: str) -> dict[str, str]:
    """What is installed in an image of the team's registry, by name. Raises Miss where it is no image that can be looked into.

    A package whose code is not that of the index under this version is called so.
    """

    def look() -> dict[str, str]:
        try:
            image = pulled(trial, promote.REPOSITORY, digest)
            found = installed.in_image(trial.images().store, image)
            return {one.name: f"{one.version}{_other_code(trial, image, one)}" for one in found}
        except (RegistryError, StoreError, installed.ScanError) as error:
            raise Miss(f"What you have pushed cannot be looked into: {str(error).splitlines()[0]}", tried=f"look into {promote.TEAM}@{digest[:19]}…", wanted="an image for linux/amd64 or of this machine, built by docker") from None  # fmt: skip

    return trial.once(f"packages {digest}", look)


def _other_code(trial: Trial, image: Image, package: installed.Package) -> str:
    """What to add to a version that says what it is not; else "". Only the file that everybody imports is compared."""
    module = package.name.replace("-", "_")
    code = trial.images().store.read(image, f"{package.path.rpartition('/')[0]}/{module}/__init__.py")
    index = promote.code(trial.seed, package.name, package.version)
    return "" if index is None or code == index else " (with other code)"


def pulled(trial: Trial, name: str, digest: str) -> Image:
    """An image of the team's registry, in the engine's store. Raises RegistryError or StoreError where it is none."""
    desk = trial.images()
    with contextlib.suppress(StoreError):
        return desk.store.find(digest)
    found, blobs = desk.team.store.manifest(name, digest), {}
    for one in found.blobs:
        with desk.team.store.open(name, one) as file:
            blobs[one] = file.read()
    (loaded,) = desk.store.load(promote.Made(digest, found.content, blobs).layout(trial.folder() / "layout"))
    return loaded.image


def _new(trial: Trial) -> list[tuple[str, str]]:
    """(tag, digest) of what the learner has pushed to the team's registry, the newest first."""
    store = trial.images().team.store
    try:
        record = store.record(promote.REPOSITORY)
    except RegistryError:
        raise Miss(f"There is no {promote.REPOSITORY} in the team's registry any more. opslab.reset(\"5.4\") brings it back.", tried=f"look for {promote.TEAM}", name="registry-gone") from None  # fmt: skip
    before = promote.tags(trial.seed)
    for tag, digest in before.items():
        if record.tags.get(tag) != digest:
            raise Miss(f"The tag {tag} in the team's registry names another image than this morning. Somebody relies on what it meant, as you did on 1.4. Give new builds new tags; opslab.reset(\"5.4\") puts it back.", tried=f"look at {promote.TEAM}:{tag}", got=record.tags.get(tag, "nothing"), wanted=digest, name="tag-moved-again")  # fmt: skip
    known = {one.digest for name, one in promote.known(trial.seed).items() if name != "next"}
    mine = [(tag, digest) for tag, digest in record.tags.items() if tag not in before and digest not in known]
    if not mine:
        raise Miss("The new version is not in the team's registry yet.", tried=f"look at the tags of {promote.TEAM}", got=", ".join(sorted(record.tags)), wanted="a tag of yours, such as 1.5", name="not-pushed")  # fmt: skip
    return sorted(mine, key=lambda one: record.manifests[one[1]]["pushed"], reverse=True)


@to_production.expects("version 1.5 is in the team's registry, and what can be mended today is mended", points=1)
def pushed(trial: Trial) -> None:
    wanted = promote.needed(trial.seed)
    misses = []
    for tag, digest in _new(trial)[:5]:
        try:
            return _sound(trial, tag, _packages(trial, digest), wanted)
        except Miss as miss:
            misses.append(miss)
    raise misses[0]


def _sound(trial: Trial, tag: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Raises Miss where an image of the new version lacks something, or would be held back though it need not."""
    tried = f"scan {promote.TEAM}:{tag}"
    if missing := wanted.keys() - found.keys():
        raise Miss("This image has not all that the loader needs. It gets past the scan, and no further.", tried=tried, got=", ".join(f"{name} {version}" for name, version in sorted(found.items())) or "no packages", wanted=f"{', '.join(sorted(missing))} as well", name="packages-missing")  # fmt: skip
    if forged := [f"{name} {version}" for name, version in found.items() if version.endswith(")")]:
        raise Miss("A package says that it is another version than it is. The scanner believes it, whoever breaks in does not.", tried=tried, got=", ".join(forged), wanted="packages as they are on the index", name="other-code")  # fmt: skip
    if found[promote.PACKAGE].startswith("2.9"):
        raise Miss(f"The advisory is gone, and so is the loader: with {promote.PACKAGE} {found[promote.PACKAGE]} it dies without a word, see 5.1. Until 2.9.1 is there, this one is for exceptions.toml.", tried=tried, got=f"{promote.PACKAGE} {found[promote.PACKAGE]}", wanted=f"{promote.PACKAGE} {wanted[promote.PACKAGE]}", name="mended-by-crash")  # fmt: skip
    packages = [installed.Package(name, version) for name, version in sorted(found.items())]
    open_ones = [one for one in _audit(trial, tag, packages).findings if one.id != promote.ADVISORY]
    if open_ones:
        one = open_ones[0]
        raise Miss(f"{one.id} is about {one.package} {one.version}, and there is a version without the problem. What can be mended is mended: renew the lock for this package, build, push under a new tag.", tried=tried, got=f"{one.package} {one.version}: {one.id}, {one.severity.lower()}", wanted=f"{one.package} {', '.join(one.mended_in)}", name="still-vulnerable")  # fmt: skip


def _audit(trial: Trial, what: str, packages: list[installed.Package]) -> audit.Audit:
    trial.tell(f"asking what is known of the packages in {what}")
    return audit.audit(packages, trial.images().osv_url)


# ---- the gate ---------------------------------------------------------------------------------------------------------------

NAMES = {
    "too-wide": "blanket",
    "no-until": "without-end",
    "too-long": "without-end",
    "thin-reason": "thin-reason",
    "no-reason": "thin-reason",
    "expired": "expired",
    "other-package": "wrong-package",
}
"""What is wrong with an exception (`gate.Problem.code`), as misconceptions."""


@to_production.expects("one exception, with a reason and an end, for what cannot be mended yet", points=1)
def excepted(trial: Trial) -> None:
    tried = f"scan {promote.TEAM}@{promote.known(trial.seed)['tested'].digest[:19]}… --exceptions ~/{EXCEPTIONS}"
    try:
        entries = gate.read(trial.read(EXCEPTIONS))
    except installed.ScanError as error:
        raise Miss(f"{str(error)[:1].upper()}{str(error)[1:]}.", tried=tried, wanted="[[exception]] with id, package, until, who, reason", name="no-toml") from None  # fmt: skip
    if not entries:
        raise Miss("There is no exception in the file yet, so the gate holds back what staging has tested.", tried=tried, got="no [[exception]]", wanted=f"one, for {promote.ADVISORY}", name="no-exception")  # fmt: skip
    packages = [installed.Package(*one) for one in promote.tested_packages(trial.seed)]
    report = gate.decide(_audit(trial, "what staging has tested", packages), entries, WEDNESDAY)
    for judged in report.exceptions:
        shown = judged.entry.id or f"number {judged.entry.number}"
        if judged.state == "refused":
            problem = judged.problems[0]
            raise Miss(f"The exception {shown} does not count: {problem.text}.", tried=tried, got=problem.text, wanted="an exception that counts on 2026-11-18", name=NAMES.get(problem.code, "form"))  # fmt: skip
        if judged.state == "unused":
            mendable = judged.entry.package == "targ-units"
            say = "That one can be mended today, so there is nothing to except: targ-units 1.2.1 is on the index." if mendable else f"Nobody has found {shown} in what staging has tested. An exception that nobody needs today lets something through tomorrow."  # fmt: skip
            raise Miss(say, tried=tried, got=f"an exception for {shown}", wanted=f"one exception, for {promote.ADVISORY} in {promote.PACKAGE}", name="excepts-mendable" if mendable else "wrong-id")  # fmt: skip
    if not report.passed:
        raise Miss("The gate still holds back what staging has tested.", tried=tried, got=", ".join(one.id for one in report.open), wanted="passed")  # fmt: skip


# ---- production -------------------------------------------------------------------------------------------------------------


def _ecr(trial: Trial, operation: str, **more: Any) -> dict[str, Any]:
    """An operation of ECR, asked as somebody who may look. Empty where AWS says no."""
    asked = trial.cloud().role(PLATFORM, cloud.PROMOTER)
    return asked.call("ecr", operation, **more).result or {}


def _repository(trial: Trial) -> dict[str, Any]:
    found = _ecr(trial, "describe_repositories").get("repositories", [])
    ours = next((one for one in found if one["repositoryName"] == promote.REPOSITORY), None)
    if ours is None:
        raise Miss(f"The platform's account has no repository {promote.REPOSITORY} yet. Your own profile may not make it; the role behind promoter may.", tried="aws ecr describe-repositories", got=", ".join(one["repositoryName"] for one in found) or "no repositories", wanted=promote.REPOSITORY, name="no-repository")  # fmt: skip
    return ours


@to_production.expects(
    "the platform's repository: tags stay what they are, pushes are scanned, KMS encrypts", points=0.5
)
def repository(trial: Trial) -> None:
    ours = _repository(trial)
    tried = f"aws ecr describe-repositories --repository-names {promote.REPOSITORY}"
    kind = ours.get("encryptionConfiguration", {}).get("encryptionType")
    if kind != "KMS":
        raise Miss("This repository is encrypted in another way than the platform team asks for. That can be chosen only when a repository is made: delete it (aws ecr delete-repository --force --repository-name data/loader, with what is in it), and make it again.", tried=tried, got=f"encryptionType: {kind}", wanted="encryptionType: KMS", name="other-encryption")  # fmt: skip
    if ours.get("imageTagMutability") != "IMMUTABLE":
        raise Miss("In this repository a tag can be moved, as 1.4 was in the team's: aws ecr put-image-tag-mutability.", tried=tried, got=f"imageTagMutability: {ours.get('imageTagMutability')}", wanted="imageTagMutability: IMMUTABLE", name="mutable-tags")  # fmt: skip
    if not ours.get("imageScanningConfiguration", {}).get("scanOnPush"):
        raise Miss("Pushes to this repository are not scanned: aws ecr put-image-scanning-configuration.", tried=tried, got="scanOnPush: false", wanted="scanOnPush: true", name="not-scanned")  # fmt: skip


def _images(trial: Trial) -> dict[str, list[str]]:
    """The images in the platform's repository: their tags, by digest. Only what is all there."""
    _repository(trial)
    found = _ecr(trial, "describe_images", repositoryName=promote.REPOSITORY).get("imageDetails", [])
    return {one["imageDigest"]: one.get("imageTags", []) for one in found}


@to_production.expects("in it is the digest that staging has tested, under its version", points=0.5)
def promoted(trial: Trial) -> None:
    there, known = _images(trial), promote.known(trial.seed)
    tested = known["tested"].digest
    tried = f"aws ecr describe-images --repository-name {promote.REPOSITORY}"
    got = "\n".join(f"{digest} {', '.join(tags)}" for digest, tags in there.items()) or "no images"
    if tested not in there:
        say, name = _instead(trial, there)
        raise Miss(say, tried=tried, got=got, wanted=tested, name=name)
    if promote.TAG not in there[tested]:
        raise Miss(f"The tested image is there, but not under its version. What has no tag is deleted after a week, and nobody finds it under another name: give it the tag {promote.TAG}.", tried=tried, got=got, wanted=f"{tested} {promote.TAG}", name="untagged")  # fmt: skip


def _instead(trial: Trial, there: dict[str, list[str]]) -> tuple[str, str]:
    """What to say to somebody who has promoted something else: (text, name)."""
    known = promote.known(trial.seed)
    about = {one.digest: name for name, one in known.items()}
    pushed_here = {about.get(digest, "other") for digest in there}
    if not there:
        return "The repository is empty: nothing was promoted yet.", "nothing-there"
    if "moved" in pushed_here:
        return "That is what the tag 1.4 names today, and not what staging has tested: somebody has pushed to it on Tuesday evening. A digest cannot be moved. Take it out again (aws ecr batch-delete-image --repository-name data/loader --image-ids imageTag=1.4), and bring the tested one.", "moved-tag"  # fmt: skip
    if "arm" in pushed_here:
        return "That is the same version for another kind of processor (arm64). The manifest is another one, so the digest is, too; staging has not run it, and production cannot.", "other-platform"  # fmt: skip
    if "other" in pushed_here:
        return "That digest was never in staging: something was built anew, or packed anew, on the way. The same files are not the same image. Copy the tested one as it is (with skopeo: --preserve-digests).", "rebuilt"  # fmt: skip
    return "That image is known, but it is not the one that staging has tested for three days: see ~/deploy/test-report.txt.", "not-tested"  # fmt: skip


@to_production.expects("production names it there, by its digest", points=1)
def deployed(trial: Trial) -> None:
    text = trial.read(PRODUCTION)
    named = list(_named(text))
    tried, wanted = f"read ~/{PRODUCTION}", f"image: {promote.ECR}@sha256:…"
    if len(named) != 1:
        raise Miss("In production there is one container, with one image.", tried=tried, got="\n".join(named) or "no image", wanted=wanted, name="not-one-image")  # fmt: skip
    try:
        image = references.parse(named[0])
    except references.NameProblem as error:
        raise Miss(f"The name of the image is none: {error}.", tried=tried, got=f"image: {named[0]}", wanted=wanted, name="no-image-name") from None  # fmt: skip
    if image.name != promote.ECR:
        raise Miss("Production pulls from the platform's account, and cannot reach another registry.", tried=tried, got=f"image: {named[0]}", wanted=wanted, name="other-registry")  # fmt: skip
    if not image.digest:
        raise Miss("That is a tag, and a tag is what somebody has named so last. With a digest you know what will run, whatever happens in the registry.", tried=tried, got=f"image: {named[0]}", wanted=wanted, name="by-tag")  # fmt: skip
    tested = promote.known(trial.seed)["tested"].digest
    if image.digest != tested:
        say, name = _instead(trial, {image.digest: []})
        raise Miss(say, tried=tried, got=f"image: …@{image.digest}", wanted=f"image: …@{tested}", name=name)
    if tested not in _images(trial):
        raise Miss("The digest is right, but there is no such image in that registry yet: tonight's job would wait for it for ever (ImagePullBackOff).", tried=f"docker pull {promote.ECR}@{tested[:19]}…", got="manifest unknown", wanted="the image", name="not-there-yet")  # fmt: skip


def _as_text(image: object) -> str:
    """What stands behind `image:`. With aliases, a list of a few lines can stand for millions of words: it is not written out."""
    return "(no name)" if isinstance(image, dict | list) else str(image)


def _named(text: str) -> Iterator[str]:
    """The images that the containers of a manifest have. Raises Miss where it is no manifest."""
    tried = f"read ~/{PRODUCTION}"
    if len(text) > YAML_CHARACTERS:
        raise Miss(f"~/{PRODUCTION} has become very long. opslab.reset(\"5.4\") brings the first one back.", tried=tried, got=f"{len(text):,} characters", wanted="one CronJob", name="no-manifest")  # fmt: skip
    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Miss(f"~/{PRODUCTION} is no YAML{f', see line {mark.line + 1}' if mark else ''}.", tried=tried, got=str(error).splitlines()[0][:160], wanted="the manifest, with another image", name="no-manifest") from None  # fmt: skip
    waiting, seen = list(reversed(found)), set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict | list) or id(one) in seen:
            continue
        seen.add(id(one))  # with aliases, a few lines can stand for millions
        if isinstance(one, dict):
            for key in CONTAINERS:
                if isinstance(one.get(key), list):
                    yield from (
                        _as_text(each["image"]) for each in one[key] if isinstance(each, dict) and "image" in each
                    )
        waiting += reversed(list(one.values()) if isinstance(one, dict) else one)
