"""Commands: programs whose streams are channels (PROTOCOL.md, section 7).

A command has a thread that waits for its end, one that takes the controller's signals, and one for each stream that is
a channel. Each waits where it must and holds nobody else up.
"""

import os
import subprocess
from _signal import NSIG, SIGINT, SIGKILL
from _thread import allocate_lock
from select import POLLIN, POLLOUT, poll

from . import cbor
from .channel import Channel, ChannelClosed, RemoteError
from .frame import BYTES
from .service import spawn
from .stream import END

_CHUNK = 131072
_LAST_OUTPUT = 500  # milliseconds that an output may be silent behind the end of its program

# What a command leaves behind when this worker is killed, nobody but another process can end: it reads which groups
# there are, and kills them at the end of that. Not even a hangup stops it, which the system sends to a group that is
# stopped as its parent dies.
_GUARDIAN = """
trap '' HUP INT TERM
while read -r what group; do
    if [ "$what" = + ]; then groups="$groups -$group"; continue; fi
    rest=
    for other in $groups; do [ "$other" = "-$group" ] || rest="$rest $other"; done
    groups=$rest
done
[ -z "$groups" ] || kill -s KILL -- $groups
"""

_guarding = allocate_lock()


class Command:
    """A program that was started, until it and its streams are at their ends."""

    def __init__(self, task, tasks, request):
        argv, self.streams, options = _read(request)
        self.channel = task.channel
        self.tasks = tasks
        self.lock = allocate_lock()
        self.reaped = False
        self.process = subprocess.Popen(argv, start_new_session=True, bufsize=0, **options)
        self.pid = self.process.pid
        done, self.running = os.pipe()
        self.done = open(done, "rb", 0)  # at its end when the program has ended

    def run(self):
        """Sees the program and its output to their ends."""
        carriers = []
        try:
            guard(self.tasks, "+", self.pid)
            self.tell({"pid": self.pid})
            spawn(self.obey, (self.channel,), "signals to %d" % self.pid)
            for name, channel in self.streams.items():
                carry = self.feed if name == "stdin" else self.drain
                carriers.append(spawn(carry, (getattr(self.process, name), channel),
                                      "%s of %d" % (name, self.pid)))
        except RuntimeError:
            self.kill()  # no more threads
            raise
        finally:
            end = self.wait()
            os.close(self.running)
            if "stdin" in self.streams:
                self.streams["stdin"].close()
        self.tell(end)
        for thread in carriers:
            thread.join()

    def tell(self, item):
        try:
            self.channel.send(item)
        except ChannelClosed:
            pass

    def wait(self):
        """How the program ended. What was left of its group is killed then, and its number free."""
        status = None
        try:
            if hasattr(os, "waitid"):
                # Its number stays its own until it is taken below.
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                status = os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            pass  # somebody else waited for it
        with self.lock:
            self._kill(SIGKILL)
            guard(self.tasks, "-", self.pid)
            self.reaped = True
            try:
                if status is None:
                    status = os.waitpid(self.pid, 0)[1]
            except ChildProcessError:
                self.process.returncode = 0
                return {}
        if os.WIFSIGNALED(status):
            self.process.returncode = -os.WTERMSIG(status)
            core = {"core_dumped": True} if os.WCOREDUMP(status) else {}
            return dict(core, signal=os.WTERMSIG(status))
        self.process.returncode = os.WEXITSTATUS(status)
        return {"exit": self.process.returncode}

    def kill(self, number=SIGKILL):
        """Sends a signal to the program's group, unless its number may be somebody else's."""
        with self.lock:
            if not self.reaped:
                self._kill(number)

    def interrupt(self):
        self.kill(SIGINT)

    def _kill(self, number):
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it has just ended, or runs as another user, as below sudo

    def obey(self, channel):
        """Passes on the signals that the controller sends. Its CLOSE is SIGKILL."""
        stream = channel._stream
        try:
            while True:
                self.kill(_read_signal(channel.receive()))
        except (ValueError, cbor.DecodeError) as error:
            channel.close(str(error))
        except (EOFError, RemoteError, OSError):
            pass
        stream.wait(lambda: stream.close_received or stream.lost or stream.closed)
        self.kill()

    def is_done(self, ready):
        return any(fd == self.done.fileno() for fd, _ in ready)

    def feed(self, file, channel):
        """Writes what comes on a channel into the program's standard input."""
        fd = file.fileno()
        poller = poll()
        os.set_blocking(fd, False)
        poller.register(fd, POLLOUT)
        poller.register(self.done, 0)  # its end is seen in any case
        take = channel._stream.take
        try:
            while True:
                entry = take()
                if entry is END:
                    return
                form, data, _ = entry
                if form != BYTES:
                    channel.close("standard input takes bytes, in the format bytes")
                    return
                for piece in data if type(data) is list else (data,):
                    piece = memoryview(piece)
                    while piece:
                        try:
                            piece = piece[os.write(fd, piece):]
                        except BlockingIOError:
                            if self.is_done(poller.poll()):
                                return
        except OSError:
            pass  # it reads no more
        finally:
            file.close()
            channel.close()

    def drain(self, file, channel):
        """Sends what the program writes."""
        fd = file.fileno()
        poller = poll()
        os.set_blocking(fd, False)
        poller.register(fd, POLLIN)
        poller.register(self.done, 0)
        ended = False
        try:
            while True:
                try:
                    data = os.read(fd, _CHUNK)
                except BlockingIOError:
                    ready = poller.poll(_LAST_OUTPUT if ended else None)
                    if not ready:
                        return  # held open by a process that is no longer ours
                    if not ended and self.is_done(ready):
                        poller.unregister(self.done)
                        ended = True
                    continue
                if not data:
                    return
                channel.send(data)
        except ChannelClosed:
            pass
        finally:
            file.close()
            channel.close()


def guard(tasks, what, group):
    """Tells the guardian of a group to kill, or not to kill, when this worker ends."""
    with _guarding:
        try:
            if tasks.guardian is None:
                tasks.guardian = subprocess.Popen(
                    ["sh", "-c", _GUARDIAN, "execnet-guardian"], stdin=subprocess.PIPE, bufsize=0,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
                tasks.guardian.returncode = 0  # nobody waits for it
            tasks.guardian.stdin.write(b"%s %d\n" % (what.encode(), group))
        except OSError:
            pass  # there is no shell; what reads its input ends at the end of that


def _read_signal(item):
    number = item.get("signal") if type(item) is dict else None
    if type(number) is not int or not 0 < number < NSIG:
        raise ValueError("a command takes maps with a `signal` from 1 to %d, not %.80r"
                         % (NSIG - 1, item))
    return number


def _read(request):
    """The arguments of a command, its streams, and the options for subprocess."""
    argv, cwd, env = request.get("argv"), request.get("cwd"), request.get("env")
    if type(argv) is not list or not argv or not {type(word) for word in argv} <= {str, bytes}:
        raise ValueError("a command's argv is %.80r, not a list of text or bytes" % (argv,))
    if type(cwd) not in (str, type(None)):
        raise ValueError("a command's cwd is %.80r" % (cwd,))
    options = {"cwd": cwd}
    if env is not None:
        if type(env) is not dict or not all(
                type(name) is str and type(value) in (str, type(None)) for name, value in env.items()):
            raise ValueError("a command's env is %.80r" % (env,))
        options["env"] = {name: value for name, value in dict(os.environ, **env).items()
                          if value is not None}
    streams = {}
    for name in "stdin", "stdout", "stderr":
        channel = request.get(name)
        if channel is not None:
            if type(channel) is not Channel:
                raise ValueError("a command's %s is %.80r, not a channel" % (name, channel))
            streams[name] = channel
            options[name] = subprocess.PIPE
    # Without a channel an output goes where all that is printed here goes.
    options.setdefault("stdin", subprocess.DEVNULL)
    return argv, streams, options
