"""Tasks: what runs on the channels that EXEC opened, and how it ends."""

import os
import sys
from _signal import SIGINT, SIGKILL, getsignal, pthread_kill
from _thread import get_ident, start_new_thread
from time import monotonic, sleep

from . import cbor, sources
from .channel import ChannelClosed, EndOfChannel
from .deadline import Deadline
from .frame import CBOR, fault
from .stream import Empty, SimpleQueue

if sys.version_info < (3, 13):
    import threading  # here, for it takes the thread that loads it for the main one

_SOURCE = cbor.dumps({"kind": "source"})[1:]
"""How a request for a program begins, behind the map's head."""

_TEXT_ALONE = b"\xa2" + _SOURCE + cbor.dumps("source")
"""How one begins that says nothing but the program's text."""

CodeType = type(compile("", "", "exec"))
_MOST_KEPT = 32
_LONGEST_KEPT = 65536 if hasattr(CodeType, "replace") else -1  # from 3.8 on
_codes = {}  # of the last programs, by their texts

_KINDS = "command", "compiled", "connect", "source"


class Task:
    """One EXEC, from its frame until both its program and its channel are done."""

    __slots__ = ("number", "stream", "channel", "request", "in_main", "runner", "thread", "cancel",
                 "interrupts", "signalled", "unwatched", "done")

    def __init__(self, number, stream):
        self.number = number
        self.stream = stream
        self.channel, stream.handle = stream.handle, None
        self.request = None
        self.in_main = True
        self.runner = None  # its thread, unless that is the main thread
        self.thread = None  # the number of its thread, while its program runs
        self.cancel = None  # while an async function runs, how to cancel it
        self.interrupts = []  # an entry while one is on its way to the thread, …
        self.signalled = False  # … as a signal that the main thread has yet to see
        self.unwatched = [True]  # empty from the first interrupt on
        self.done = False


class Tasks:
    """All tasks of the worker. The main thread takes one whenever it is idle."""

    def __init__(self, execmodel):
        self.connection = None
        self.execmodel = execmodel
        self.main = get_ident()
        self.pid = os.getpid()
        self.count = 0
        self.pending = {}  # stream: task, until it is over
        self.running = set()
        self.services = {}  # commands and connections, by their tasks
        self.guardian = None  # what kills the commands when this process is killed
        self.queue = SimpleQueue()  # for the main thread; None ends it
        self.main_is_free = True
        self.main_task = None
        self.interrupt_at = None  # set when the worker is to end
        self.kill = 0  # how long after that those have who still run
        self.events = SimpleQueue()
        self.refusing = False
        self.parted = SimpleQueue()  # has an entry when the farewell has been said
        self.orphaned = False
        self.exit_code = 0

    # --- told by the connection's threads ------------------------------------------------------

    def execute(self, stream):
        """An EXEC came; its request follows."""
        self.count += 1
        stream.task = task = Task(self.count, stream)
        if self.interrupt_at is None:
            self.pending[stream] = task
        else:
            stream.request_due = False
            self._finish(task, self._fault("OSError", "the worker ends, it takes no new tasks"))

    def request(self, stream, form=None, payload=None, arrived=0):
        """The first message on a task's channel; without a form the channel ended before it."""
        task = stream.task
        task.request = form, payload, arrived
        if form is None:
            stream.request_due = False
            self._finish(task, self._fault("ValueError", "the channel ended before its request"))
        elif form == CBOR and not (type(payload) is bytes and payload.startswith(_SOURCE, 1)):
            self._start_thread(task, self._find_out)
        else:
            self._queue(task)

    def _queue(self, task):
        """Lets the main thread run a program, or another one when that is busy."""
        if self.main_is_free or self.execmodel == "main_thread_only":
            self.main_is_free = False
            self.queue.put(task)
        else:
            task.in_main = False
            self._start_thread(task, self._run_in_thread)

    def _start_thread(self, task, run):
        from threading import Thread
        try:
            task.runner = Thread(target=run, args=(task,), daemon=True,
                                 name="execnet task %d" % task.number)
            task.runner.start()
        except RuntimeError as error:
            self._finish(task, self._fault("RuntimeError", str(error)))

    def interrupt(self, stream):
        """Raises KeyboardInterrupt in the program on this channel, if one runs there.

        One that comes while another is still on its way is the same one.
        """
        task = stream.task
        if task in self.services:
            self.services[task].interrupt()
        if task is None or not task.thread or task.interrupts:
            return
        task.interrupts.append(None)
        try:
            start_new_thread(self._interrupt_main if task.in_main else self._interrupt_thread,
                             (task,))
        except RuntimeError:
            task.interrupts.clear()

    def terminate(self, grace, kill):
        """Takes no more tasks, interrupts those that run after `grace`, ends after `kill`."""
        interrupt_at = monotonic() + grace
        if self.interrupt_at is None:
            self.interrupt_at, self.kill = interrupt_at, kill
            # Who waits for more input waits in vain; what is on its way is still to come whole. When
            # the link is lost they are not to take that for an end: the connection tells them.
            streams = () if self.connection.lost else list(self.connection.channels.values())
            for stream in streams:
                if not (stream.request_due or stream.parts):
                    stream.ended = True
                    stream.end()
            start_new_thread(self._watch, ())
        else:
            self.interrupt_at = min(self.interrupt_at, interrupt_at)
            self.kill = min(self.kill, grace + kill if self.refusing else kill)
            self.events.put(None)

    def lost(self, failure=None):
        """The link has ended."""
        if self.interrupt_at is None or self.pending:
            self.orphaned = True
        self.kill_services()
        if failure:
            self.exit_code = 1
        self.terminate(0, 1)

    def closed(self, stream):
        """The CLOSE of this task's channel has been sent."""
        task = stream.task
        if task and task.done:
            self._over(stream)

    def status(self):
        return {"executing": len(self.running), "queued": self.queue.qsize(),
                "execmodel": self.execmodel}

    # --- running -------------------------------------------------------------------------------

    def run_main(self):
        """Runs tasks in the main thread until the worker is to end."""
        task = None
        while True:
            try:
                if task is None:
                    task = self.queue.get()
                    if task is None:
                        return
                    self._run(task)
                else:
                    self._see_off(task)
                task = None
            except KeyboardInterrupt:
                pass  # between the program and its end, or of a handler that a program left behind
            if os.getpid() != self.pid:
                os._exit(0)  # a program forked, and its child came back here

    def on_sigint(self, signum, frame):
        """The main thread's handler: an interrupt is for the program that runs, and no other.

        Never for the lines around it, which are to tell its end and have nobody to catch it.
        """
        task = self.main_task
        if task is None or not _in_program(frame):
            return  # one that is for this task is sent again
        if task.interrupts:
            if not task.signalled:
                return  # it has been seen
            task.signalled = False
        raise KeyboardInterrupt

    def _run_in_thread(self, task):
        try:
            self._run(task)
        except KeyboardInterrupt:
            pass  # between the program and its end, see `_interrupt_thread`

    def _find_out(self, task):
        """Does what a request asks for that does not begin as one for a program does."""
        error = None
        try:
            request = task.request = _read_request(task)
            if request["kind"] == "source":
                task.runner = None
                self._queue(task)
                return
            from .service import serve
            serve(task, self, request)
        except Exception as failure:
            error = self._fault(type(failure).__name__, str(failure))
        self._finish(task, error)
        if self.interrupt_at is not None:
            self.events.put(None)

    def _run(self, task):
        error = None
        try:
            try:
                self._enter(task)
                _perform(task)
            finally:
                self._leave(task)
        except BaseException as failure:
            self._leave(task)
            error = self._explain(task, failure)
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except Exception:
                pass
        self._end(task, error)

    def _enter(self, task):
        self.running.add(task)
        task.thread = get_ident()
        if task.in_main:
            self.main_task = task
        # Looked at last: who interrupts all does not see a task that is not among them yet.
        if self.refusing:
            raise KeyboardInterrupt("the worker ends")

    def _leave(self, task):
        """From here on no interrupt is for this task. May be interrupted itself, and repeated."""
        if task.in_main and self.main_task is task:
            self.main_task = None
            self.main_is_free = True
        task.thread = None
        # One that is on its way would hit what this thread does next, or the next thread that has
        # its number.
        while task.interrupts:
            sleep(0.0005)

    def _see_off(self, task):
        """Tells the end of a task that an interrupt kept from telling it."""
        self._leave(task)
        if not task.done:
            self._end(task, self._fault("KeyboardInterrupt", ""))

    def _explain(self, task, error):
        """What the CLOSE of a task says; nothing when it ended because its channel did."""
        stream = task.stream
        hung_up = not stream.closed and (stream.close_received or stream.lost)
        quiet = (EndOfChannel, ChannelClosed) if hung_up else EndOfChannel
        if isinstance(error, quiet) and error.channel is task.channel:
            return None
        from .explain import describe, report
        parts = describe(error)
        if isinstance(error, Exception) and (stream.closed or stream.close_received):
            report("task %d failed behind the end of its channel" % task.number, parts)
        return self._fault(*parts)

    def _fault(self, *parts):
        return fault(*parts, limit=self.connection.peer["max_frame"])

    def _end(self, task, error):
        """Tells the end of a task that ran."""
        self._finish(task, error)
        self.running.discard(task)
        if self.interrupt_at is not None:
            self.events.put(None)

    def _finish(self, task, error):
        stream = task.stream
        task.done = True
        # In this order: whoever finds it closed may close it as well, and the first word counts.
        stream.push_close(error or b"")
        stream.closed = True
        stream.end()
        task.request = task.channel = None
        if stream.close_sent:
            self._over(stream)

    def _over(self, stream):
        self.pending.pop(stream, None)
        stream.task = None  # the two are not left to the collector
        if self.interrupt_at is not None:
            self.events.put(None)

    def _interrupt_main(self, task):
        try:
            # A signal that comes just before a system call does not end it: send more until one
            # is seen. A program's own handler would see them all, it gets one.
            task.signalled = not _cancel(task)
            while task.signalled and task.thread:
                pthread_kill(self.main, SIGINT)
                if getsignal(SIGINT) != self.on_sigint:
                    break
                sleep(0.005)
        finally:
            task.interrupts.clear()

    def _interrupt_thread(self, task):
        try:
            from ctypes import c_ulong, py_object, pythonapi
            thread = not _cancel(task) and task.thread
            if thread and task.runner.is_alive():
                pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread), py_object(KeyboardInterrupt))
                stream = task.stream.connection.blocked.get(thread)
                if stream:
                    stream.nudge()
        except (ImportError, AttributeError):
            pass  # this Python cannot
        finally:
            task.interrupts.clear()
        # It may have come so late that it hit what tells the task's end, in which nothing of ours
        # can catch it for sure. Somebody else tells it then.
        try:
            task.unwatched.pop()
        except IndexError:
            return
        task.runner.join()
        self._see_off(task)

    # --- ending --------------------------------------------------------------------------------

    def _watch(self):
        """Sees the worker to its end, in a thread of its own."""
        while self.pending and self.interrupt_at > monotonic():
            try:
                self.events.get(True, max(0, self.interrupt_at - monotonic()))
            except Empty:
                pass
        self.refusing = True
        for task in [*self.running, *list(self.services)]:
            self.interrupt(task.stream)
        self._await_end()
        self.kill_services()
        if self.running:
            self.exit(1, True)
        self.queue.put(None)
        # What programs left behind (threads, exit handlers) may not hold the worker for ever, nor cut its farewell
        # short.
        for seconds in self.patience() + 1, self.kill:
            try:
                Deadline(max(seconds, 0.1)).get(self.parted)
            except Empty:
                pass
        self.exit(self.exit_code, self.orphaned)

    def _await_end(self):
        """Waits until nothing runs any more, or those that do have had their time."""
        kill = self.kill
        deadline = Deadline(kill)
        while self.running or self.services:
            if self.kill < kill:
                kill = self.kill
                deadline = Deadline(min(kill, deadline.left))
            try:
                deadline.get(self.events)
            except Empty:
                return

    def patience(self):
        """How long the last messages may take to leave."""
        return min(self.kill, 0.2) if self.pending else self.kill

    def kill_services(self):
        for service in list(self.services.values()):
            service.kill()

    def exit(self, code, kill_group):
        """Ends the process, with its children when it leads a group of its own."""
        self.kill_services()
        if kill_group and os.getpgrp() == os.getpid():
            os.killpg(0, SIGKILL)
        os._exit(code)


def _cancel(task):
    """Cancels the async function that a task runs. False when there is none, or when other code keeps
    its event loop from running: that is to be interrupted where it is.
    """
    if not task.cancel:
        return False
    call, cancel, cancelled = task.cancel
    try:
        call(cancel)
    except RuntimeError:
        return False  # the loop has ended
    for _ in range(50):
        if cancelled or not task.thread:
            return True
        sleep(0.01)
    return False


def _in_program(frame):
    """Whether this is a frame of what the main thread performs, or of a stack that is none of ours,
    as a greenlet's.
    """
    while frame is not None:
        if frame.f_code is _perform.__code__:
            return True
        if frame.f_code is Tasks.run_main.__code__:
            return False
        frame = frame.f_back
    return True


def _perform(task):
    """Runs what the request of a task asks for."""
    source, filename, function, kwargs = _read_source(task)
    namespace = {"channel": task.channel, "__name__": "__channelexec__"}
    if filename is None:
        filename = "<remote exec %d>" % task.number
    else:
        namespace["__file__"] = filename
    sources.remember(filename, source)
    exec(_compile(source, filename), namespace)
    if function is not None:
        if function not in namespace:
            raise NameError("%s has no function %r" % (filename, function))
        result = namespace[function](task.channel, **kwargs)
        if result is not None:
            _deliver(task, function, result)


def _compile(source, filename):
    """The code of a program. That of the last ones is kept, for those who send the same again and again."""
    code = _codes.pop(source, None)
    if code is None:
        code = compile(source, filename, "exec", 0, True)
    elif code.co_filename != filename:
        code = _renamed(code, filename)
    if len(source) <= _LONGEST_KEPT:
        _codes[source] = code
        for old in list(_codes)[:-_MOST_KEPT] if len(_codes) > _MOST_KEPT else ():
            _codes.pop(old, None)
    return code


def _renamed(code, filename):
    """The same code from another file: 2 µs, where to compile one line takes 20."""
    consts = tuple(_renamed(const, filename) if type(const) is CodeType else const
                   for const in code.co_consts)
    return code.replace(co_filename=filename, co_consts=consts)


def _deliver(task, function, result):
    """Sends what a function returned; a coroutine is awaited for it."""
    from types import AsyncGeneratorType, GeneratorType
    if hasattr(type(result), "__await__"):
        from .coroutine import run
        result = run(result, task)
    if isinstance(result, (GeneratorType, AsyncGeneratorType)):
        raise TypeError("%s() is a generator, whose body nobody would run: send its items, "
                        "as in `channel.send(item)`, instead of yielding them" % function)
    if result is not None:
        try:
            task.channel.send(result)
        except (TypeError, ValueError) as error:
            raise type(error)("what %s() returned does not cross: %s" % (function, error)) from None


def _read_request(task):
    """The map that a task's channel began with."""
    if type(task.request) is dict:
        return task.request
    form, payload, arrived = task.request
    task.request = None
    task.stream.took(arrived)
    if form != CBOR:
        raise ValueError("the request is not in the format cbor")
    if type(payload) is list:
        payload = b"".join(payload)
    request = cbor.loads(payload, task.stream.connection.channel)
    if type(request) is not dict:
        raise ValueError("the request is not a map")
    if request.get("kind") not in _KINDS:
        raise ValueError("a request of the kind %r; known are: %s"
                         % (request.get("kind"), ", ".join(_KINDS)))
    return request


def _read_source(task):
    if type(task.request) is tuple:
        form, payload, arrived = task.request
        if form == CBOR and type(payload) is bytes and payload.startswith(_TEXT_ALONE):
            # Most are like this, and a map takes four times as long.
            source = cbor.loads(payload[len(_TEXT_ALONE):])
            if type(source) is str:
                task.stream.took(arrived)
                task.request = None
                return _dedent(source), None, None, {}
    request = _read_request(task)
    task.request = None
    for key, kind in ("source", str), ("filename", str), ("function", str), ("kwargs", dict):
        if type(request.setdefault(key, None)) is not kind and (
                key == "source" or request[key] is not None):
            raise ValueError("the request's %s is %.80r" % (key, request[key]))
    return (_dedent(request["source"]), request["filename"], request["function"],
            request["kwargs"] or {})


def _dedent(source):
    """Without the indentation that all lines share. Text that starts at the margin has none."""
    text = source.lstrip("\r\n")
    if text[:1] in (" ", "\t"):
        from textwrap import dedent
        return dedent(source)
    return source
