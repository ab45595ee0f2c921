"""What the tests of the engine have in common: an engine with small images, and the client as a learner starts it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from images_world import cache, image_of, layer_of, linux

from opslab.worlds import workspace
from opslab.worlds.images.engine import Engine
from opslab.worlds.images.layers import Item
from opslab.worlds.images.store import Store

__all__ = ["BIN", "Desk", "cache", "linux", "program", "small"]

BIN = workspace.BIN


def program(name: str) -> ModuleType:
    """A command of opslab/worlds/bin as a module, for its pure parts."""
    sys.path.insert(0, str(BIN))
    try:
        loader = importlib.machinery.SourceFileLoader(f"bin_{name}", str(BIN / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        loader.exec_module(module)
        sys.dont_write_bytecode = before
        return module
    finally:
        sys.path.remove(str(BIN))


def small(store: Store, name: str, **files: str) -> str:
    """Keep an image with a few files and no programs; its digest."""
    layer = layer_of(store, *(Item(path, "file", data=text.encode()) for path, text in (files or {"a": name}).items()))
    image = image_of(store, layer, config={"User": "app", "Env": ["PATH=/bin", "A=1"], "Cmd": ["/a", "b"]})
    store.tag(name, image.digest)
    return image.digest


class Desk:
    """A home, and an engine; `run` starts a command there, outside of the jail, which costs less."""

    def __init__(self, home: Path, engine: Engine, **env: str) -> None:
        self.home, self.engine = home, engine
        home.mkdir(exist_ok=True)
        self.env = workspace.environment(home, {**engine.env, **env})

    def run(self, *argv: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess:
        """What a command printed, and its exit code."""
        return subprocess.run(
            argv,
            cwd=self.home,
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def ok(self, *argv: str, **more: str) -> str:
        """What a command printed that has to go well."""
        done = self.run(*argv, **more)
        assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *argv: str, code: int = 1, **more: str) -> str:
        """What a command complained of; it is one that must not work, and there is never a traceback."""
        done = self.run(*argv, **more)
        assert done.returncode == code and "Traceback" not in done.stderr, f"{argv} {done.returncode}\n{done.stderr}"
        return done.stderr

    def put(self, path: str, text: str) -> Path:
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target
