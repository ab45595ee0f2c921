"""Registries by names that look like at work: docker, skopeo and aws, from the jail; and jobs of the forge that build images."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from engine_world import cache, linux, small
from test_forge_desk import make_desk

from opslab import jail
from opslab.scenarios.iam_roles.names import STAGING
from opslab.worlds import packages, workspace
from opslab.worlds.aws.cloud import Cloud, Host
from opslab.worlds.images import base
from opslab.worlds.images.engine import Engine
from opslab.worlds.images.registry import tools
from opslab.worlds.images.registry.ecr import Ecr
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.team import Team, User
from opslab.worlds.images.store import Store

__all__ = ["cache"]

TEAM, ECR = "registry.targ.example", f"{STAGING}.dkr.ecr.eu-west-1.amazonaws.com"
USERS = {"you": User("a password", {"*": "pull push"})}

# In CI it has to be there: .ci/run installs it.
with_skopeo = pytest.mark.skipif(
    not shutil.which("skopeo") and not os.environ.get("CI"), reason="needs skopeo (Debian: apt-get install skopeo)"
)
pytestmark = pytest.mark.slow


class Desk:
    """A home with the team's registry and that of an account. In the jail they have other ports than on this machine."""

    def __init__(self, folder: Path, cloud: Cloud, registries: Mapping[str, Registry], engine: Engine) -> None:
        self.home, self.engine, self.cloud = folder / "home", engine, cloud
        self.home.mkdir()
        actor = cloud.user(STAGING, "administrator")
        (self.home / ".aws").mkdir()
        keys = f"[default]\naws_access_key_id = {actor.key}\naws_secret_access_key = {actor.secret}\n"
        (self.home / ".aws/credentials").write_text(keys)
        ports = itertools.count(29_000)
        self.services = {next(ports): registry._socket for registry in registries.values()}
        self.services |= {29_500: engine.socket, **cloud.services}
        told = tools.prepare(self.home, dict(zip(registries, map("127.0.0.1:{}".format, self.services), strict=False)))
        extra = {**told, "DOCKER_HOST": "tcp://127.0.0.1:29500", "AWS_ENDPOINT_URL": cloud.endpoint}
        self.env = workspace.environment(self.home, extra)

    def run(self, line: str, code: int = 0) -> str:
        """Run a line of bash in the jail."""
        how = {"read_only": workspace.tool_folders(), "hide": workspace.secret_folders(), "services": self.services}
        words = ["bash", "-o", "pipefail", "-c", line]
        done = jail.run(words, home=self.home, env=self.env, limits=jail.Limits(seconds=100, processes=400), **how)
        assert done.code == code and "Traceback" not in done.err, f"{line} {done.code}\n{done.out}{done.err}"
        return done.err if code else done.out.strip()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with Host() as host:
        cloud = host.open("opslab.scenarios.iam_roles.cloud", seed=1, registries=folder / "ecr")
        cloud.user(STAGING, "administrator").client("ecr").create_repository(repositoryName="clicks/loader")
        for name in "ab":
            (folder / name).mkdir()
        with (
            Registry(Team(folder / "team", USERS), socket=folder / "a/socket") as team,
            Registry(Ecr(folder / "ecr", cloud.ask, STAGING, aws_name=True), socket=folder / "b/socket") as ecr,
            Engine(Store(folder / "store", folder / "cache"), hosts={TEAM: team.address, ECR: ecr.address}) as engine,
        ):
            yield Desk(folder, cloud, {TEAM: team, ECR: ecr}, engine)
        cloud.close()


def test_docker_with_a_login_of_aws(desk: Desk) -> None:
    digest = small(desk.engine.commands.store, f"{ECR}/clicks/loader:1.0")
    uri = desk.run("aws ecr describe-repositories --query repositories[0].repositoryUri --output text")
    assert uri == f"{ECR}/clicks/loader"
    asked = "aws ecr get-authorization-token --query authorizationData[0].proxyEndpoint --output text"
    assert desk.run(asked) == f"https://{ECR}"
    told = "aws ecr get-login-password | docker login -u AWS --password-stdin"
    assert f"Log in first. {told} {ECR}" in desk.run(f"docker push {uri}:1.0", code=1)
    assert "Login Succeeded" in desk.run(f"aws ecr get-login-password | docker login -u AWS --password-stdin {ECR}")
    assert f"digest: {digest}" in desk.run(f"docker push {uri}:1.0")
    described = (
        "aws ecr describe-images --repository-name clicks/loader --query imageDetails[].imageDigest --output text"
    )
    assert desk.run(described) == digest
    why = desk.run(f"docker tag {uri}:1.0 {ECR}/nowhere:1 && docker push {ECR}/nowhere:1", code=1)
    assert "name unknown: The repository with name 'nowhere' does not exist" in why and "127.0.0.1" not in why


@with_skopeo
def test_skopeo_knows_the_names(desk: Desk) -> None:
    """It shares its logins with docker, and copies by name from the team's registry to the account's."""
    digest = small(desk.engine.commands.store, f"{TEAM}/clicks/loader:2.0", a="two")
    desk.run(f"echo 'a password' | docker login -u you --password-stdin {TEAM}; docker push {TEAM}/clicks/loader:2.0")
    desk.run(f"aws ecr get-login-password | skopeo login -u AWS --password-stdin {ECR}")
    assert sorted(json.loads((desk.home / tools.LOGINS).read_text())["auths"]) == sorted([ECR, TEAM])
    source, target = f"docker://{TEAM}/clicks/loader@{digest}", f"docker://{ECR}/clicks/loader:2.0"
    desk.run(f"skopeo copy -q --preserve-digests {source} {target}")
    assert desk.run(f"skopeo inspect --format '{{{{.Digest}}}}' {target}") == digest
    assert json.loads(desk.run(f"skopeo list-tags docker://{TEAM}/clicks/loader"))["Tags"] == ["2.0"]
    desk.run(f"skopeo copy -q {source} oci:pulled:x")
    assert (desk.home / "pulled/blobs/sha256" / digest[7:]).exists()
    assert "invalid username/password" in desk.run(f"skopeo login -u you -p wrong {TEAM}", code=1)
    assert "Forbidden" in desk.run("skopeo inspect docker://docker.io/library/python:3-slim", code=1)
    desk.run(f"skopeo logout {TEAM}")
    assert "docker login" in desk.run(
        f"docker rmi {TEAM}/clicks/loader:2.0; docker pull {TEAM}/clicks/loader:2.0", code=1
    )


PIPELINE = """
stages: [build, scan]
build:
  stage: build
  script:
    - pip install -r requirements.txt
    - python -c 'import pykontor; print("driver", pykontor.__version__)'
    - docker build -q -t loader:$CI_COMMIT_SHORT_SHA .
    - docker run --rm loader:$CI_COMMIT_SHORT_SHA
scan:
  stage: scan
  script: scan loader:$CI_COMMIT_SHORT_SHA
"""
FILES = {
    ".gitlab-ci.yml": PIPELINE,
    "requirements.txt": "pykontor==2.8.6\n",
    "Dockerfile": "FROM python:3-slim\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCMD echo in the container\n",
}


@linux
def test_jobs_of_the_forge_build_and_scan(tmp_path: Path, cache: Path) -> None:
    """What a desk gives to `react`: services, and what each job needs in its folder and environment."""
    store = Store(tmp_path / "store", cache)
    base.install(store, "python:3-slim")
    with (
        packages.Server(packages.Index(seed=1, day=packages.WEDNESDAY)) as index,
        Engine(store, services=index.services, env=packages.settings(index.url), osv_url=index.osv_url) as engine,
    ):

        def equip(folder: Path, seen: str, env: Mapping[str, str]) -> Mapping[str, str]:
            packages.make_venv(folder / "venv")
            more = {
                **packages.settings(index.url),
                **engine.env,
                "SCAN_DAY": "2026-11-18",
                "DOCKER_CONFIG": f"{seen}/.docker",
            }
            return packages.activated({**env, **more}, f"{seen}/venv")

        repository = make_desk(tmp_path, files=FILES).repository
        repository.commit("main", {"README.md": "x"}, "Start", by="forge")
        repository.react(services={**index.services, **engine.services}, equip=equip)
    record = repository.pipelines()[-1]
    logs = [(repository.store.folder / "pipelines" / job["log"]).read_text() for job in record["jobs"]]
    assert [job["state"] for job in record["jobs"]] == ["success", "failed"], logs
    assert "driver 2.8.6" in logs[0] and "in the container" in logs[0]
    assert "TSA-2026-0003" in logs[1] and "HELD BACK on 2026-11-18" in logs[1]
