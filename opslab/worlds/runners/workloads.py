"""What the manifests of Targ's teams are made of: jobs, services and pipelines, with nothing privileged in them.

    >>> sheet = Sheet(random.Random("a"), "clicks/loader.yaml", "clicks-loader")
    >>> pod = sheet.pod(sheet.container("load"))
    >>> sheet.add(sheet.workload(pod, "CronJob"))
    >>> "jobTemplate" in sheet.text()
    True

The recipes (`recipes.py`) take these and put something in: what is privileged, or what only looks like it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opslab.worlds.runners import render

REGISTRY = "registry.targ.example"
REGION = "eu-west-1"

TEAMS = {
    "catalogue": "listings-index listings-drafts thumbnails category-tree price-history feed-heron feed-otter feed-wren",
    "checkout": "orders-export orders-gold-daily basket-sessions delivery-slots refunds-report vouchers address-check",
    "discovery": "search-api search-suggest clicks-loader clicks-dedupe sessions-stitcher recommendations seller-stats",
    "payments": "payouts-reconcile payouts-files currency-rates invoice-mail ledger-export chargebacks tax-report",
    "trust": "fraud-scores messages-archive message-scan account-merge report-queue pii-masking device-graph",
    "platform": "log-shipper metrics-agent cert-renewer registry-mirror backup-runner image-warmer",
}
"""Who has what in the cluster."""

KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")
HELPERS = ("metrics", "proxy", "log-tail", "secrets-sync", "cache-warmer")
FIRST = ("wait-for-db", "fetch-config", "migrate", "unpack-models")
PYTHONS = ("python:3.11-slim", "python:3.12-slim", "python:3.13-slim")
HARMLESS: tuple[dict[str, Any], ...] = (
    {"runAsNonRoot": True, "runAsUser": 10001, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    {"privileged": False},
    {"privileged": False, "runAsUser": 10001, "capabilities": {"drop": ["SYS_ADMIN", "NET_RAW"]}},
)
"""What a securityContext may say without giving anything away. A search for the word finds it all the same."""


@dataclass(frozen=True)
class Planted:
    """Something privileged that a recipe has put into a manifest. hidden: why it is easy to miss."""

    file: str
    where: str
    reason: str
    replacement: str
    hidden: str

    @property
    def key(self) -> tuple[str, str, str]:
        """As `Finding.key`."""
        return self.file, self.where, self.reason


@dataclass(frozen=True)
class Decoy:
    """Something that looks privileged and is not. where: the container, pod, runner or job that one could suspect; why: why not."""

    file: str
    where: str
    why: str


class Sheet:
    """A manifest that is being written. app: what it is for. All chance comes from `dice`."""

    def __init__(self, dice: random.Random, file: str, app: str) -> None:
        self.dice, self.file, self.app = dice, file, app
        self.documents: list[dict[str, Any]] = []
        self.comments: list[tuple[str, str, bool]] = []
        self.planted: list[Planted] = []
        self.decoys: list[Decoy] = []
        self.raw = ""
        self._names: set[str] = set()
        self._version = f"{dice.randint(1, 4)}.{dice.randint(0, 30)}.{dice.randint(0, 9)}"

    # ---- what is known of it

    def plant(self, where: str, reason: str, replacement: str, hidden: str) -> None:
        """Remember that something privileged was put in."""
        self.planted.append(Planted(self.file, where, reason, replacement, hidden))

    def decoy(self, where: str, why: str) -> None:
        """Remember that something was put in that looks privileged."""
        self.decoys.append(Decoy(self.file, where, why))

    def comment(self, marker: str, note: str, behind: bool = False) -> None:
        """A comment above the first line with the marker, or behind it."""
        self.comments.append((marker, note, behind))

    def text(self) -> str:
        """The manifest as it lies in its file."""
        flow = self.dice.random() < 0.3 and not self.file.endswith("gitlab-ci.yml")
        made = self.raw or render.dump(self.documents, flow)
        for marker, note, behind in self.comments:
            made = render.comment(made, marker, note, behind)
        return made

    # ---- Kubernetes

    def add_json(self, document: dict[str, Any], indent: int | None = 2) -> None:
        """Make the file one of JSON. To be called before anything is planted in it, because its name changes."""
        self.file = self.file.replace(".yaml", ".json")
        self.raw = json.dumps(document, indent=indent) + "\n"

    def name(self, *choices: str) -> str:
        """One of these names that this manifest has not yet."""
        free = [name for name in choices if name not in self._names]
        chosen = self.dice.choice(free) if free else f"{choices[0]}-{len(self._names)}"
        self._names.add(chosen)
        return chosen

    @property
    def image(self) -> str:
        """The team's own image."""
        return f"{REGISTRY}/{self.app}:{self._version}"

    def container(self, name: str, *, image: str = "", harmless: bool = True, **more: Any) -> dict[str, Any]:
        """A container. harmless: it may have a securityContext that gives nothing away. more: further fields."""
        self._names.add(name)
        tool = name in (*HELPERS, *FIRST)
        made: dict[str, Any] = {
            "name": name,
            "image": image or (f"{REGISTRY}/tools/{name}:2.4" if tool else self.image),
        }
        if not image and not tool and self.dice.random() < 0.5:
            made["args"] = ["--region", REGION, "--table", f"gold.{self.app.replace('-', '_')}"]
        if self.dice.random() < 0.5:
            made["env"] = [{"name": "TARG_ENV", "value": self.dice.choice(("staging", "production"))}]
        if self.dice.random() < 0.6:
            memory = self.dice.choice(("256Mi", "512Mi", "2Gi"))
            made["resources"] = {"requests": {"cpu": "250m", "memory": memory}, "limits": {"memory": memory}}
        if harmless and self.dice.random() < 0.4:
            made["securityContext"] = dict(self.dice.choice(HARMLESS))
        return {**made, **more}

    def main(self) -> str:
        """A name for the container that does the work."""
        return self.name(self.app.rpartition("-")[2], "app", "main")

    def helper(self) -> str:
        """A name for a container beside it."""
        return self.name(*HELPERS)

    def pod(self, *containers: dict[str, Any], first: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
        """The spec of a pod. first: its init containers. Others may stand beside these."""
        inside, before = list(containers), list(first)
        if not inside or self.dice.random() < 0.35:
            inside.insert(self.dice.randint(0, len(inside)), self.container(self.helper() if inside else self.main()))
        if self.dice.random() < 0.3:
            before.insert(self.dice.randint(0, len(before)), self.container(self.name(*FIRST)))
        made: dict[str, Any] = {}
        if self.dice.random() < 0.5:
            made["serviceAccountName"] = self.app
        if before:
            made["initContainers"] = before
        return {**made, "containers": inside, **more}

    def workload(self, pod: dict[str, Any], kind: str = "", name: str = "") -> dict[str, Any]:
        """An object that makes such pods: of this kind, or of any."""
        kind, name = kind or self.dice.choice(KINDS), name or self.app
        labels = {"app.kubernetes.io/name": name, "targ.example/team": self.file.partition("/")[0]}
        about = {"name": name, "namespace": "data", "labels": labels}
        if kind == "Pod":
            return {"apiVersion": "v1", "kind": kind, "metadata": about, "spec": {**pod, "restartPolicy": "Always"}}
        template = {"metadata": {"labels": dict(labels)}, "spec": pod}
        if kind in ("Job", "CronJob"):
            job = {"backoffLimit": 2, "template": {**template, "spec": {**pod, "restartPolicy": "Never"}}}
            if kind == "Job":
                return {"apiVersion": "batch/v1", "kind": kind, "metadata": about, "spec": job}
            schedule = f"{self.dice.randint(0, 59)} {self.dice.randint(0, 6)} * * *"
            spec = {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}
            return {"apiVersion": "batch/v1", "kind": kind, "metadata": about, "spec": spec}
        spec = {"selector": {"matchLabels": {"app.kubernetes.io/name": name}}, "template": template}
        if kind == "Deployment":
            spec = {"replicas": self.dice.randint(1, 4), **spec}
        if kind == "StatefulSet":
            spec = {"serviceName": name, **spec}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": about, "spec": spec}

    def service(self) -> dict[str, Any]:
        """A Service, as it often stands in front of a Deployment."""
        spec = {
            "selector": {"app.kubernetes.io/name": self.app},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.app, "namespace": "data"},
            "spec": spec,
        }

    def config(self, **data: str) -> dict[str, Any]:
        """A ConfigMap. data: file name to text; __ stands for a dot."""
        files = {name.replace("__", "."): text for name, text in data.items()}
        about = {"name": f"{self.app}-config", "namespace": "data"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": files}

    def add(self, *documents: dict[str, Any]) -> None:
        """Put documents into the file."""
        self.documents += documents

    # ---- pipelines

    def pipeline(self, jobs: Mapping[str, Any], **top: Any) -> dict[str, Any]:
        """A pipeline that tests and deploys, with more jobs between. top: settings for all of them."""
        test = {
            "stage": "test",
            "image": self.dice.choice(PYTHONS),
            "script": ["pip install -r requirements.lock", "pytest -q"],
        }
        deploy = {
            "stage": "deploy",
            "image": self.dice.choice(PYTHONS),
            "script": [f"python deploy.py --app {self.app} --region {REGION}"],
            "rules": [{"if": '$CI_COMMIT_BRANCH == "main"'}],
        }
        return {"stages": ["test", "build", "deploy"], **top, "test": test, **jobs, "deploy": deploy}

    # ---- runners

    def runner(self, name: str, executor: str = "docker", lines: tuple[str, ...] = (), more: str = "") -> str:
        """A [[runners]] table in TOML. lines: settings of its executor's section. more: what stands behind that."""
        settings = ['namespace = "ci-jobs"'] if executor == "kubernetes" else ["tls_verify = false", "shm_size = 0"]
        keys = {line.partition(" =")[0] for line in lines}
        if executor == "docker" and "volumes" not in keys:
            settings.append('volumes = ["/cache"]')
        if "privileged" not in keys and self.dice.random() < 0.6:
            settings.append("privileged = false")
        settings = [f'image = "{self.dice.choice(PYTHONS)}"', *settings, *lines]
        if self.dice.random() < 0.5:
            settings.append('pull_policy = "if-not-present"')
        body = "".join(f"    {line}\n" for line in settings)
        return (
            f'[[runners]]\n  name = "{name}"\n  url = "https://gitlab.targ.example"\n  token = "set-by-the-installer"\n'
            f'  limit = {self.dice.randint(2, 12)}\n  executor = "{executor}"\n  [runners.{executor}]\n{body}{more}'
        )

    def runners(self, *tables: str) -> str:
        """A config.toml with these runners."""
        head = f"concurrent = {self.dice.randint(4, 30)}\ncheck_interval = 0\n\n[session_server]\n  session_timeout = 1800\n"
        return "\n".join([head, *tables])
