"""What is privileged in a GitLab runner's config.toml.

    >>> import tomllib
    >>> config = tomllib.loads('[[runners]]\\nname = "a"\\nexecutor = "docker"\\n[runners.docker]\\nprivileged = true\\n')
    >>> [(found.where, found.reason, found.path) for found in look("config.toml", config)]
    [('a', 'privileged', 'runners[0].docker.privileged')]

Only the section of the runner's own executor counts: [runners.docker] means nothing where jobs run in Kubernetes.
https://docs.gitlab.com/runner/configuration/advanced-configuration/, https://docs.gitlab.com/runner/executors/kubernetes/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opslab.worlds.runners.findings import Finding, capabilities, instead, of_the_host
from opslab.worlds.runners.reading import entries, table, tables, text

DOCKER = ("docker", "docker+machine", "docker-autoscaler")
CONTEXTS = ("build", "helper", "service", "init_permissions")
"""The containers of a job in Kubernetes that can have a securityContext of their own: [runners.kubernetes.…_container_security_context]"""


def look(file: str, config: dict[str, Any]) -> Iterator[Finding]:
    """What is privileged in a configuration."""
    for number, runner in tables(config.get("runners")):
        executor, name = text(runner.get("executor")), text(runner.get("name"))
        if executor in DOCKER:
            section, reasons = "docker", _docker(table(runner.get("docker")))
        elif executor == "kubernetes":
            section, reasons = "kubernetes", _kubernetes(table(runner.get("kubernetes")))
        else:
            continue
        for reason, path in reasons:
            # What a privileged runner is there for is docker in its jobs.
            replacement = "build-without-daemon" if reason == "privileged" else instead(reason, "")
            yield Finding(file, name, reason, f"runners[{number}].{section}.{path}", replacement)


def _docker(section: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("privileged", "services_privileged"):
        if section.get(key) is True:
            yield "privileged", key
    for key in ("cap_add", "services_cap_add"):
        if capabilities(section.get(key)):
            yield "capability", key
    for key in ("network_mode", "ipcmode"):
        if section.get(key) == "host":
            yield "host-namespace", key
    for key in ("security_opt", "services_security_opt"):
        if any(unconfined(text(one)) for one in entries(section.get(key))):
            yield "unconfined", key
    for volume in entries(section.get("volumes")):
        if path := bound(text(volume)):
            yield of_the_host(path), "volumes"


def unconfined(option: str) -> bool:
    """Whether a --security-opt takes a profile away: seccomp=unconfined, or with a colon as GitLab writes it."""
    return option.replace(":", "=") in ("seccomp=unconfined", "apparmor=unconfined")


def bound(volume: str) -> str:
    """The folder of the machine that a volume of docker binds: "/srv:/cache"; "" for /cache alone, or a volume with a name."""
    path, colon, _ = volume.partition(":")
    return path if colon and path.startswith(("/", ".", "~")) else ""


def _kubernetes(section: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if section.get("privileged") is True:
        yield "privileged", "privileged"
    if section.get("allow_privilege_escalation") is True:
        yield "escalation", "allow_privilege_escalation"
    if capabilities(section.get("cap_add")):
        yield "capability", "cap_add"
    for name in CONTEXTS:
        key = f"{name}_container_security_context"
        context = table(section.get(key))
        if context.get("privileged") is True:
            yield "privileged", f"{key}.privileged"
        if context.get("allow_privilege_escalation") is True:
            yield "escalation", f"{key}.allow_privilege_escalation"
        if capabilities(table(context.get("capabilities")).get("add")):
            yield "capability", f"{key}.capabilities.add"
        if context.get("proc_mount") == "Unmasked":
            yield "proc-mount", f"{key}.proc_mount"
    for number, volume in tables(table(section.get("volumes")).get("host_path")):
        # Without host_path, the path in the container is that of the machine.
        path = text(volume.get("host_path")) or text(volume.get("mount_path"))
        yield of_the_host(path), f"volumes.host_path[{number}]"
