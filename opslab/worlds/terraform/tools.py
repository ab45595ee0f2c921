"""Which terraform there is on this machine, and where its AWS provider is.

    >>> find().text                                                                 # doctest: +SKIP
    'terraform 1.11.4 with the AWS provider 5.100.0 from /usr/share/terraform/plugins'

The provider is a program of 700 MB, so nothing here copies or downloads it while somebody waits. It is looked for where
terraform itself looks (https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories),
in add-on folders below /opt, in the folder that OPSLAB_TF_MIRROR names, and in the cache of the course, which `fetch` fills.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opslab import course

PATH = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"
MIRROR = "OPSLAB_TF_MIRROR"
NAMES = {"terraform": "registry.terraform.io", "tofu": "registry.opentofu.org"}
"""Commands, the first one first, and the registry that each takes `hashicorp/aws` from."""

PROVIDER = "hashicorp/aws"
CONSTRAINT = "~> 5.100"
"""Which provider `fetch` gets: the one whose behaviour against the organisation was measured."""

FETCH_SECONDS = 1800
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class TerraformMissing(RuntimeError):
    """There is no terraform or no AWS provider here. The text says what is missing and how to get it."""


@dataclass(frozen=True)
class Tools:
    """A terraform that can be used. binary: its path. registry: the host its providers are named after. mirror: the folder
    with the provider, laid out as a file-system mirror. provider: the version of it."""

    binary: str
    version: str
    registry: str
    mirror: Path
    provider: str

    @property
    def product(self) -> str:
        return Path(self.binary).name.replace("tofu", "opentofu")

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.product} {self.version} with the AWS provider {self.provider} from {self.mirror}"

    def settings(self) -> str:
        """The CLI configuration: providers come from the mirror, and from nowhere else."""
        path = str(self.mirror).replace("\\", "\\\\").replace('"', '\\"')
        return (
            f'provider_installation {{\n  filesystem_mirror {{\n    path    = "{path}"\n    include = ["*/*/*"]\n  }}\n}}\n'
            "disable_checkpoint = true\n"
        )

    def lock_file(self, constraint: str = "") -> str:
        """A `.terraform.lock.hcl` that names the provider and no hashes: without them, init and every plan need not read
        700 MB to compare. A lock file at work has hashes, and should."""
        held = f'  constraints = "{constraint}"\n' if constraint else ""
        return f'provider "{self.registry}/{PROVIDER}" {{\n  version     = "{self.provider}"\n{held}}}\n'


def find(path: str = "") -> Tools:
    """The terraform of this machine. path: folders to look for it in, as in PATH (default: PATH, then the usual ones).

    Raises TerraformMissing with a sentence that says how to get what is missing.
    """
    binary = _binary(path)
    registry = NAMES[Path(binary).name]
    for folder in places():
        if version := _unpacked(folder, registry):
            return Tools(binary, _version(binary), registry, folder, version)
    raise TerraformMissing(
        f"There is {binary}, but not its AWS provider for {target()}. With a network, `python -m opslab.worlds.terraform` gets it "
        f"once (about 170 MB). Without one, let {MIRROR} name a folder that has {registry}/{PROVIDER}/VERSION/{target()} in it."
    )


def missing(path: str = "") -> str:
    """What is missing, in a sentence; empty where nothing is."""
    try:
        find(path)
    except TerraformMissing as error:
        return str(error)
    return ""


def _binary(path: str) -> str:
    for name in NAMES:
        if found := shutil.which(name, path=path or f"{os.environ.get('PATH', '')}:{PATH}"):
            return found
    raise TerraformMissing(
        "There is neither terraform nor opentofu (tofu) on this machine. The conda way in (environment.yml) brings one; "
        "else see https://opentofu.org/docs/intro/install/."
    )


def target() -> str:
    """This kind of machine, as providers name it: linux_amd64."""
    return f"{platform.system().lower()}_{MACHINES.get(platform.machine().lower(), platform.machine().lower())}"


def cache() -> Path:
    """The folder of the provider that `fetch` got: one for all worlds of this course."""
    return course.state(Path.cwd()) / "terraform-providers"


def places() -> Iterator[Path]:
    """The folders that may be a mirror, the first one first."""
    if os.environ.get(MIRROR):
        yield Path(os.environ[MIRROR]).expanduser()
    home = Path.home()
    data = [os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")]
    data += (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    yield home / ".terraform.d/plugins"
    yield from (Path(folder) / "terraform/plugins" for folder in data if folder)
    yield home / "Library/Application Support/io.terraform/plugins"
    yield Path("/Library/Application Support/io.terraform/plugins")
    yield from sorted(Path("/opt").glob("*/"))
    yield cache()


def _unpacked(mirror: Path, registry: str) -> str:
    """The newest version of the AWS provider that lies unpacked in a mirror; empty where there is none."""
    found = [
        folder.parent.name
        for folder in mirror.glob(f"{registry}/{PROVIDER}/*/{target()}")
        if any(os.access(file, os.X_OK) for file in folder.glob("terraform-provider-aws*"))
    ]
    return max(found, key=_as_number, default="")


def _as_number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@functools.cache
def _version(binary: str) -> str:
    environment = {"PATH": PATH, "HOME": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    asked = subprocess.run(
        [binary, "version", "-json"], capture_output=True, text=True, env=environment, cwd="/", check=False
    )
    try:
        return json.loads(asked.stdout)["terraform_version"]
    except (ValueError, KeyError):
        raise TerraformMissing(f"{binary} does not answer to `version -json`: {asked.stderr.strip()[:300]}") from None


def fetch(tell: Callable[[str], None] = print, path: str = "") -> Tools:
    """Get the AWS provider from the network into the cache of the course, where `find` finds it from then on.

    Does nothing where it is there already. Raises TerraformMissing where it cannot be had.
    """
    if not missing(path):
        return find(path)
    binary = _binary(path)
    registry, into = NAMES[Path(binary).name], cache()
    tell(f"Getting the AWS provider from {registry}, once (about 170 MB) …")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=into) as folder:
        wanted = f'terraform {{\n  required_providers {{\n    aws = {{ source = "{PROVIDER}", version = "{CONSTRAINT}" }}\n  }}\n}}\n'
        Path(folder, "main.tf").write_text(wanted)
        command = [binary, "providers", "mirror", f"-platform={target()}", f"{folder}/mirror"]
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        environment = {"PATH": os.environ.get("PATH", PATH), "HOME": folder, "CHECKPOINT_DISABLE": "1", **proxies}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise TerraformMissing(f"The AWS provider did not come within {FETCH_SECONDS // 60} minutes.") from None
        packed = list(Path(folder, "mirror").rglob(f"terraform-provider-aws_*_{target()}.zip"))
        if done.returncode or not packed:
            raise TerraformMissing(
                f"The AWS provider could not be fetched: {(done.stderr or done.stdout).strip()[:500]}"
            )
        version = packed[0].name.split("_")[1]
        tell(f"Unpacking the AWS provider {version} …")
        unpacked = Path(folder, "unpacked")
        with zipfile.ZipFile(packed[0]) as archive:
            archive.extractall(unpacked)
        for program in unpacked.glob("terraform-provider-aws*"):
            program.chmod(0o755)  # a zip file, as Python reads it, has no rights
        place = into / registry / PROVIDER / version / target()
        place.parent.mkdir(parents=True, exist_ok=True)
        unpacked.rename(place)
    return find(path)
