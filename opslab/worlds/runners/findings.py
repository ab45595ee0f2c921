"""What is found in manifests: the reasons for which something is as good as root on its machine, and what to do instead.

>>> found = Finding("clicks/loader.yaml", "tune", "privileged", "initContainers[0].securityContext.privileged", "node-setting")
>>> found.key
('clicks/loader.yaml', 'tune', 'privileged')
>>> REASONS[found.reason][:46]
'The container runs with privileged: true: it m'
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

REASONS = {
    "privileged": "The container runs with privileged: true: it may do to the machine what root may. Or a runner gives that to its jobs or their services.",
    "capability": "It gets a capability that opens the machine: any but those of Pod Security's baseline.",
    "host-namespace": "It shares the machine's network, processes or IPC (hostNetwork, hostPID, hostIPC).",
    "runtime-socket": "It can talk to the container runtime of the machine (docker.sock), and start whatever it likes.",
    "host-path": "It sees a folder of the machine, and not only the one that its job works in.",
    "escalation": "Its programs may gain rights that it did not start with (allowPrivilegeEscalation: true).",
    "proc-mount": "It sees all of /proc, with what is hidden otherwise (procMount: Unmasked).",
    "unconfined": "No seccomp or AppArmor profile holds it back (Unconfined).",
    "docker-in-docker": "In a pipeline, a docker daemon runs beside the job, as a service. It needs a privileged runner, with TLS or without.",
}
"""Why something counts as privileged. The names are the answers of a learner."""

REPLACEMENTS = {
    "build-without-daemon": "Build in an ordinary container, with buildah or kaniko: no daemon, no privileges.",
    "node-setting": "A setting of the machine belongs to the machine: the platform team sets it for the node pool.",
    "aws-api": "Read the bucket by its API, with a role of its own, instead of mounting it.",
    "own-volume": "A volume of its own (emptyDir, a claim, a ConfigMap) instead of a folder of the machine.",
    "delete": "Nothing in it needs that. Delete the lines.",
}
"""What to do instead. The names are the answers of a learner."""

BASELINE = frozenset(
    """AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID
    SYS_CHROOT""".split()  # noqa: SIM905  (a list of words reads better as words)
)
"""Capabilities that a container may add: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline"""

SOCKET = re.compile(r"\.sock/?$")
"""The path of a runtime's socket: docker.sock, containerd.sock, crio.sock, podman.sock."""

NAMES = {
    "node-setting": re.compile(r"\bsysctl\b|/proc/sys/|/sys/kernel/"),
    "aws-api": re.compile(r"\b(s3fs|goofys|mount-s3|rclone mount)\b"),
    "build-without-daemon": re.compile(r"\bdockerd\b|\bdocker[:@ ]|\bdocker$|/docker:|\bdind\b"),
}
"""What a command or an image tells of what something is there for."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is as good as root on its machine.

    file: the manifest. where: the name of the container; of the pod's object, if it is about the pod as a whole; of the runner; of
    the job. reason: of REASONS. path: where in the file. replacement: of REPLACEMENTS.
    """

    file: str
    where: str
    reason: str
    path: str
    replacement: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What an answer has to name."""
        return self.file, self.where, self.reason

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a check."""
        return asdict(self)


def capabilities(added: object) -> list[str]:
    """Those of some added capabilities that a container must not have. CAP_ in front, as docker takes it, is taken away."""
    names = [str(name) for name in added] if isinstance(added, list) else []
    return [name for name in names if name.upper().removeprefix("CAP_") not in BASELINE]


def of_the_host(path: str) -> str:
    """The reason for which a path of the machine must not be mounted."""
    return "runtime-socket" if SOCKET.search(path) else "host-path"


def instead(reason: str, runs: str) -> str:
    """What to do instead. runs: image, command and arguments, or the script: what it is there for."""
    for replacement, pattern in NAMES.items():
        if pattern.search(runs):
            return replacement
    if reason == "runtime-socket":
        return "build-without-daemon"
    return "own-volume" if reason == "host-path" else "delete"
