"""Finding terraform and its provider, fetching the provider once, and running it in the jail."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from test_atlantis_desk import stand_in

from opslab import jail
from opslab.worlds import terraform, workspace
from opslab.worlds.terraform import TerraformMissing, accounts, tools
from opslab.worlds.terraform.run import Folder, Room

PROVIDER = "registry.terraform.io/hashicorp/aws"
VERSION = '#!/bin/sh\necho \'{"terraform_version": "1.9.9"}\'\n'


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def mirror(folder: Path, version: str, registry: str = PROVIDER) -> Path:
    program(folder / registry / version / tools.target() / "terraform-provider-aws_x5")
    return folder


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is found but what lies in this folder."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "usr"))
    monkeypatch.setenv("OPSLAB_STATE", str(tmp_path / "state"))
    places = tools.places
    monkeypatch.setattr(tools, "places", lambda: (one for one in places() if tmp_path in one.parents))
    return tmp_path


def test_where_the_provider_is_looked_for(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(program(only / "bin/terraform", VERSION).parent)
    with pytest.raises(TerraformMissing, match="not its AWS provider") as caught:
        terraform.find(path)
    assert "OPSLAB_TF_MIRROR" in str(caught.value) and "170 MB" in str(caught.value)
    mirror(only / "state/terraform-providers", "5.1.0")
    assert terraform.find(path).provider == "5.1.0"
    mirror(only / "usr/terraform/plugins", "5.2.0")
    assert terraform.find(path).provider == "5.2.0"
    mirror(only / "home/.terraform.d/plugins", "5.9.0")
    mirror(only / "home/.terraform.d/plugins", "5.10.0")
    assert terraform.find(path).provider == "5.10.0", "the newest, by number"
    monkeypatch.setenv(tools.MIRROR, str(mirror(only / "named", "5.0.1")))
    found = terraform.find(path)
    assert found.text == f"terraform 1.9.9 with the AWS provider 5.0.1 from {only}/named"
    assert f'path    = "{only}/named"' in found.settings() and "direct" not in found.settings()
    assert found.lock_file("~> 5.0") == (
        f'provider "{PROVIDER}" {{\n  version     = "5.0.1"\n  constraints = "~> 5.0"\n}}\n'
    )


def test_opentofu_takes_its_own_registry(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(program(only / "bin/tofu", VERSION).parent)
    monkeypatch.setenv(tools.MIRROR, str(mirror(only / "named", "5.0.1")))
    assert tools.missing(path)
    mirror(only / "named", "5.0.2", "registry.opentofu.org/hashicorp/aws")
    assert terraform.find(path).text.startswith("opentofu 1.9.9 with the AWS provider 5.0.2")


def test_without_terraform(only: Path) -> None:
    (only / "empty").mkdir()
    assert "neither terraform nor opentofu" in tools.missing(str(only / "empty"))


def test_another_kind_of_machine(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(program(only / "bin/terraform", VERSION).parent)
    mirror(only / "home/.terraform.d/plugins", "5.10.0")
    monkeypatch.setattr(tools.platform, "machine", lambda: "riscv64")
    assert "riscv64" in tools.missing(path)


FETCHES = """#!/bin/sh
if [ "$1" = version ]; then echo '{"terraform_version": "1.9.9"}'; exit; fi
if grep -q broken "$HOME/../../why" 2>/dev/null; then echo "Error: no such host" >&2; exit 1; fi
for folder; do :; done
mkdir -p "$folder/registry.terraform.io/hashicorp/aws"
cp "PACKED" "$folder/registry.terraform.io/hashicorp/aws/terraform-provider-aws_5.100.0_TARGET.zip"
"""


def test_the_provider_is_fetched_once(only: Path) -> None:
    import zipfile

    with zipfile.ZipFile(only / "packed.zip", "w") as archive:
        archive.writestr("terraform-provider-aws_v5.100.0_x5", "#!/bin/sh\n")
    text = FETCHES.replace("PACKED", str(only / "packed.zip")).replace("TARGET", tools.target())
    path = f"{program(only / 'bin/terraform', text).parent}"
    (only / "state").mkdir()
    (only / "state/why").write_text("broken")
    with pytest.raises(TerraformMissing, match="could not be fetched: Error: no such host"):
        terraform.fetch(print, path)
    (only / "state/why").unlink()
    said: list[str] = []
    assert terraform.fetch(said.append, path).provider == "5.100.0" and "170 MB" in said[0]
    again: list[str] = []
    assert terraform.fetch(again.append, path).provider == "5.100.0" and again == []
    assert [one.name for one in tools.cache().iterdir()] == ["registry.terraform.io"], "nothing else is left"


# ---- running ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    room = Room(tmp_path / "room", stand_in(tmp_path / "tools"), ("AKIAFORTESTS", "the-secret"))
    (room.path / "code").mkdir()
    (room.path / "code/main.tf").write_text("# code\n")
    return room.folder("code")


def shell(folder: Folder, script: str, **limits) -> str:
    """What a terraform that is this shell script prints."""
    folder.room.tools = type(folder.room.tools)(
        str(program(folder.room.tools.mirror / "sh/terraform", f"#!/bin/bash\n{script}\n")),
        "1.11.4",
        "registry.terraform.io",
        folder.room.tools.mirror,
        "5.100.0",
    )
    if limits:
        folder.room.limits = jail.Limits(**limits)
    return folder.run("plan").text


def test_no_lock_file_is_written_where_a_link_leads(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (folder.room.path / "linked").symlink_to(tmp_path / "outside")
    done = folder.room.folder("linked").init()
    assert not done.good and "linked is no ordinary folder" in done.text
    assert not list((tmp_path / "outside").iterdir())


def test_what_a_run_sees(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("TF_LOG", "trace")
    seen = dict(line.split("=", 1) for line in shell(folder, "env").splitlines() if "=" in line)
    assert not {"AWS_PROFILE", "TF_LOG"} & set(seen)
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"]) == ("AKIAFORTESTS", "the-secret")
    assert (seen["TF_IN_AUTOMATION"], seen["CHECKPOINT_DISABLE"], seen["GOGC"]) == ("1", "1", "off")
    assert seen["TF_DATA_DIR"].endswith("/.data") and seen["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert "filesystem_mirror" in shell(folder, 'cat "$TF_CLI_CONFIG_FILE"')
    assert "Read-only" in shell(folder, 'echo >> "$TF_CLI_CONFIG_FILE"')


@pytest.mark.skipif(not jail.bubblewrap(), reason="needs bubblewrap")
def test_a_run_is_confined(folder: Folder, root: Path) -> None:
    assert shell(folder, "pwd") == "/tmp/room/code\n", "no path of this machine"
    assert shell(folder, f"ls {root}/opslab/checks {root}/tests 2>&1 | grep -c 'No such'") == "2\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=lambda: server.accept(), daemon=True).start()
        said = shell(folder, f"(echo > /dev/tcp/127.0.0.1/{port}) 2>&1 && echo reached")
        socket.create_connection(("127.0.0.1", port)).close()
    assert "reached" not in said and "refused" in said


def test_progress_is_told_and_output_survives(folder: Folder) -> None:
    said: list[str] = []
    folder.tell = said.append
    assert folder.init().good and folder.plan(out="../plan.tfplan").good
    assert said[0] == "terraform init -input=false -no-color -lockfile=readonly"
    assert "Terraform has been successfully initialized!" in said
    assert "Plan: 1 to add" in (folder.room.path / ".log").read_text()
    assert (folder.room.path / "plan.tfplan").is_file()
    assert folder.show() == {"resource_changes": []}
    with pytest.raises(ValueError, match="gave no JSON: Error: there is no validate"):
        folder.validate()


def test_the_lean_lock_file_is_put_only_where_none_is(folder: Folder) -> None:
    folder.init()
    lock = folder.room.path / "code/.terraform.lock.hcl"
    assert 'version     = "5.100.0"' in lock.read_text()
    lock.write_text("mine")
    folder.init()
    assert lock.read_text() == "mine"


def test_silence_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opslab.worlds.terraform.run.ALIVE", 0.1)
    said: list[str] = []
    folder.tell = said.append
    shell(folder, "sleep 1")
    assert any(line.startswith("… still running, ") for line in said)


def test_a_watcher_that_fails_stops_nothing(folder: Folder) -> None:
    def tell(line: str) -> None:
        if line != "terraform plan":
            raise RuntimeError("no more")

    folder.tell = tell
    assert shell(folder, "echo one; echo two") == "one\ntwo\n"


def test_too_long_and_too_much(folder: Folder) -> None:
    assert "terraform plan was ended: it was still running after 1 seconds" in shell(
        folder, "echo begun; sleep 30", seconds=1
    )
    folder.room.limits = terraform.run.LIMITS
    text = shell(folder, "head -c 3000000 /dev/zero | tr '\\0' x")
    assert len(text) < 1_100_000 and "characters are left out" in text


@pytest.mark.skipif(not jail.bubblewrap(), reason="needs bubblewrap")
def test_a_link_in_the_place_of_the_log_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not read me")
    text = shell(folder, f"rm ../.log; ln -s {secret} ../.log; echo hidden")
    assert "do not read me" not in text
    assert shell(folder, "echo fine") == "fine\n" and secret.read_text() == "do not read me"


def test_terraform_on_a_desk(tmp_path: Path) -> None:
    tools = stand_in(tmp_path / "tools")
    home = tmp_path / "home"
    home.mkdir()
    assert "TF_CLI_CONFIG_FILE" not in workspace.environment(home)
    for _ in range(2):  # also where it has been put before
        terraform.on_desk(home, tools)
    env = workspace.environment(home)
    assert env["TF_CLI_CONFIG_FILE"] == f"{home}/.terraformrc" and env["TF_CLI_ARGS_init"] == "-lockfile=readonly"
    assert str(tmp_path / "tools") in (home / ".terraformrc").read_text()
    assert os.readlink(home / "tools" / "terraform") == tools.binary
    assert env["AWS_ENDPOINT_URL_STS"] == env["AWS_ENDPOINT_URL"]


# ---- accounts --------------------------------------------------------------------------------------------------------


def test_code_for_an_account() -> None:
    text = accounts.backend("a.tfstate") + accounts.provider("111111111111", more="  # more\n")
    assert 'key          = "a.tfstate"' in text and "use_lockfile = true" in text
    assert 'role_arn = "arn:aws:iam::111111111111:role/deployer"' in text and text.endswith("  # more\n}\n")
    assert json.loads(json.dumps(accounts.role_arn("1" * 12, "x"))) == "arn:aws:iam::111111111111:role/x"


@pytest.mark.skipif(bool(tools.missing()), reason=tools.missing())
def test_the_code_is_formatted(tmp_path: Path) -> None:
    """What scenarios are made of is what `terraform fmt` would make of it; this also runs the real binary in the jail."""
    room = Room(tmp_path / "room", terraform.find())
    (room.path / "main.tf").write_text(accounts.backend("a.tfstate") + accounts.provider("111111111111"))
    done = room.folder().run("fmt", "-check", "-diff")
    assert done.good, done.text
    assert os.access(terraform.find().binary, os.X_OK)
