"""One connection to the controller (PROTOCOL.md, sections 4, 5 and 8).

The reader thread handles all frames, the writer thread all credit. No user code runs in them, so
no KeyboardInterrupt and no exception of a signal handler ever lands there. The threads of users
touch a connection by single operations of C code only: they append to a deque, put into a queue,
set an attribute; and where they read (lease.py) or write (turn.py) in place of the two, that is
one such operation too. Whatever interrupts them comes before or after it. That is why no interrupt,
at any point, can leave half a frame on the link or a lock held.
"""

import os
from _collections import deque
from _thread import start_new_thread
from _weakref import ref
from time import sleep

from . import cbor
from .deadline import Deadline
from .frame import CLOSE, FORMATS, LIMITS, OPEN, frame
from .lease import Lease
from .reader import Reader
from .stream import Account, Empty, SimpleQueue, Stream
from .turn import Turns
from .writer import SETTLE, Farewell, Writer

_LITTLE = 4096
_MOST_ENDED = 64
_LOOKS = 10
_NEVER = 1 << 32


class Connection:
    """The link and its channels. `tasks` is told what to run, and of the end."""

    def __init__(self, source, out, peer, channel_type, tasks):
        self.source = source
        self.out = out
        self.peer = peer  # its HELLO
        self.marshal = "marshal" in FORMATS and "marshal" in peer["formats"]
        self.channel_type = channel_type
        self.tasks = tasks
        self.account = Account(LIMITS["connection_window"], peer["connection_window"])
        self.channels = {}
        self.own = set()  # numbers of those that this side opened
        self.next_own, self.next_theirs = 2, 1
        self.blocked = {}  # thread: the stream that it waits for
        self.lease = Lease(source, self.blocked)
        self.turns = Turns(self)
        self.dirty = set()  # streams that hold some of the connection's credit
        self.reads = 0  # how often something came
        self.tight = False  # less than half of that is left: every byte taken is looked at
        self.lost = None  # why there is no link any more
        self.mute = False  # nothing more leaves: it is lost, or the farewell has been said
        # What the writer has to do: in turn, and before that. It takes nothing out before it has its turn: who wants
        # to write for himself sees what stands before him. The bell is where it waits.
        self.queue = deque()
        self.bell = SimpleQueue()
        self.answers = deque()
        self.urgent = deque()

    def put(self, item):
        """Gives the writer something to do."""
        self.queue.append(item)
        self.bell.put(None)

    def start(self, greeting):
        """Sends the greeting, while nobody is there to send anything before it, and starts the two threads."""
        writer = Writer(self)
        writer.deliver([greeting])
        start_new_thread(writer.run, ())
        start_new_thread(Reader(self).run, ())
        promise = self.peer["keepalive_ms"]
        if 0 < promise < _NEVER:
            start_new_thread(self._await_silence, (3 * promise / 1000,))

    def _await_silence(self, limit):
        """Ends the connection when nothing comes for so long: the other side promised to be heard.

        Looks are counted, and not time. So a worker that was stopped, or a machine that slept, reads
        first what has come meanwhile.
        """
        from select import POLLIN, poll
        poller = poll()
        poller.register(self.source.fileno(), POLLIN)
        heard, silent = None, 0
        while silent < _LOOKS and not self.lost:
            sleep(limit / _LOOKS)
            now = self.reads, self.lease.uses
            unread = self.lease.chunks or poller.poll(0)
            heard, silent = now, silent + 1 if now == heard and not unread else 0
        if not self.lost:
            self.lose("no answer from the controller for %.3g s" % limit)

    def open_channel(self):
        """A channel that this side opens. OSError when the other side takes no more."""
        stream = Stream(self, None)
        channel = self.add_handle(stream)
        stream.push(OPEN)
        stream.wait(lambda: stream.number is not None or stream.lost)
        stream.handle = None
        if stream.lost:
            raise OSError(stream.lost)
        return channel

    def channel(self, number):
        """The channel that came in a value."""
        stream = self.channels.get(number)
        channel = stream and (stream.handle or stream.handle_ref())
        if channel:
            stream.handle = None
            if stream.close_received:
                self.urge(stream)  # the CLOSE that answers waits for this
            return channel
        if number >= (self.next_theirs if number & 1 else self.next_own):
            raise cbor.DecodeError("channel %d was never opened" % number)
        stream = Stream(self, number)
        stream.closed = stream.over = stream.close_received = stream.close_sent = True
        stream.end()
        return self.channel_type(stream)

    def add_handle(self, stream):
        """Makes a stream's channel, which the stream keeps until the application notices it."""
        stream.handle = channel = self.channel_type(stream)
        stream.handle_ref = ref(channel)
        return channel

    def urge(self, stream):
        """Lets the writer look at a stream's credit, and at whether to answer a CLOSE.

        When all that is left is the little credit that a channel held at its end, others may come
        first: to wake the writer for each short task would take longer than to run it.
        """
        self.urgent.append(stream)
        if (not stream.close_sent or self.tight or stream.spent - stream.settled > _LITTLE
                or len(self.urgent) > _MOST_ENDED):
            self.put(None)

    def settle(self):
        """Lets the writer look at the credit of all streams."""
        self.urgent.append(SETTLE)
        self.put(None)

    def close(self, deadline, payload=b""):
        """Sends what is queued, as far as credit comes in time, then CLOSE."""
        while self.await_written(deadline):
            if not any(stream.outbox for stream in list(self.channels.values())):
                break
            deadline.sleep(0.005)
        self.say_farewell(payload)

    def say_farewell(self, payload=b""):
        """Sends the connection's own CLOSE, behind which nothing more leaves."""
        self.put(Farewell(frame(CLOSE, 0, payload)))
        self.await_written(Deadline(1))

    def await_written(self, deadline):
        """Waits until the writer has come to this point; false when it has not in time."""
        done = SimpleQueue()
        self.put(done)
        try:
            deadline.get(done)
        except Empty:
            return False
        return not self.lost

    def lose(self, reason, failure=None):
        """The link is gone: tells the tasks, and ends all channels with this reason.

        In this order: no task is over, for want of its channel, before the worker knows that it is an orphan.
        """
        first = not self.lost
        if first:
            self.lost = reason
            self.mute = True
        self.tasks.lost(failure)
        if first:
            self._lose_streams()

    def _lose_streams(self):
        for stream in list(self.channels.values()):
            self.lose_stream(stream)

    def lose_stream(self, stream):
        stream.lost = self.lost
        stream.over = True
        stream.end()
        self.put(stream)

    def forget(self, stream):
        """Drops a channel once both sides have closed it; either thread may come here last."""
        if stream.close_sent and stream.close_received:
            self.channels.pop(stream.number, None)
            self.own.discard(stream.number)
            stream.handle = None

    def abandon(self):
        """In a forked child: the link belongs to the parent."""
        for stream in list(self.channels.values()):
            stream.calling = None  # that thread is the parent's as well
        self.lost = self.lost or "this is a forked child, channels belong to its parent"
        self.mute = True
        self._lose_streams()
        self.lease.abandon()
        self.source.close()
        os.close(self.out)
