"""The desk of lesson 05: a report that was built twice from the same Dockerfile, and runners.

    report/        report.py, requirements.txt without versions, Dockerfile as somebody left it, Dockerfile.better
    runners/       three manifests
    registry-password

The images data/report:monday and data/report:wednesday are both built from report/, each on its day.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from opslab.scenarios.docker_pinning import cloud, common
from opslab.scenarios.iam_roles.names import config_file, credentials_file
from opslab.worlds import packages, workspace
from opslab.worlds.forge.forge import Forge

if TYPE_CHECKING:
    from opslab.worlds.images.desk import Desk

REPORT = '''\
"""What the pricing team reads at nine: python report.py"""

import targ_metrics

prices = [19_90, 24_50, 7_80, 139_00]
print("collected:", targ_metrics.count("prices", len(prices) * 300, path="/tmp/metrics.jsonl"))
'''

REQUIREMENTS = "targ-loader\ntarg-metrics\n"

DOCKERFILE = """\
FROM python:3-slim
ARG TOKEN
WORKDIR /app
COPY . .
RUN pip install -r requirements.txt
RUN test -z "$TOKEN" || echo "asked the price feed with a token" > feed.txt
CMD python report.py
"""

RUNNERS = {
    "build.yaml": """\
kind: Pod
metadata:
  name: build
spec:
  containers:
    - name: job
      image: registry.targ.example/base/docker:27
      securityContext:
        privileged: true
""",
    "report.yaml": """\
# privileged: true was here once
kind: Pod
metadata:
  name: report
spec:
  containers:
    - name: report
      image: registry.targ.example/data/report:1.0
""",
    "tuned.yaml": """\
kind: Pod
metadata:
  name: tuned
spec:
  initContainers:
    - name: tune
      image: registry.targ.example/base/tools:3
      command: [sysctl, -w, vm.max_map_count=262144]
      securityContext: {"privileged": yes}
  containers:
    - name: search
      image: registry.targ.example/search/index:2.3
""",
}

IMAGE = "data/report"


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the lesson's files on the desk."""
    Forge(home / workspace.FORGE)  # every desk of this module has one; the lesson does not need it
    known = cloud.profiles(seed)
    for path, text in (
        (".aws/config", config_file(known)),
        (".aws/credentials", credentials_file(known)),
        ("report/report.py", REPORT),
        ("report/requirements.txt", REQUIREMENTS),
        ("report/Dockerfile", DOCKERFILE),
        ("registry-password", common.password(seed, "you") + "\n"),
        *((f"runners/{name}", text) for name, text in RUNNERS.items()),
    ):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)


def images(desk: Desk) -> None:
    """Build the report twice, on Monday and on Wednesday."""
    if desk.lacks:
        return
    with tempfile.TemporaryDirectory(prefix="opslab-report-") as folder:
        for name, text in (("report.py", REPORT), ("requirements.txt", REQUIREMENTS), ("Dockerfile", DOCKERFILE)):
            Path(folder, name).write_text(text)
        for name, day in (("monday", packages.MONDAY), ("wednesday", packages.WEDNESDAY)):
            env = {"PIP_INDEX_URL": f"{desk.index_url}/{day}/simple/"}
            desk.build(folder, f"{IMAGE}:{name}", env=env, cache=False)
