"""The controller's end of a link, frame by frame, and workers at the other end."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from time import monotonic, sleep

from execnet_worker import cbor
from execnet_worker.channel import Channel, Gateway
from execnet_worker.deadline import Deadline
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, HEADER, HELLO, INTERRUPT,
                                  MORE, OPEN, PING, PONG, PREAMBLE, STATUS, TERMINATE, frame,
                                  read_hello)
from execnet_worker.mux import Connection

from .payload import LINE, source_with

PATIENCE = 60  # a watchdog, not a measure

PYPY = sys.implementation.name == "pypy"

try:
    from ctypes import pythonapi
    INTERRUPTS_THREADS = hasattr(pythonapi, "PyThreadState_SetAsyncExc")
except (ImportError, AttributeError):
    INTERRUPTS_THREADS = False  # as PyPy: there only the main thread can be


COLLECTOR = """
    import gc, threading, time
    def collect():
        while True:
            gc.collect()
            time.sleep(0.05)
    threading.Thread(target=collect, daemon=True).start()
    """

THREAD = "import threading; channel.send(threading.current_thread() is threading.main_thread())\n"
"""Tells whether it runs in the main thread."""


def credit(number, amount):
    return frame(CREDIT, number, amount.to_bytes(4, "big"))


def until(condition):
    """Waits for what nothing announces."""
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end
        sleep(0.001)


def in_thread(function, *args):
    """Runs a function beside the test. Its result, or its exception, comes from `get()`."""
    def run():
        try:
            thread.result = function(*args)
        except Exception as error:
            thread.result = error

    def join():
        thread.join(60)
        assert not thread.is_alive()
        return thread.result

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.get = join
    return thread


class Channel7:
    """Stands for a channel in a value that the controller writes."""

    def __init__(self, number):
        self.number = number


cbor.register(Channel7, lambda channel: channel.number)


class Link:
    """Sends and expects frames."""

    def __init__(self):
        self.socket, self.far = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rb")
        self.number = -1

    def write(self, *frames):
        self.socket.sendall(b"".join(frames))

    def message(self, number, value):
        self.write(frame(DATA | CBOR, number, cbor.dumps(value)))

    def frame(self):
        """The next frame: kind, number, payload. None at the end of the link."""
        try:
            header = self.file.read(HEADER.size)
            if not header:
                return None
            word, number = HEADER.unpack(header)
            payload = self.file.read(word & 0xFFFFFF)
        except ConnectionResetError:
            return None
        assert len(payload) == word & 0xFFFFFF, "the link ended inside a frame"
        return word >> 24, number, payload

    def frames(self):
        return iter(self.frame, None)

    def expect(self, kind, number):
        """The payload of the next frame but CREDIT, which must be this one."""
        for found in self.frames():
            if found[0] != CREDIT or kind == CREDIT:
                assert found[:2] == (kind, number), "%.99r instead of %r" % (found, (kind, number))
                return found[2]
        raise AssertionError("the link ended, %r did not come" % ((kind, number),))

    def item(self, number):
        """The value in the next frame, which must be a whole message."""
        for kind, found, payload in self.frames():
            if kind != CREDIT:
                assert (kind & ~CBOR, found) == (DATA, number), (kind, found, payload[:99])
                return cbor.loads(payload, Channel7) if kind & CBOR else payload
        raise AssertionError("the link ended")

    def items(self, number):
        """All messages up to the channel's CLOSE, and the fault in that."""
        items, parts = [], []
        for kind, found, payload in self.frames():
            if kind & 0xF0 == DATA and found == number:
                parts.append(payload)
                if not kind & MORE:
                    whole = b"".join(parts)
                    items.append(cbor.loads(whole, Channel7) if kind & CBOR else whole)
                    parts = []
            elif kind == CLOSE:
                assert found == number, (kind, found, payload[:99])
                return items, cbor.loads(payload) if payload else None
            else:
                assert kind in (CREDIT, EOF), (kind, found, payload[:99])
        raise AssertionError("the link ended, after %.99r" % items)

    def end(self):
        """What the worker says last: the fault in its CLOSE on channel 0, None for a farewell."""
        for kind, number, payload in self.frames():
            if kind == CLOSE and number == 0:
                assert self.frame() is None
                return cbor.loads(payload) if payload else None
        raise AssertionError("the link ended without a CLOSE")

    def hang_up(self):
        self.file.close()
        self.socket.close()

    def next_number(self):
        self.number += 2
        return self.number

    def status(self):
        self.write(frame(STATUS, 0))
        return cbor.loads(self.expect(STATUS, 0))


class Worker(Link):
    """A real worker: an interpreter that was sent the source."""

    def __init__(self, settings=None, read_hello=True, prefix=(), compiled=b"", **announced):
        super().__init__()
        self.stderr_file = tempfile.TemporaryFile()
        environment = dict(os.environ, PYTHONIOENCODING="ascii", LC_ALL="C")
        self.process = subprocess.Popen(
            list(prefix) + [sys.executable, "-c", LINE], stdin=self.far, stdout=self.far,
            stderr=self.stderr_file, env=environment, start_new_session=True)
        self.far.close()
        hello = dict({"versions": [1, 1], "settings": settings or {}}, **announced)
        self.write(source_with(compiled), PREAMBLE, frame(HELLO, 0, cbor.dumps(hello)))
        if read_hello:
            self.read_hello()

    def read_hello(self):
        assert self.file.read(len(PREAMBLE)) == PREAMBLE
        self.hello = read_hello(self.expect(HELLO, 0))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.hang_up()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise
        finally:
            if error[0]:
                sys.stderr.write(self.stderr())
            self.stderr_file.close()

    def exec(self, source, **more):
        """Starts a task, and gives its channel's number."""
        number = self.next_number()
        request = dict({"kind": "source", "source": source}, **more)
        self.write(frame(EXEC, number), frame(DATA | CBOR, number, cbor.dumps(request)))
        return number

    def run(self, source, *inputs, **more):
        """Runs a task to its end: its items and its fault."""
        number = self.exec(source, **more)
        for value in inputs:
            self.message(number, value)
        return self.close(number)

    def close(self, number):
        """The rest of what comes on the channel, whose CLOSE is answered."""
        result = self.items(number)
        self.answer(frame(CLOSE, number))
        return result

    def answer(self, *frames):
        """Writes to a worker that, when it ends, does not wait for this."""
        try:
            self.write(*frames)
        except BrokenPipeError:
            pass

    def collect(self):
        """Lets the worker notice dropped channels soon, also where nothing counts references."""
        if PYPY:
            self.run(COLLECTOR)

    def open(self):
        """Opens a channel, and gives its number."""
        number = self.next_number()
        self.write(frame(OPEN, number))
        return number

    def request(self, kind, **more):
        """Asks for something else than a task, and gives its channel's number."""
        number = self.next_number()
        self.write(frame(EXEC, number),
                   frame(DATA | CBOR, number, cbor.dumps(dict(more, kind=kind))))
        return number

    def command(self, *argv, streams=("stdout",), **more):
        """Starts a command: its channel's number, and those of its streams."""
        numbers = [self.open() for _ in streams]
        more.update(zip(streams, map(Channel7, numbers)))
        return [self.request("command", argv=list(argv), **more)] + numbers

    def collect_all(self, *numbers):
        """What comes on each of these channels up to its CLOSE, which is answered, and the fault there.

        Messages of the format bytes are joined. Credit is given for all.
        """
        found = {number: [b""] for number in numbers}
        faults = {}
        for kind, number, payload in self.frames():
            if kind == CLOSE:
                faults[number] = cbor.loads(payload) if payload else None
                self.answer(frame(CLOSE, number))
                if set(faults) >= set(numbers):
                    break
            elif kind & 0xF0 == DATA and kind & CBOR:
                found[number].append(cbor.loads(payload))
            elif kind & 0xF0 == DATA:
                found[number][0] += payload
                credit = (len(payload) + 8).to_bytes(4, "big")
                self.answer(frame(CREDIT, number, credit), frame(CREDIT, 0, credit))
        return [(found[number][0] or found[number][1:], faults[number]) for number in numbers]

    def interrupt(self, number):
        self.write(frame(INTERRUPT, number))

    def terminate(self, grace=10, kill=10):
        self.write(frame(TERMINATE, 0, HEADER.pack(int(grace * 1000), int(kill * 1000))))

    def wait(self):
        return self.process.wait(PATIENCE)

    def stderr(self):
        """What the worker and its programs have printed so far."""
        self.stderr_file.seek(0)
        return self.stderr_file.read().decode()


class Tasks:
    """Stands for the tasks of a worker that has none."""

    def __init__(self):
        self.failure = None

    def status(self):
        return {}

    def lost(self, failure=None):
        self.failure = failure


class LocalWorker(Link):
    """A connection in this process, without tasks. The far end's channels are at hand."""

    def __init__(self, **announced):
        super().__init__()
        hello = read_hello(cbor.dumps(dict({"versions": [1, 1]}, **announced)))
        self.tasks = Tasks()
        source = open(os.dup(self.far.fileno()), "rb")
        self.connection = Connection(source, os.dup(self.far.fileno()), hello, Channel, self.tasks)
        self.connection.gateway = Gateway(self.connection, "gw")
        self.connection.start(b"")
        self.far.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.hang_up()

    def open(self):
        """A channel that the controller opens: its number, and the far end's object."""
        number = self.next_number()
        self.write(frame(OPEN, number))
        self.sync()
        return number, self.connection.channel(number)

    def sync(self):
        """Waits until the far end has handled everything so far. The frames before that."""
        frames = self._ping()  # its reader has
        assert self.connection.lost or self.connection.await_written(Deadline(PATIENCE))
        return frames + self._ping()  # its writer has

    def _ping(self):
        self.write(frame(PING, 0, b"syncsync"))
        return list(iter(self.frame, (PONG, 0, b"syncsync")))
