"""The clients that people have at work: skopeo, oras, the aws CLI. They push, pull and copy between the team's registry and ECR."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import oras.client
import pytest
from patience import until
from test_registry_http import Client
from test_registry_store import CONFIG, LAYER, descriptor, digest, image

from opslab import jail
from opslab.scenarios.iam_roles.names import PRODUCTION, STAGING
from opslab.worlds.aws import clients
from opslab.worlds.aws.cloud import Cloud, Host
from opslab.worlds.aws.seeding import allow
from opslab.worlds.images.registry import client, manifests, tools
from opslab.worlds.images.registry.ecr import Ecr
from opslab.worlds.images.registry.server import Registry
from opslab.worlds.images.registry.store import Store
from opslab.worlds.images.registry.team import Team, User

SCENARIO = "opslab.scenarios.iam_roles.cloud"
BIN = Path(sys.executable).parent
SKOPEO = shutil.which("skopeo")
USERS = {"ana": User("ana's password", {"*": "pull push"}), "ben": User("ben's password", {"*": "pull"})}

# In CI it has to be there: .ci/run installs it.
with_skopeo = pytest.mark.skipif(
    not SKOPEO and not os.environ.get("CI"), reason="needs skopeo (Debian: apt-get install skopeo)"
)
pytestmark = pytest.mark.slow


def layout(folder: Path, *layers: bytes) -> str:
    """Make an OCI layout with one image; returns the digest."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
    ).encode()
    content = image(*layers, config=config).replace(LAYER.encode(), LAYER.removesuffix("+gzip").encode())
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    for blob in (content, config, *layers):
        (blobs / digest(blob)[7:]).write_bytes(blob)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = descriptor(content, manifests.OCI_MANIFEST)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return digest(content)


class Desk:
    """Somebody's home, with the tools; the team's registry, and those of two accounts."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.home = folder / "home"
        self.folder, self.host = folder, host
        self.home.mkdir()
        self.cloud = self.start()
        for account, immutable in ((STAGING, "MUTABLE"), (PRODUCTION, "IMMUTABLE")):
            ecr = self.cloud.user(account, "administrator").client("ecr")
            ecr.create_repository(repositoryName="clicks/loader", imageTagMutability=immutable)
        iam = self.cloud.user(STAGING, "administrator").client("iam")
        iam.create_user(UserName="puller")
        key = iam.create_access_key(UserName="puller")["AccessKey"]
        iam.put_user_policy(
            UserName="puller",
            PolicyName="pull",
            PolicyDocument=json.dumps(
                allow(["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])
            ),
        )
        keys = {"puller": (key["AccessKeyId"], key["SecretAccessKey"])}
        for profile, account in (("staging", STAGING), ("production", PRODUCTION)):
            actor = self.cloud.user(account, "administrator")
            keys[profile] = (actor.key, actor.secret)
        lines = [
            f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            for name, (key, secret) in keys.items()
        ]
        (self.home / ".aws").mkdir()
        (self.home / ".aws/credentials").write_text("".join(lines))
        self.team = Registry(Team(folder / "team", USERS, immutable=["fixed/*"]), socket=folder / "sockets-team/socket")
        self.ecr = {
            name: Registry(Ecr(folder / "ecr", self.ask, account), socket=folder / f"sockets-{name}/socket")
            for name, account in (("staging", STAGING), ("production", PRODUCTION))
        }
        for registry in self.registries:
            registry._socket.parent.mkdir()
            registry.open()

    @property
    def registries(self) -> list[Registry]:
        return [self.team, *self.ecr.values()]

    def start(self) -> Cloud:
        return self.host.open(
            SCENARIO, seed=1, journal=self.folder / ".cloud/journal.jsonl", record=True, registries=self.folder / "ecr"
        )

    def ask(self, op: str, **arguments: object) -> object:
        return self.cloud.ask(op, **arguments)

    def close(self) -> None:
        for registry in self.registries:
            registry.close()
        self.cloud.close()

    @property
    def env(self) -> dict[str, str]:
        base = {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin"}
        told = tools.prepare(self.home, [one.address for one in self.registries])
        return {**clients.environment(self.cloud.endpoint, self.home, base), **told}

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command line; returns what it printed. fails: it must."""
        words = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(words, check=False, env=self.env, capture_output=True, text=True, timeout=100)
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout.strip()

    def log_in(self, registry: Registry, profile: str) -> None:
        self.run(f"aws ecr get-login-password --profile {profile} | {self.login(registry, 'AWS')}")

    def login(self, registry: Registry, user: str) -> str:
        return f"skopeo login -u {user} --password-stdin {registry.address}"


# Without --preserve-digests, skopeo may send a layer that is compressed in another way, if it remembers one.
COPY = "skopeo copy -q --preserve-digests"
INSPECT = "skopeo inspect --format '{{.Digest}}'"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Host() as host:
        desk = Desk(tmp_path_factory.mktemp("desk"), host)
        yield desk
        desk.close()


@with_skopeo
def test_skopeo_from_the_team_to_staging_to_production(desk: Desk, tmp_path: Path) -> None:
    """Push once, then copy by digest: what production runs is what was tested."""
    known = layout(tmp_path / "image", b"libraries" * 1000, b"application")
    desk.run(f'{desk.login(desk.team, "ana")} <<<"ana\'s password"')
    places = [f"docker://{one.address}/clicks/loader" for one in desk.registries]
    desk.run(f"{COPY} oci:{tmp_path}/image {places[0]}:1.0")
    for name in ("staging", "production"):
        desk.log_in(desk.ecr[name], name)
    for source, target in itertools.pairwise(places):
        desk.run(f"{COPY} {source}@{known} {target}:1.0")
        desk.run(f"{COPY} {source}@{known} {target}:1.0")  # once more: nothing to do, and nobody complains
        assert desk.run(f"{INSPECT} {target}:1.0") == known
    described = "ecr describe-images --repository-name clicks/loader --query imageDetails[].imageDigest --output text"
    for profile in ("staging", "production"):
        assert desk.run(f"aws {described} --profile {profile}") == known
    desk.run(f"{COPY} {places[2]}@{known} oci:{tmp_path}/pulled:x")
    pulled = tmp_path / "pulled/blobs/sha256"
    assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "image/blobs/sha256").iterdir()
    }
    assert desk.run(f"{INSPECT} oci:{desk.folder}/team:clicks/loader:1.0") == known  # the folder itself is a layout


@with_skopeo
def test_skopeo_is_refused_in_words(desk: Desk, tmp_path: Path) -> None:
    first, second = layout(tmp_path / "first", b"first"), layout(tmp_path / "second", b"second")
    team, production = desk.team.address, desk.ecr["production"].address
    assert first != second
    desk.run(f'skopeo logout {team}; {desk.login(desk.team, "ben")} <<<"ben\'s password"')
    refused = desk.run(f"{COPY} oci:{tmp_path}/first docker://{team}/fixed/app:1", fails=True)
    assert (
        "denied: ben may not push in fixed/app; what ben may do there: nothing" in refused or "ben may not" in refused
    )
    assert "invalid username/password" in desk.run(f"{desk.login(desk.team, 'ben')} <<<wrong", fails=True)
    desk.run(f"skopeo logout {team}")
    assert "Please log in" in desk.run(f"{INSPECT} docker://{team}/fixed/app:1", fails=True)
    desk.run(f'{desk.login(desk.team, "ana")} <<<"ana\'s password"')
    desk.log_in(desk.ecr["production"], "production")
    for place in (f"{team}/fixed/app:1", f"{production}/clicks/loader:stays"):
        desk.run(f"{COPY} oci:{tmp_path}/first docker://{place}")
        refused = desk.run(f"{COPY} oci:{tmp_path}/second docker://{place}", fails=True)
        assert "tag invalid: The image tag" in refused and "cannot be overwritten because the repository is" in refused
        assert desk.run(f"{INSPECT} docker://{place}") == first
    nowhere = desk.run(f"{COPY} oci:{tmp_path}/first docker://{production}/clicks/nothing:1", fails=True)
    assert f"name unknown: The repository with name 'clicks/nothing' does not exist in the registry with id '{PRODUCTION}'" in nowhere  # fmt: skip


@with_skopeo
def test_skopeo_and_what_iam_says(desk: Desk, tmp_path: Path) -> None:
    layout(tmp_path / "image", b"for staging")
    staging = desk.ecr["staging"]
    place = f"docker://{staging.address}/clicks/loader:iam"
    desk.log_in(staging, "staging")
    desk.run(f"{COPY} oci:{tmp_path}/image {place}")
    desk.log_in(staging, "puller")
    desk.run(f"{COPY} {place} oci:{tmp_path}/pulled:x")
    layout(tmp_path / "other", b"something else")
    refused = desk.run(f"{COPY} oci:{tmp_path}/other {place}", fails=True)
    assert "403 (Forbidden)" in refused  # skopeo asks with HEAD, whose answers have no words; the explanation has them
    assert "ecr:BatchCheckLayerAvailability" in desk.cloud.ask("why")["text"]
    # To another account's registry, which has nothing for her: all that she gets is the sentence.
    production = desk.ecr["production"]
    desk.log_in(production, "puller")
    refused = desk.run(f"{INSPECT} docker://{production.address}/clicks/loader:1.0", fails=True)
    assert "is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:" in refused
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in refused


@with_skopeo
def test_a_push_that_is_killed_can_be_done_again(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = layout(tmp_path / "image", os.urandom(40 * 2**20))
    desk.run(f'{desk.login(desk.team, "ana")} <<<"ana\'s password"')
    place, store = f"{desk.team.address}/big/image:1", desk.team.door.store
    uploads = store.folder / "uploads/big+image"
    command = [*COPY.split(), f"oci:{tmp_path}/image", f"docker://{place}"]
    begun, killed, write = threading.Event(), threading.Event(), store.write

    def held_up(name: str, upload: str, pieces: Iterable[bytes], at: int | None = None) -> int:
        """Takes no more after the first piece, so that the push cannot be quicker than we."""

        def until_killed() -> Iterator[bytes]:
            for piece in pieces:
                yield piece
                begun.set()
                killed.wait(60)

        return write(name, upload, until_killed(), at)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", held_up)
        process = subprocess.Popen(command, env=desk.env, stderr=subprocess.DEVNULL)
        assert begun.wait(60)
        process.kill()
        process.wait()
        killed.set()
    assert any(path.stat().st_size for path in uploads.iterdir())
    assert "big/image" not in store.repositories()
    desk.run(" ".join(command))
    assert desk.run(f"{INSPECT} docker://{place}") == known
    # The thread that the killed one had keeps its upload until it has seen that nothing more comes.
    assert until(lambda: store.collect(grace=0) and not uploads.exists())
    assert store.problems() == [] and store.manifest("big/image", "1").digest == known


@with_skopeo
def test_images_are_there_again_after_a_restart(desk: Desk, tmp_path: Path) -> None:
    known = layout(tmp_path / "image", b"still there")
    place = f"docker://{desk.ecr['staging'].address}/clicks/loader:restart"
    desk.log_in(desk.ecr["staging"], "staging")
    desk.run(f"{COPY} oci:{tmp_path}/image {place}")
    desk.cloud.close()
    meanwhile = desk.run(f"{INSPECT} {place}", fails=True)
    desk.cloud = desk.start()
    assert "503" in meanwhile and "Service Unavailable" in meanwhile
    assert desk.cloud.remarks == ()
    assert desk.run(f"{INSPECT} {place}") == known  # with the password of before
    desk.run(f"{COPY} {place} oci:{tmp_path}/pulled:x")


def test_oras_pushes_and_pulls_from_both(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("report.txt").write_text("numbers")
    password = desk.run("aws ecr get-login-password --profile staging")
    for registry, kind, user, secret in (
        (desk.team, "token", "ana", USERS["ana"].password),
        (desk.ecr["staging"], "basic", "AWS", password),
    ):
        remote = oras.client.OrasClient(hostname=registry.address, insecure=True, auth_backend=kind)
        remote.login(
            hostname=registry.address,
            username=user,
            password=secret,
            tls_verify=False,
            config_path=str(tmp_path / f"{kind}.json"),
        )
        target = f"{registry.address}/clicks/loader:report"
        assert remote.push(target=target, files=["report.txt"]).status_code == 201
        (pulled,) = remote.pull(target=target, outdir=str(tmp_path / kind))
        assert Path(pulled).read_text() == "numbers"
        assert "report" in remote.get_tags(target)


@with_skopeo
def test_our_own_client_and_skopeo_share_logins_and_images(desk: Desk, tmp_path: Path) -> None:
    known = layout(tmp_path / "image", b"by our own client")
    staging, logins = desk.ecr["staging"], client.Logins(desk.env["REGISTRY_AUTH_FILE"])
    desk.log_in(staging, "staging")
    place = f"{staging.address}/clicks/loader:ours"
    assert client.push(tmp_path / "image", place, logins) == known
    assert desk.run(f"{INSPECT} docker://{place}") == known
    logins.add(desk.team.address, "ana", USERS["ana"].password)
    assert client.copy(place, f"{desk.team.address}/clicks/loader:ours", logins) == known
    assert desk.run(f"{INSPECT} docker://{desk.team.address}/clicks/loader:ours") == known


@with_skopeo
@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap exists on Linux only")
def test_in_the_jail(desk: Desk, tmp_path: Path) -> None:
    """As a learner's own script is run: nothing but the world's ports."""
    home = tmp_path / "home"
    shutil.copytree(desk.home, home)
    known = layout(home / "image", b"from the jail")
    staging = desk.ecr["staging"]
    script = (
        f"aws ecr get-login-password --profile staging | {desk.login(staging, 'AWS')} && "
        f"{COPY} oci:image docker://{staging.address}/clicks/loader:jail && "
        f"{INSPECT} docker://{staging.address}/clicks/loader:jail"
    )
    env = {name: value.replace(str(desk.home), str(home)) for name, value in desk.env.items()}
    done = jail.run(
        ["bash", "-c", script],
        home=home,
        env=env,
        services={**desk.cloud.services, **staging.services},
        limits=jail.Limits(seconds=60),
    )
    assert done.out.strip().endswith(known), done.err


def test_seeding_a_registry_from_a_layout(tmp_path: Path) -> None:
    known = layout(tmp_path / "image", b"base")
    Store(tmp_path / "registry").add_layout("base/python", tmp_path / "image", tag="3.11")
    with Registry(Team(tmp_path / "registry", USERS, public=["base/*"])) as registry:
        reply = Client(registry)("GET", "/v2/base/python/manifests/3.11")
    assert reply.headers["Docker-Content-Digest"] == known and CONFIG in reply.body.decode()
