"""An estate of forty manifests: what Targ's teams run in the cluster, how their runners are set up, and their pipelines.

    >>> made = estate(seed=1)
    >>> len(made.files), made == estate(seed=1)
    (40, True)
    >>> made.planted[0].key                                                                     # doctest: +SKIP
    ('catalogue/feed-heron.yaml', 'tune', 'privileged')

The same seed gives the same bytes on any machine. What is privileged is found by `finder.find`, which knows nothing of how a
manifest was made; `planted` and `decoys` are what the recipes remember, for tests and for messages.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from opslab.worlds.runners import recipes as r
from opslab.worlds.runners.workloads import TEAMS, Decoy, Planted, Sheet


@dataclass(frozen=True)
class Part:
    """Manifests of one kind: all of `always`, of each row of `some` at least and at most so many, and `plain` ones up to `count`."""

    count: int
    plain: r.Recipe
    always: tuple[r.Recipe, ...]
    some: dict[tuple[r.Recipe, ...], tuple[int, int]]

    def chosen(self, dice: random.Random) -> list[r.Recipe]:
        """The recipes for an estate, in any order."""
        found = [
            *self.always,
            *(one for among, most in self.some.items() for one in dice.sample(among, dice.randint(*most))),
        ]
        found += [self.plain] * (self.count - len(found))
        dice.shuffle(found)
        return found


KUBERNETES = Part(
    count=27,
    plain=r.plain,
    always=(
        *(r.init_container, r.bucket_mount, r.host_pid, r.docker_socket, r.escalation, r.proc_mount, r.ephemeral_dump),
        *(r.later_document, r.commented, r.says_false, r.in_a_name, r.text_true),
    ),
    some={
        (r.anchor, r.merge_key): (1, 2),
        (r.json_manifest, r.yes_for_true): (1, 2),
        (r.host_network, r.host_path, r.unconfined, r.all_capabilities): (1, 3),
        (r.dind_sidecar, r.rendered_agent, r.config_map_runner): (1, 2),
        (r.pod_level, r.own_socket, r.small_capability, r.harmless_anchor): (1, 2),
        (r.cluster_policy, r.last_applied, r.namespace_label): (1, 2),
    },
)
RUNNERS = Part(
    count=5,
    plain=r.plain_runners,
    always=(r.one_of_several,),
    some={
        (r.services_privileged, r.runner_socket, r.kubernetes_context, r.runner_network): (1, 2),
        (r.other_executor, r.commented_runner): (1, 1),
    },
)
PIPELINES = Part(
    count=8,
    plain=r.plain_pipeline,
    always=(r.dind_with_tls, r.docker_run),
    some={
        (r.default_services, r.extended, r.referenced, r.merged_job, r.mirrored_dind): (1, 2),
        (r.options_variable, r.socket_in_script): (1, 1),
        (r.tool_flag, r.said_not_done, r.unused_template, r.switched_off): (1, 2),
    },
)
PLACES = ("build-a", "build-b", "shared", "payments", "gpu", "nightly", "partners")


@dataclass(frozen=True)
class Estate:
    """Manifests, path to text; and what was put into them: see `workloads`."""

    seed: int
    files: dict[str, str]
    planted: tuple[Planted, ...]
    decoys: tuple[Decoy, ...]

    def write(self, folder: str | Path) -> None:
        """Put the manifests into a folder."""
        for path, text in self.files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def estate(seed: int) -> Estate:
    """The estate of a seed."""
    dice = random.Random(f"runners {seed}")
    apps = [(team, app) for team, names in TEAMS.items() for app in names.split()]
    dice.shuffle(apps)
    places = dice.sample(PLACES, RUNNERS.count)
    plan = [
        *((recipe, "{team}/{app}.yaml", apps.pop()) for recipe in KUBERNETES.chosen(dice)),
        *((recipe, "{team}/{app}/config.toml", ("runners", places.pop())) for recipe in RUNNERS.chosen(dice)),
        *((recipe, "{team}/{app}/.gitlab-ci.yml", apps.pop()) for recipe in PIPELINES.chosen(dice)),
    ]
    sheets = []
    for recipe, path, (team, app) in plan:
        sheet = Sheet(dice, path.format(team=team, app=app), app)
        recipe(sheet)
        sheets.append(sheet)
    sheets.sort(key=lambda sheet: sheet.file)
    return Estate(
        seed,
        {sheet.file: sheet.text() for sheet in sheets},
        tuple(planted for sheet in sheets for planted in sheet.planted),
        tuple(decoy for sheet in sheets for decoy in sheet.decoys),
    )
