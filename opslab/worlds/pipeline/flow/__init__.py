"""Targ's pipeline: files land, are staged as they came, cleaned, and made into marts; every step is written down.

tables     columns, types and keys
places     where files land: a folder, or S3
records    what ran, and how many rows came out
marts      the SQL of what people look at
pipeline   the steps
client     asking the warehouse that counts what a query costs

This package needs DuckDB, and boto3 for S3, and nothing of the course: `install` puts a copy of it on a learner's desk, where
DAGs import it as `targ`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .pipeline import Flow, FlowError, frame_of, land
from .places import Bucket, Folder, place
from .records import Records
from .tables import TABLES

__all__ = ["TABLES", "Bucket", "Flow", "FlowError", "Folder", "Records", "frame_of", "install", "land", "place"]

NAME = "targ"


def install(folder: str | Path) -> Path:
    """Copy this package into a folder that is on PYTHONPATH, as `targ`. Returns where it is."""
    target = Path(folder, NAME)
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        shutil.copyfile(file, target / file.name)
    return target
