"""What keeps a test from depending on luck, on a machine that many tests share."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator

import psutil


def until(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Wait for what must come true by itself, and say whether it did. It ends at once when it does, so a minute costs nothing."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(process: psutil.Process) -> bool:
    """Whether it has ended. A zombie has: it only waits for somebody to take note."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True


@contextlib.contextmanager
def kept_port(port: int = 0) -> Iterator[int]:
    """A port of the loopback (0: any) that no neighbour gets as long as the block runs, also when our own server has given it back.

    It is bound all the time, so the system gives it to nobody who takes any that is free; and nobody listens, so to knock is
    refused. A server that asks for it by its number can have it: servers reuse addresses.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", port))
        port = keeper.getsockname()[1]
        if sys.platform != "linux":  # elsewhere, what is bound is taken for everybody
            keeper.close()
        yield port
