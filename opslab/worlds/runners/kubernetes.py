"""What is privileged in manifests of Kubernetes: everything that has pods, and the configuration of runners in a ConfigMap.

    >>> pod = {"kind": "Pod", "metadata": {"name": "a"}, "spec": {"hostPID": True, "containers": [{"name": "b"}]}}
    >>> [(found.where, found.reason, found.path) for found in look("a.yaml", [pod])]
    [('a', 'host-namespace', 'spec.hostPID')]

Which field means what: https://kubernetes.io/docs/concepts/security/pod-security-standards/. Fields count where they have a
meaning: `privileged` in a container's securityContext, not in the pod's; and `true`, not the text "true", which the API refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opslab.worlds.runners import gitlab_runner
from opslab.worlds.runners.findings import Finding, capabilities, instead, of_the_host
from opslab.worlds.runners.reading import settings, table, tables, text, words

TEMPLATE = "spec.template.spec"
PODS = {
    "Pod": "spec",
    "PodTemplate": "template.spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"), TEMPLATE),
}
"""Where each kind of object has its pods."""

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def look(file: str, documents: list[Any]) -> Iterator[Finding]:
    """What is privileged in the documents of a file. Raises Unreadable for a runner's configuration that cannot be read."""
    for document in documents:
        document = table(document)
        kind = text(document.get("kind"))
        if kind.endswith("List"):
            for number, one in tables(document.get("items")):
                for found in look(file, [one]):
                    yield _below(f"items[{number}].", found)
        elif kind == "ConfigMap":
            yield from _config_map(file, document)
        elif kind in PODS:
            spec = document
            for key in PODS[kind].split("."):
                spec = table(spec.get(key))
            name = text(table(document.get("metadata")).get("name"))
            for found in _pod(file, name, spec):
                yield _below(f"{PODS[kind]}.", found)


def _below(path: str, found: Finding) -> Finding:
    return Finding(found.file, found.where, found.reason, path + found.path, found.replacement)


def _pod(file: str, name: str, spec: dict[Any, Any]) -> Iterator[Finding]:
    hosts = {
        text(volume.get("name")): text(table(volume["hostPath"]).get("path"))
        for _, volume in tables(spec.get("volumes"))
        if volume.get("hostPath") is not None
    }
    runs, mounted = [], set()
    for kind in CONTAINERS:
        for number, container in tables(spec.get(kind)):
            runs.append(_runs(container))
            for found in _container(file, container, table(spec.get("securityContext")), hosts):
                yield _below(f"{kind}[{number}].", found)
            mounted |= {text(mount.get("name")) for _, mount in tables(container.get("volumeMounts"))}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key) is True:
            yield Finding(file, name, "host-namespace", key, instead("host-namespace", " ".join(runs)))
    for number, volume in tables(spec.get("volumes")):
        if text(volume.get("name")) in hosts.keys() - mounted:
            reason = of_the_host(hosts[text(volume.get("name"))])
            yield Finding(file, name, reason, f"volumes[{number}].hostPath", instead(reason, ""))


def _runs(container: dict[Any, Any]) -> str:
    return words(container.get("image"), container.get("command"), container.get("args"))


def _container(file: str, container: dict[Any, Any], pod: dict[Any, Any], hosts: dict[str, str]) -> Iterator[Finding]:
    """pod: the securityContext of the whole pod. hosts: its volumes that are folders of the machine, name to path."""
    name, runs, own = text(container.get("name")), _runs(container), table(container.get("securityContext"))

    def found(reason: str, path: str) -> Finding:
        return Finding(file, name, reason, path, instead(reason, runs))

    if own.get("privileged") is True:
        yield found("privileged", "securityContext.privileged")
    if capabilities(table(own.get("capabilities")).get("add")):
        yield found("capability", "securityContext.capabilities.add")
    if own.get("procMount") == "Unmasked":
        yield found("proc-mount", "securityContext.procMount")
    if own.get("allowPrivilegeEscalation") is True:
        yield found("escalation", "securityContext.allowPrivilegeEscalation")
    for key in ("seccompProfile", "appArmorProfile"):
        # The container's own profile counts, and the pod's where it has none.
        if table(own.get(key, pod.get(key))).get("type") == "Unconfined":
            yield found("unconfined", f"securityContext.{key}")
    for number, mount in tables(container.get("volumeMounts")):
        if text(mount.get("name")) in hosts:
            yield found(of_the_host(hosts[text(mount.get("name"))]), f"volumeMounts[{number}]")


def _config_map(file: str, document: dict[Any, Any]) -> Iterator[Finding]:
    for key, value in table(document.get("data")).items():
        if text(key).endswith(".toml") and isinstance(value, str):
            for found in gitlab_runner.look(file, settings(value, f"{file}, {key}")):
                yield _below(f"data.{key}: ", found)
