"""Runs commands in a container of an image: its files as /, its user, its variables, no network but named services.

    >>> run(store, store.find("loader:1.0")).out                                            # doctest: +SKIP
    'loaded 3 rows\\n'
    >>> with Container(store, store.find("loader:1.0")) as container:                       # doctest: +SKIP
    ...     container.run(["sh", "-c", "echo x > /tmp/seen"])
    ...     container.run(["cat", "/tmp/seen"]).out                     # the same files, as with `docker exec`
    'x\\n'

What a container writes is gone at its end. The image stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from opslab import jail
from opslab.worlds.images import accounts
from opslab.worlds.images.dockerfile import DockerfileError
from opslab.worlds.images.rootfs import Rootfs, RootfsError
from opslab.worlds.images.store import Image, Store

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMITS = jail.Limits(seconds=30, cpu=30, open_files=1024)


class ContainerError(RuntimeError):
    """A container that cannot be started. Says why."""


class Container:
    """A container, as a context manager. `run` can be called more than once."""

    def __init__(self, store: Store, image: Image) -> None:
        self.store, self.image = store, image
        self.tree = store.tree(image.layers)
        self.files = Rootfs(store, image.layers)

    def __enter__(self) -> Self:
        self.files.__enter__()
        return self

    def __exit__(self, *what: object) -> None:
        self.files.__exit__(*what)

    def run(
        self,
        argv: Sequence[str] = (),
        *,
        entrypoint: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "",
        workdir: str = "",
        services: Mapping[int, str | Path] | None = None,
        mounts: Mapping[str, str | Path] | None = None,
        stdin: str = "",
        limits: jail.Limits = LIMITS,
    ) -> jail.Done:
        """Run the image's command, or ENTRYPOINT with `argv` in place of CMD, and wait for its end.

        entrypoint, user, workdir: instead of the image's. env: variables on top of the image's. services: what it can reach, see
        `jail.prepare`. mounts: files and folders of this machine that it can read: path in the container to path here.
        Raises ContainerError where nothing can be started; a command that is missing ends with 127, as in a shell.
        """
        config = self.image.run_config
        first = list(config["Entrypoint"] if entrypoint is None else entrypoint)
        command = [*first, *(argv or (config["Cmd"] if entrypoint is None else []))]
        if not command:
            raise ContainerError("the image has neither ENTRYPOINT nor CMD, and no command was given")
        try:
            account = accounts.find(self.store, self.image.layers, self.tree, user or config["User"], None)
            variables = dict(entry.split("=", 1) for entry in config["Env"] if "=" in entry)
            return self.files.run(
                command,
                env={"PATH": PATH, "HOME": account.home, "HOSTNAME": "container", **variables, **(env or {})},
                cwd=workdir or config["WorkingDir"] or "/",
                user=(account.uid, account.gid),
                services=services,
                binds=mounts,
                stdin=stdin,
                limits=limits,
            )
        except (DockerfileError, RootfsError) as error:
            raise ContainerError(str(error)) from None


def run(store: Store, image: Image, argv: Sequence[str] = (), **how: Any) -> jail.Done:
    """Run one command in a container of its own. For `how` see `Container.run`."""
    with Container(store, image) as container:
        return container.run(argv, **how)
