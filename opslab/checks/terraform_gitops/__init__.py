"""Module 04: what stands in AWS, in the state and on main after all that planning and applying. A file for each task."""

import importlib

from opslab.checks.terraform_gitops.asking import module

__all__ = ["module"]

for _task in (
    "plans",
    "bucket",
    "service_role",
    "tags",
    "drift",
    "recovery",
    "two_folders",
):  # in the order of the tasks: each file declares its own
    importlib.import_module(f"opslab.checks.terraform_gitops.{_task}")
