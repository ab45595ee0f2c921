"""Task 5.5: a service whose image is built, tested, scanned and pushed by hand, and a pipeline that is to do it.

    forge:data/weekly      the service, from repositories/weekly; there is no pipeline file yet

Each build writes down when it was made (BUILT), so no two builds are the same image: that is how a check tells what was tested from
what was pushed.
"""

from __future__ import annotations

from pathlib import Path

from opslab.scenarios.docker_pinning import common, promote
from opslab.scenarios.merge_requests.people import Past, forge_of, history
from opslab.worlds.forge.forge import Forge
from opslab.worlds.forge.variables import Variable

HERE = Path(__file__).parent / "repositories" / "weekly"
NAME = "data/weekly"
FILE, LOCK, TESTS = ".gitlab-ci.yml", "requirements.lock", "test_weekly.py"
USER = "ci"
"""Who the pipelines are at the team's registry."""

RUNNER = "runner"
"""Lives in the desk's server, like a bot: no other process reaches the engine, so none may run the jobs."""

PEOPLE = {"ana": "Ana Duda", "jonas": "Jonas Berg", "marek": "Marek Bąk"}
REVIEWERS = {"ana": ("title", "description", "secret", "conflict-marker")}


def variables(seed: int) -> list[Variable]:
    """What the pipelines of the project get. The password is for those of main only."""
    password = Variable("REGISTRY_PASSWORD", common.password(seed, USER), protected=True, masked=True)
    return [Variable("REGISTRY_USER", USER), password]


def lock(seed: int, units: str = "1.2.1") -> str:
    """The lock of the service. units: the version of targ-units; 1.2.0 has a known problem."""
    return promote.locked(seed, {"targ-metrics": "0.7.0", "targ-units": units})


def words(seed: int) -> dict[str, str]:
    """What stands for {{…}} in the files of the repository, and in answers."""
    return {
        "ci_password": common.password(seed, USER),
        "your_password": common.password(seed, "you"),
    }


def files(seed: int) -> dict[str, str]:
    """The files of the repository at the start, by path."""
    found = {
        str(path.relative_to(HERE)): path.read_text()
        for path in sorted(HERE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return {path: text.replace("{{lock}}", lock(seed)) for path, text in found.items()}


def put(forge: Forge, seed: int) -> None:
    """Make the repository on the forge."""
    repository = forge.create(NAME, reviewers=REVIEWERS, variables=variables(seed))
    everything = files(seed)
    start = {path: text for path, text in everything.items() if path not in (TESTS, "README.md")}
    later = {path: everything[path] for path in (TESTS, "README.md")}
    history(
        repository,
        [("jonas", "The numbers of the week", start), ("ana", "Tests, and what a pipeline is to do", later)],
        seed=seed,
    )


def build(home: Path, seed: int, twists: frozenset[str]) -> None:
    """Put the forge on the desk."""
    with Past():
        forge = forge_of(home, PEOPLE)
        forge.set_bots(RUNNER)
        put(forge, seed)
