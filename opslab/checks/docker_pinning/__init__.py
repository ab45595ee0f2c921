"""Module 05: what is installed, built, pushed and run. A file for each task."""

import importlib

from opslab.checks import Module

__all__ = ["module"]

module = Module(
    "05",
    "docker_pinning",
    "Docker pinning",
    cloud=True,
    forge=True,
    images=True,
    without_images="Without it, 5.2, 5.4 and the findings of 5.6 can be done. Everything else needs Linux, or WSL2.",
)

# In the order of the tasks: each file declares its own.
for _task in ("incident", "pins", "dockerfile", "promote", "ci", "runners"):
    importlib.import_module(f"opslab.checks.docker_pinning.{_task}")
