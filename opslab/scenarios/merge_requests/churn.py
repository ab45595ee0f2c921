"""Task 2.6: a notebook with outputs and three megabytes of customers, on a branch that nobody has pushed yet."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from opslab.scenarios.merge_requests.people import FOLDER, day, git, history
from opslab.worlds.forge.forge import Forge

NAME = "analytics/churn"
CLONE = "work/churn"
BRANCH = "churn-notebook"
NOTEBOOK, DATA, CITIES = "churn.ipynb", "data/customers.csv", "cities.py"
REVIEWERS = {"ada": ("title", "description", "large-file", "notebook-output", "secret")}
SOURCES = (
    "# Who leaves us, and when?\n",
    "import pandas as pd\n\ncustomers = pd.read_csv('data/customers.csv')\ncustomers.head()\n",
    "customers.groupby('city').left.mean().sort_values()\n",
)


def customer(seed: int) -> str:
    """The address of the customer who stands at the top, also in the notebook's output."""
    return f"ewa.{random.Random(f'customer {seed}').randint(100, 999)}@mail.example"


def data(seed: int) -> str:
    """Some three megabytes of customers."""
    rng = random.Random(f"customers {seed}")
    lines = ["customer,email,city,left", f"0,{customer(seed)},Poznań,0"]
    for number in range(1, 60_000):
        email = f"{rng.getrandbits(60):015x}@mail.example"
        lines.append(f"{number},{email},{rng.choice(('Poznań', 'Gdynia', 'Łódź', 'Malmö'))},{number % 7 == 0:d}")
    return "\n".join(lines) + "\n"


def notebook(seed: int, stripped: bool = False) -> str:
    """The notebook, with what its cells printed."""
    table = f"   customer                 email    city  left\n0         0  {customer(seed)}  Poznań     0\n"
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": SOURCES[0]}]
    for number, source in enumerate(SOURCES[1:], 1):
        output = {
            "data": {"text/plain": table},
            "execution_count": number,
            "metadata": {},
            "output_type": "execute_result",
        }
        cells.append(
            {
                "cell_type": "code", "id": f"cell-{number}", "metadata": {}, "source": source,
                "execution_count": None if stripped else number, "outputs": [] if stripped else [output],
            }
        )  # fmt: skip
    spec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def build(forge: Forge, seed: int) -> None:
    """Put the repository there."""
    repository = forge.create(NAME, reviewers=REVIEWERS)
    history(repository, [("kasia", "Start", {"README.md": "# churn\n\nWho leaves us, and when?\n"})], seed=seed)


def put_clone(home: Path, seed: int) -> None:
    """Put the clone on the desk, with the branch that nobody has seen."""
    clone = home / CLONE
    shutil.rmtree(clone, ignore_errors=True)
    clone.parent.mkdir(parents=True, exist_ok=True)
    # By path, because the name forge:… is known on the desk only; then by its name.
    git(home, "clone", "--quiet", str(home / FOLDER / f"{NAME}.git"), str(clone))
    git(clone, "remote", "set-url", "origin", f"forge:{NAME}")
    git(clone, "checkout", "--quiet", "-b", BRANCH)
    (clone / "data").mkdir()
    (clone / DATA).write_text(data(seed))
    (clone / NOTEBOOK).write_text(notebook(seed))
    _commit(clone, "The notebook and its data", 41)
    (clone / "README.md").write_text(
        "# churn\n\nWho leaves us, and when? Open `churn.ipynb`; the data come from the lake.\n"
    )
    git(clone, "rm", "--quiet", "--cached", DATA)
    _commit(clone, "Take the data out again, they are too big", 42, all_files=False)
    (clone / "cities.py").write_text('CITIES = ("Poznań", "Gdynia", "Łódź", "Malmö")\n')
    _commit(clone, "A list of cities", 43, all_files=False, add="cities.py")
    checkpoints = clone / ".ipynb_checkpoints"
    checkpoints.mkdir()
    (checkpoints / "churn-checkpoint.ipynb").write_text(notebook(seed))


def _commit(clone: Path, message: str, number: int, *, all_files: bool = True, add: str = "README.md") -> None:
    git(clone, "add", "--all" if all_files else add)
    git(clone, "commit", "--quiet", "--message", message, at=day(number))
