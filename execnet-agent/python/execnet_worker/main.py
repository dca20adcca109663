"""The worker's start and end."""

import atexit
import faulthandler
import io
import os
import sys
from _signal import SIGINT, signal

from . import __version__, cbor
from .channel import Channel, Gateway
from .deadline import Deadline
from .execute import Tasks
from .frame import (CLOSE, FORMATS, HEADER, HELLO, LIMITS, PREAMBLE, VERSION, ProtocolError, SettingError,
                    VersionMismatch, fault, frame, read_hello)
from .mux import Connection

EXECMODELS = "thread", "main_thread_only"


def run(source):
    """Serves the connection whose input `source` reads and whose output is fd 1, to its end."""
    out = _take_stdio(source)
    try:
        hello = _read_hello(source)
        settings = hello["settings"]
        _apply(settings)
    except (ProtocolError, VersionMismatch, SettingError) as error:
        os.write(out, PREAMBLE + frame(CLOSE, 0, fault(type(error).__name__, str(error))))
        sys.exit(1)
    tasks = Tasks(settings.get("execmodel", EXECMODELS[0]))
    signal(SIGINT, tasks.on_sigint)
    connection = tasks.connection = Connection(source, out, hello, Channel, tasks)
    connection.gateway = Gateway(connection, settings.get("id", ""))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=connection.abandon)
    connection.start(PREAMBLE + _hello(settings))
    tasks.run_main()
    tasks.kill_services()
    if not tasks.orphaned:
        connection.close(Deadline(tasks.patience()))
    tasks.parted.put(None)
    if tasks.orphaned:
        atexit._run_exitfuncs()
        tasks.exit(tasks.exit_code, True)
    sys.exit(tasks.exit_code)


def _take_stdio(source):
    """Keeps fd 0 and 1 for the connection; programs get /dev/null and fd 2 in their place."""
    null = os.open(os.devnull, os.O_RDWR)
    if source.fileno() == 2:  # there was no stderr
        source.raw.__init__(os.dup(2), "rb")
        os.dup2(null, 2)
    out = os.dup(1)
    for fd in source.fileno(), out:
        os.set_blocking(fd, True)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    sys.stdin = open(0, "r", encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (
        io.open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        for fd in (1, 2))
    faulthandler.enable(2, all_threads=False)  # a crash in C shows where
    return out


def _read_hello(source):
    start = source.read(len(PREAMBLE) + HEADER.size)
    if not start:
        sys.exit(0)  # nobody came
    if not start.startswith(PREAMBLE):
        raise ProtocolError("the link begins with %r, not with the preamble" % start[:8])
    if len(start) == len(PREAMBLE) + HEADER.size:
        word, number = HEADER.unpack_from(start, len(PREAMBLE))
        kind, size = word >> 24, word & 0xFFFFFF
        if kind != HELLO or number or size > LIMITS["max_frame"]:
            raise ProtocolError("the first frame is %02x of %d bytes, no HELLO" % (kind, size))
        payload = source.read(size)
        if len(payload) == size:
            return read_hello(payload)
    raise ProtocolError("the link ended inside the HELLO")


def _apply(settings):
    """Applies the controller's settings to the process, which has a single thread yet."""
    for name, kind, apply in (("id", str, str), ("chdir", str, _change_directory),
                              ("nice", int, os.nice), ("env", dict, _set_environment),
                              ("execmodel", str, EXECMODELS.index)):
        if name in settings:
            value = settings[name]
            if type(value) is not kind:
                raise SettingError("%s: %r is no %s" % (name, value, kind.__name__))
            try:
                apply(value)
            except Exception as error:
                raise SettingError("%s=%r: %s" % (name, value, error)) from None


def _change_directory(path):
    os.makedirs(path, exist_ok=True)
    os.chdir(path)


def _set_environment(variables):
    for name, value in variables.items():
        os.environb[name.encode()] = value.encode()


def _hello(settings):
    return frame(HELLO, 0, cbor.dumps(dict(
        LIMITS,
        versions=[VERSION, VERSION],
        formats=FORMATS,
        software="execnet-worker %s" % __version__,
        facts={
            "executable": sys.executable or "",
            "version": sys.version.split()[0],
            "implementation": sys.implementation.name,
            "platform": sys.platform,
            "cwd": os.getcwd(),
            "pid": os.getpid(),
            "id": settings.get("id", ""),
            "from_source": int(getattr(__loader__, "from_source", True)),
        },
    )))
