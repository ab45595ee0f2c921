"""What Terraform code must not ask for, read from the commit before anything of it is run.

    >>> for problem in problems(Tree(repository.git, head), "staging"):             # doctest: +SKIP
    ...     print(problem)
    staging/main.tf:12: provisioner "local-exec" starts a program; here, Terraform makes AWS resources only.

Terraform code can start programs (provisioners, the provider `external`, a provider of one's own), fetch code from the network and
talk to somebody else's account. All of it runs in the jail, where none of that leads anywhere; this module says so first, with
the line, instead of letting it fail in a way that nobody understands.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import cache

from opslab.worlds.forge.atlantis import hcl
from opslab.worlds.forge.git import Git

PROVIDERS = ("hashicorp/aws",)
BUILT_IN = "terraform"
"""The provider that is part of terraform itself (terraform_data, terraform_remote_state)."""

MOST_LINKS = 40
LARGEST = 300_000
"""Bytes of a file of code. A larger one would not be read to its end."""

LINK, FILE = "120000", ("100644", "100755")

THEIR_OWN = {
    *("access_key", "secret_key", "token", "profile", "shared_config_files", "shared_credentials_file"),
    *("shared_credentials_files", "shared_config_file", "assume_role_with_web_identity", "endpoint", "endpoints"),
    *(
        "sts_endpoint",
        "iam_endpoint",
        "dynamodb_endpoint",
        "sso_endpoint",
        "custom_ca_bundle",
        "http_proxy",
        "https_proxy",
    ),
    *("no_proxy", "ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode"),
}
"""Settings of the AWS provider and of the S3 backend that bring credentials, or lead somewhere else."""

OUTSIDE = re.compile(r'\b(?:file\w*|templatefile)\(\s*"(?:/|~|\.\./\.\./\.\./\.\./)|/proc/')
"""Functions that read a file of the machine. One whose path is put together from parts is not found by this: it reads what there
is in the jail, and the bot's secret is masked in what it prints."""

TYPED = ("resource", "data", "ephemeral", "list", "action")
"""Blocks whose first label begins with the name of a provider."""


class Tree:
    """The files of a commit, without checking it out. Links are followed inside of it only."""

    def __init__(self, git: Git, commit: str) -> None:
        self.git, self.commit = git, commit
        self.modes: dict[str, str] = {}
        for entry in git.run("ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "replace").split("\0"):
            if entry:
                about, _, path = entry.partition("\t")
                self.modes[path] = about.split(" ")[0]
        self.folders = {str(above) for path in self.modes for above in _above(path)} | {"."}
        self.read = cache(self._read)

    def _read(self, path: str) -> str:
        return (self.git.file(self.commit, path, LARGEST + 1) or b"").decode("utf-8", "replace")

    def real(self, path: str) -> str | None:
        """Where a path leads when all links are followed; None where it leaves the repository."""
        done: list[str] = []
        todo, links = path.split("/"), 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            here = "/".join([*done, part])
            if self.modes.get(here) != LINK:
                done.append(part)
                continue
            target, links = self.read(here), links + 1
            if target.startswith("/") or links > MOST_LINKS:
                return None
            todo = [*target.split("/"), *todo]
        return "/".join(done) or "."

    def listed(self, folder: str) -> list[str]:
        """The files (and links) directly in a folder."""
        return sorted(path for path in self.modes if (posixpath.dirname(path) or ".") == folder)


def _above(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def problems(tree: Tree, folder: str, tofu: bool = False) -> list[str]:
    """What stands against running the code in a folder, and in the modules that it uses; empty if nothing does."""
    found = [
        f"{path} is a link to {tree.read(path)!r}, which is outside of the repository."
        for path, mode in sorted(tree.modes.items())
        if mode == LINK and tree.real(path) is None
    ]
    if found:
        return found
    start = tree.real(folder)
    if start is None or start not in tree.folders:
        return [f"There is no folder {folder} in this commit."]
    waiting, seen = [start], set()
    while waiting:
        here = waiting.pop(0)
        if here not in seen:
            seen.add(here)
            waiting += _folder(tree, here, here == start, found, tofu)
    return found


def _folder(tree: Tree, folder: str, root: bool, found: list[str], tofu: bool) -> list[str]:
    """Look through the code of one folder: what is wrong goes into `found`, the folders of its modules are returned."""
    endings = (".tf", ".tofu") if tofu else (".tf",)
    bodies: list[tuple[str, hcl.Body]] = []
    for path in tree.listed(folder):
        if path.endswith(".json") and path.removesuffix(".json").endswith(endings):
            found.append(f"{path}: Terraform code in JSON is not read here. Write it as a .tf file.")
        elif path.endswith(endings):
            text = tree.read(tree.real(path) or "")
            if len(text.encode()) > LARGEST:
                found.append(f"{path} is larger than {LARGEST // 1000} kB. Split it.")
                continue
            try:
                bodies.append((path, hcl.read(text)))
            except hcl.HclError as error:
                found.append(f"{path}:{error.line}: this cannot be read ({str(error).partition(': ')[2]}).")
    names = _required(bodies, found)
    modules: list[str] = []
    backend = False
    for path, body in bodies:
        for line in _outside(body):
            found.append(f"{path}:{line}: this reads a file outside of the repository.")
        for block in body.blocks:
            backend |= block.type == "terraform" and any(one.type == "backend" for one in block.blocks)
            for line, text in _block(block, names):
                found.append(f"{path}:{line}: {text}")
            if block.type == "module":
                text, target = _module(tree, folder, block)
                if text:
                    found.append(f"{path}:{block.start}: {text}")
                else:
                    modules.append(target)
    if root and bodies and not backend and not found:
        found.append(
            f'{folder}: there is no backend "s3" in its terraform block. Without one, the state would be a file in a folder '
            "that is thrown away."
        )
    return modules


def _outside(body: hcl.Body) -> Iterator[int]:
    """The lines whose expressions read files that do not belong to the repository."""
    for line, expression in body.attributes.values():
        if OUTSIDE.search(expression):
            yield line
    for block in body.blocks:
        yield from _outside(block)


def _required(bodies: list[tuple[str, hcl.Body]], found: list[str]) -> dict[str, str]:
    """The providers that a folder names: local name and source. Those that may not be used are told."""
    names: dict[str, str] = {}
    for path, body in bodies:
        for block in (one for terraform in body.blocks if terraform.type == "terraform" for one in terraform.blocks):
            if block.type != "required_providers":
                continue
            for name, (line, expression) in block.attributes.items():
                sources = re.findall(r'(?:\bsource\b|"source")\s*[=:]\s*"([^"]*)"', expression)
                if len(sources) > 1 or (not sources and "source" in expression):
                    found.append(f"{path}:{line}: the source of the provider {name} is no plain text.")
                    continue
                names[name] = _source(sources[0] if sources else name)
                if not _allowed(names[name]):
                    found.append(f"{path}:{line}: {_not_allowed(names[name])}")
    return names


def _source(text: str) -> str:
    """The full name of a provider: "aws" and "registry.terraform.io/hashicorp/aws" are both hashicorp/aws."""
    text = re.sub(r"^registry\.(terraform\.io|opentofu\.org)/", "", text.strip().lower())
    return text if "/" in text else f"hashicorp/{text}"


def _allowed(source: str) -> bool:
    return source in (*PROVIDERS, f"hashicorp/{BUILT_IN}", f"terraform.io/builtin/{BUILT_IN}")


def _not_allowed(source: str) -> str:
    return f"the provider {source} is not allowed; allowed is {', '.join(PROVIDERS)}."


def _block(block: hcl.Block, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """What is wrong with a block, by line."""
    label = block.labels[0] if block.labels else ""
    if block.type in TYPED and label:
        named = re.match(r"[\w-]+", block.attributes["provider"][1]) if "provider" in block.attributes else None
        name = named[0] if named else label.partition("_")[0]
        source = names.get(name, _source(name))
        if not _allowed(source):
            yield block.start, f'{block.type} "{label}" needs a provider that is not there: {_not_allowed(source)}'
    if block.type == "provider" and label:
        source = names.get(label, _source(label))
        if not _allowed(source):
            yield block.start, _not_allowed(source)
        yield from _own(block, f'provider "{label}"')
    for inner in block.blocks:
        name = f'"{inner.labels[0]}" ' if inner.labels else ""
        if inner.type == "provisioner":
            yield inner.start, f"provisioner {name}starts a program; here, Terraform makes AWS resources only."
        elif inner.type in TYPED and block.type == "check":
            yield from _block(inner, names)
        elif block.type == "terraform" and inner.type == "cloud":
            yield inner.start, 'the state is kept in S3 here: use backend "s3" instead of cloud.'
        elif block.type == "terraform" and inner.type == "backend":
            if inner.labels != ("s3",):
                yield inner.start, f'the state is kept in S3 here: backend "s3", not {name.strip()}.'
            yield from _own(inner, "the backend")


def _own(block: hcl.Block, what: str) -> Iterator[tuple[int, str]]:
    """Credentials and addresses of one's own, in a provider or a backend."""
    blocks = [(one.labels[0] if one.type == "dynamic" and one.labels else one.type, one.start) for one in block.blocks]
    given = [(name, line) for name, (line, _) in block.attributes.items()] + blocks
    for name, line in given:
        if name in THEIR_OWN:
            yield (
                line,
                f"{what} must not set {name}: the bot's own credentials and addresses are used, and assume_role.",
            )


def _module(tree: Tree, folder: str, block: hcl.Block) -> tuple[str, str]:
    """(what is wrong with a module's source, the folder it stands for)."""
    source = block.text("source")
    name = block.labels[0] if block.labels else "?"
    if source is None:
        return f'module "{name}" has no source that is a plain text.', ""
    if not source.startswith(("./", "../")):
        return (
            f'module "{name}" comes from {source!r}; only modules of this repository ("./…", "../…") can be used.',
            "",
        )
    target = tree.real(f"{folder}/{source}")
    if target is None:
        return f'module "{name}" leads out of the repository: {source}', ""
    if target not in tree.folders:
        return f'module "{name}": there is no folder {source}', ""
    return "", target
