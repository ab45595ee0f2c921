"""The estate: forty manifests by seed, and whether the finder and what was put into them say the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from opslab.worlds.runners import REASONS, REPLACEMENTS, estate, find, read_folder, reading, recipes, render
from opslab.worlds.runners.estate import KUBERNETES, PIPELINES, RUNNERS


def hold(seed: int) -> None:
    """Whether all that must hold for an estate holds."""
    made = estate(seed)
    found = find(made.files)
    assert not found.problems and len(made.files) == 40
    planted = {(one.key, one.replacement) for one in made.planted}
    assert {(one.key, one.replacement) for one in found.findings} == planted and len(planted) == len(made.planted)
    suspects = {(one.file, one.where) for one in made.decoys}
    assert not suspects & {(one.file, one.where) for one in found.findings}
    assert suspects and {file for file, _ in suspects} <= set(made.files)
    assert 15 <= len(found.files) <= 26, "about half of them: neither all nor few"
    endings = Counter(file.rpartition(".")[2] for file in made.files)
    assert endings["toml"] == 5 and endings["yml"] == 8
    reasons = {one.reason for one in found.findings}
    always = {
        "privileged",
        "capability",
        "host-namespace",
        "runtime-socket",
        "escalation",
        "proc-mount",
        "docker-in-docker",
    }
    assert always <= reasons <= set(REASONS)
    assert {one.replacement for one in found.findings} <= set(REPLACEMENTS)
    kinds = " ".join(one.path for one in found.findings)
    assert "initContainers" in kinds and "ephemeralContainers" in kinds and "runners[" in kinds


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_finder_finds_what_was_planted_and_nothing_else(seed: int):
    hold(seed)


@pytest.mark.slow
def test_the_finder_finds_what_was_planted_in_two_hundred_estates(monkeypatch):
    """Read by libyaml where it is there, which takes a quarter of the time."""
    fast = type("Fast", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    fast.add_constructor("!reference", lambda loader, node: reading.Reference(loader.construct_sequence(node)))
    monkeypatch.setattr(reading, "Loader", fast)
    for seed in range(9, 201):
        hold(seed)


def test_the_same_on_any_machine():
    """Whatever hash seed, locale or time zone another Python has."""
    ask = "import hashlib, json; from opslab.worlds.runners import estate; e = estate(7); "
    ask += "print(hashlib.sha256(json.dumps([e.files, [p.key for p in e.planted]]).encode()).hexdigest())"
    env = {
        "PATH": os.defpath,
        "PYTHONHASHSEED": "77",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    other = subprocess.run(
        [sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
    made = estate(7)
    whole = json.dumps([made.files, [one.key for one in made.planted]])
    assert hashlib.sha256(whole.encode()).hexdigest() == other
    assert made == estate(7) != estate(8)


def test_every_recipe_is_used():
    parts = (KUBERNETES, RUNNERS, PIPELINES)
    used = {
        recipe for part in parts for recipe in (part.plain, *part.always, *(one for row in part.some for one in row))
    }
    known = {
        value
        for name, value in vars(recipes).items()
        if callable(value) and value.__module__ == recipes.__name__ and not name.startswith("_")
    }
    assert used == known and sum(part.count for part in parts) == 40
    for part in parts:
        most = len(part.always) + sum(high for _, high in part.some.values())
        assert most < part.count, "there are always some with nothing to see"


def test_a_search_for_the_word_is_not_enough():
    """It finds a lot that is harmless, and misses a lot that is not."""
    for seed in (1, 2, 3):
        made = estate(seed)
        bad = find(made.files).files
        for word in ("privileged", r"privileged['\"]?\s*[:=]\s*true", "--privileged"):
            hits = {file for file, text in made.files.items() if re.search(word, text)}
            assert bad - hits, f"{word} misses some"
        assert {file for file, text in made.files.items() if re.search(r"privileged['\"]?\s*[:=]\s*true", text)} - bad
        for ending in (".json", ".toml", "gitlab-ci.yml"):
            assert {file for file in made.files if file.endswith(ending)} - bad or ending == ".json"


def test_containers_have_names_of_their_own_in_each_file():
    """So (file, container, reason) says which one is meant."""
    for seed in (1, 2, 3):
        for file, text in estate(seed).files.items():
            if file.endswith((".yaml", ".json")):
                names = list(_container_names(list(yaml.safe_load_all(text))))
                assert len(names) == len(set(names))


def _container_names(value):
    if isinstance(value, list):
        for one in value:
            yield from _container_names(one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("containers", "initContainers", "ephemeralContainers"):
                yield from (one["name"] for one in inner if "name" in one)
            else:
                yield from _container_names(inner)


def test_writing_and_reading_it(tmp_path):
    made = estate(1)
    made.write(tmp_path)
    assert read_folder(tmp_path) == made.files


def test_what_the_pipelines_run_is_what_gitlab_would_take():
    """Jobs have a script, a stage that exists, and no name that means something else."""
    for seed in (1, 2, 3, 4):
        for file, text in estate(seed).files.items():
            if not file.endswith("gitlab-ci.yml") or "!reference" in text:
                continue
            pipeline = yaml.safe_load(text)
            jobs = {name: job for name, job in pipeline.items() if name not in ("stages", "variables", "default")}
            assert not set(jobs) & {"image", "services", "cache", "include", "workflow", "before_script"}
            for name, job in jobs.items():
                if not name.startswith("."):
                    assert job["script"] and job["stage"] in pipeline["stages"]


def test_yaml_as_people_write_it():
    base = render.Anchored("base", {"name": "a", "on": render.YES})
    text = render.dump(
        [{"x": base, "y": {render.MERGE: base, "name": "b"}, "z": render.Block("one\ntwo\n")}, {"w": base}]
    )
    assert "x: &base\n" in text and "<<: *base\n" in text and "'on': yes\n" in text and "z: |\n  one\n" in text
    first, second = yaml.safe_load_all(text)
    assert first["y"] == {"name": "b", "on": True} and second["w"] == first["x"], (
        "an anchor does not reach another document"
    )
    assert render.comment("a:\n  b: 1\n", "b:", "why") == "a:\n  # why\n  b: 1\n"
    assert render.comment("a:\n  b: 1\n", "b:", "why", behind=True) == "a:\n  b: 1  # why\n"
    with pytest.raises(ValueError, match="no line with 'c:'"):
        render.comment("a: 1\n", "c:", "why")
