"""Module 06: what a green run says, and what has to be asked besides. A file for each task."""

import importlib

from opslab.checks import Module

__all__ = ["module"]

module = Module(
    "06",
    "pipeline_validation",
    "Pipeline validation",
    cloud=True,
    pipeline=True,
    without_airflow="Without it, everything but 6.1 can be done.",
)

# In the order of the tasks: each file declares its own.
for _task in ("green", "catching", "door", "sample", "revenue", "memo"):
    importlib.import_module(f"opslab.checks.pipeline_validation.{_task}")
