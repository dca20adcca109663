"""A warm interpreter that forks workers: with a single thread, for only then a fork is safe.

On the control socket, fd 0, come lines: `fork`, with the link and the stderr of a new worker as
descriptors, `kill PID`, `interrupt PID`. It answers `forked PID` or `failed WHY`, in the order of
the requests, and tells `ended PID STATUS` with a status as of waitpid. The end of the control
socket is the end of all. A worker is reaped here and nowhere else, and signalled only before that,
so no signal hits a stranger that has got its number.
"""

import array
import gc
import os
import select
import sys
import threading  # before the forks: many a program wants it
from _signal import SIG_DFL, SIGCHLD, SIGINT, SIGKILL, set_wakeup_fd, signal
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket
from io import BufferedReader, FileIO

# What every worker uses. What else they may come to use, as asyncio, would take longer to load than sixteen to fork.
from . import channel, execute, lease, main, mux, reader, sources, turn, writer

_PAIR = array.array("i", [0, 0])


class Zygote:
    def __init__(self, control):
        self.control = control
        self.children = set()
        self.fds = []  # of requests whose lines are not complete
        self.lines = b""
        self.wake_read, self.wake_write = os.pipe()

    def run(self):
        """Serves until the control socket ends. In a child: gives the descriptors to work on."""
        for fd in self.wake_read, self.wake_write:
            os.set_blocking(fd, False)
        signal(SIGCHLD, lambda *_: None)
        set_wakeup_fd(self.wake_write)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake_read, select.POLLIN)
        self.control.sendall(b"ready\n")
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self.wake_read in ready:
                try:
                    os.read(self.wake_read, 4096)
                except BlockingIOError:
                    pass
                self.reap()
            if self.control.fileno() in ready:
                if not self.receive():
                    self.end()
                while b"\n" in self.lines:
                    line, self.lines = self.lines.split(b"\n", 1)
                    fds = self.handle(*line.split())
                    if fds:
                        return fds

    def receive(self):
        data, ancillary, _, _ = self.control.recvmsg(4096, CMSG_SPACE(64 * _PAIR.itemsize))
        for level, kind, content in ancillary:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(content[:len(content) // fds.itemsize * fds.itemsize])
                self.fds.extend(fds)
        self.lines += data
        return data

    def handle(self, verb, pid=b"0"):
        if verb == b"fork":
            return self.fork(self.fds.pop(0), self.fds.pop(0))
        pid = int(pid)
        if pid in self.children:
            try:
                if verb == b"kill":
                    os.killpg(pid, SIGKILL)
                else:
                    os.kill(pid, SIGINT)
            except OSError:
                pass  # it runs as somebody else now; its link ends

    def fork(self, link, stderr):
        try:
            pid = os.fork()
        except OSError as error:
            self.tell("failed %s" % error)
            pid = -1
        if pid == 0:
            set_wakeup_fd(-1)
            signal(SIGCHLD, SIG_DFL)
            os.setpgid(0, 0)
            for fd in [self.wake_read, self.wake_write] + self.fds:
                os.close(fd)
            self.control.close()
            return link, stderr
        os.close(link)
        os.close(stderr)
        if pid > 0:
            try:
                os.setpgid(pid, pid)  # whoever comes first: from now on it can be killed as one
            except OSError:
                pass
            self.children.add(pid)
            self.tell("forked %d" % pid)

    def reap(self):
        """Kills what is left of the groups whose leaders have ended, then reaps those."""
        for pid in list(self.children):
            if not _has_ended(pid):
                continue
            try:
                os.killpg(pid, SIGKILL)
            except OSError:
                pass
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.children.discard(pid)
                self.tell("ended %d %d" % (pid, status))

    def tell(self, line):
        try:
            self.control.sendall(line.replace("\n", " ").encode() + b"\n")
        except OSError:
            self.end()

    def end(self):
        for pid in self.children:
            try:
                os.killpg(pid, SIGKILL)
            except OSError:
                pass
        os._exit(0)


def _has_ended(pid):
    """Whether a child has ended; it stays to be reaped."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    from subprocess import run
    return run(["ps", "-o", "stat=", "-p", str(pid)], stdout=-1).stdout.startswith(b"Z")  # macOS


def _threads():
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def run(source):
    """Forks workers, each of which comes back here to do its work."""
    if _threads() > 1:
        sys.exit("execnet: prefork needs an interpreter with one thread, this one starts with %d; "
                 "does a sitecustomize or a .pth file start some?" % _threads())
    control = socket(fileno=os.dup(0))
    control.setblocking(True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    source.close()
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()  # or the first collection in each child would copy all pages
    link, stderr = Zygote(control).run()
    os.dup2(link, 0)
    os.dup2(link, 1)
    os.dup2(stderr, 2)
    os.close(link)
    os.close(stderr)
    if sys.version_info < (3, 7) and "random" in sys.modules:
        sys.modules["random"].seed()  # later ones do it themselves
    main.run(BufferedReader(FileIO(os.dup(0))))
