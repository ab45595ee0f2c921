"""Inside the jail: brings ports of the private loopback to the unix sockets of services outside, and starts a command.

    python -I -S relay.py 4566=/dev/opslab/4566 8080=/dev/opslab/8080 -- aws s3 ls

The ports are bound first. Then a process of its own, in the background, begins to forward; and this one itself becomes the
command: so its process id, exit code, terminal, standard input, signals and environment are those it would have had without
the relay. When the command ends, so does its process namespace, and the relay with it. What the command may do to the relay
is of no account: it can do nothing that the command could not do by itself, with the same sockets.

`opslab.jail` starts this file. It imports nothing of the course, because inside the jail there is no course.
"""

from __future__ import annotations

# Every command waits for these imports. The underscored ones are the halves of `signal` and `socket` that are written in C:
# the other halves would double the time that Python takes to start.
import _signal
import _socket
import errno
import os
import sys

STARTING = "--" in sys.argv

if not STARTING:  # the process in the background, for which nobody waits
    import resource
    import selectors
    import socket
    import struct

HOST = "127.0.0.1"
PIECE = 128 * 1024
BACKLOG = 256
SPARE = 16
"""Open files of the relay besides its connections, generously: the ports, the selector, /dev/null."""


def start(services: list[str], command: list[str]) -> None:
    """Bind the ports of the services, PORT=SOCKET; begin to forward in the background; become the command."""
    listeners = []
    for service in services:
        port, _, path = service.partition("=")
        listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listener.bind((HOST, int(port)))
        listener.listen(BACKLOG)
        listeners.append((listener, path))
    # Two forks: the relay becomes a child of process 1, which reaps it, and is none of the command's.
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        become(command)
    os.setsid()  # what the terminal or `kill 0` sends to all of the command is not for the relay
    if os.fork() == 0:
        detach()
        # A fresh Python, because a mere copy of this process would show the command's words to `pgrep -f`.
        for listener, _ in listeners:
            os.set_inheritable(listener.fileno(), True)
        places = [f"{listener.fileno()}={path}" for listener, path in listeners]
        os.execve(sys.executable, [sys.executable, "-I", "-S", __file__, *places], {})
    os._exit(0)


def detach() -> None:
    """Let go of what belongs to the command: its folder and its standard streams."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


# ---- the command ----------------------------------------------------------------------------------------------------


def become(command: list[str]) -> None:
    """Replace this process by the command, found as execvp(3) finds it. Ends it with 127 or 126 where that fails."""
    # Python set these two to be ignored, and what is ignored is handed down.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    with open("/proc/self/environ", "rb") as file:  # not os.environ: Python adds LC_CTYPE where no locale is set
        env = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if entry)
    name = os.fsencode(command[0])
    folders = [b""] if b"/" in name else env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    reason = errno.ENOENT
    for folder in folders:
        path = os.path.join(folder, name)
        try:
            os.execve(path, command, env)
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script without a first line that names its interpreter
                os.execve("/bin/sh", ["/bin/sh", path, *command[1:]], env)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                reason = error.errno
    os.write(2, name + b": " + os.strerror(reason).encode() + b"\n")
    os._exit(127 if reason == errno.ENOENT else 126)


# ---- the relay ------------------------------------------------------------------------------------------------------


class Way:
    """One direction of a connection: what was read from `source` and `target` has not taken yet."""

    def __init__(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        self.source, self.target = source, target
        self.asks = asks  # from the client to the service
        self.kept = memoryview(b"")
        self.ended = False  # source will send no more
        self.closed = False  # and target was told so

    def move(self) -> None:
        """Read if there is room, write what can be written, and pass on the end. OSError where the client has gone."""
        if not self.kept and not self.ended:
            self.read()
        if self.kept:
            self.write()
        if self.ended and not self.kept and not self.closed:
            self.closed = True
            self.target.shutdown(socket.SHUT_WR)

    # A service may answer "no" and close before it has read all that is sent to it, which looks like an error here. The
    # client has to see that answer: so what a service no longer takes is thrown away, until the client has sent it all.

    def read(self) -> None:
        try:
            self.kept = memoryview(self.source.recv(PIECE))
        except BlockingIOError:
            return
        except ConnectionError:
            if self.asks:
                raise
        self.ended = not self.kept

    def write(self) -> None:
        try:
            self.kept = self.kept[self.target.send(self.kept) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            if not self.asks:
                raise
            self.kept = memoryview(b"")


class Relay:
    """Forwards the connections of all ports, in one thread: threads would count against the command's processes."""

    def __init__(self, services: list[str]) -> None:
        """services: FD=SOCKET, the file descriptor of a bound port and where its service listens."""
        self.listeners: dict[socket.socket, str] = {}
        for service in services:
            descriptor, _, path = service.partition("=")
            self.listeners[socket.socket(fileno=int(descriptor))] = path
        self.selector = selectors.DefaultSelector()
        self.open: dict[socket.socket, tuple[Way, Way]] = {}  # both sockets of a connection lead to its two ways
        self.waiting: list[tuple[socket.socket, str]] = []  # accepted, while the service has no room for them yet
        self.listening = False
        self.most = max((resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE) // 2, 1)
        for listener in self.listeners:
            listener.setblocking(False)

    def forward(self) -> None:
        """For ever. Whoever comes when there are too many connections waits in the queue of the port."""
        while True:
            self.listen(len(self.open) // 2 + len(self.waiting) < self.most)
            # The kernel does not tell when a unix socket has room again, so that has to be tried.
            for key, _ in self.selector.select(0.01 if self.waiting else None):
                if key.fileobj in self.listeners:
                    self.accept(key.fileobj)
                elif key.fileobj in self.open:  # else it was closed a moment ago, with its other side
                    self.move(key.fileobj)
            waiting, self.waiting = self.waiting, []
            for client, path in waiting:
                self.connect(client, path)

    def listen(self, wanted: bool) -> None:
        if wanted != self.listening:
            for listener in self.listeners:
                if wanted:
                    self.selector.register(listener, selectors.EVENT_READ)
                else:
                    self.selector.unregister(listener)
            self.listening = wanted

    def accept(self, listener: socket.socket) -> None:
        try:
            client = listener.accept()[0]
        except OSError:  # whoever knocked has gone again
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting.append((client, self.listeners[listener]))

    def connect(self, client: socket.socket, path: str) -> None:
        service = socket.socket(socket.AF_UNIX)
        service.setblocking(False)
        try:
            service.connect(path)
        except BlockingIOError:
            service.close()
            self.waiting.append((client, path))
            return
        except OSError:
            self.close(client, service)
            return
        self.open[client] = self.open[service] = (Way(client, service, True), Way(service, client, False))
        self.watch(client)
        self.watch(service)

    def move(self, moved: socket.socket) -> None:
        ways = self.open[moved]
        try:
            for way in ways:
                way.move()
        except OSError:
            self.close(ways[0].source, ways[0].target)
            return
        if ways[0].closed and ways[1].closed:
            self.close(ways[0].source, ways[0].target, broken=False)
        else:
            self.watch(ways[0].source)
            self.watch(ways[0].target)

    def watch(self, side: socket.socket) -> None:
        """Wait for what this side of a connection can do next: be read, be written, both or nothing."""
        events = 0
        for way in self.open[side]:
            if way.source is side and not way.kept and not way.ended:
                events |= selectors.EVENT_READ
            if way.target is side and way.kept:
                events |= selectors.EVENT_WRITE
        key = self.selector.get_map().get(side)
        if key is None:
            if events:
                self.selector.register(side, events)
        elif not events:
            self.selector.unregister(side)
        elif events != key.events:
            self.selector.modify(side, events)

    def close(self, client: socket.socket, service: socket.socket, broken: bool = True) -> None:
        if broken:
            # To linger for no seconds tells the client that the connection broke, not that it ended well.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for side in (client, service):
            self.open.pop(side, None)
            if self.selector.get_map().get(side):
                self.selector.unregister(side)
            side.close()


def main() -> None:
    """Bind, forward in the background, and become the command."""
    if STARTING:
        split = sys.argv.index("--")
        start(sys.argv[1:split], sys.argv[split + 1 :])
    with open("/proc/self/comm", "w") as name:  # so that a `pkill python` does not end it
        name.write("relay")
    Relay(sys.argv[1:]).forward()


if __name__ == "__main__":
    main()
