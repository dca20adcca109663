"""One channel's state inside its connection, and the credit of both directions.

Each attribute is changed by one of three: the threads of users, the reader or the writer. All of
them read it. Counters of bytes only grow; what is left of something is the difference of two, and
one that is read a little late errs on the side of caution.
"""

from _collections import deque
from _thread import allocate_lock, get_ident
from time import monotonic

from .frame import CLOSE, LIMITS

try:
    from _queue import Empty, SimpleQueue
except ImportError:
    from .simplequeue import Empty, SimpleQueue

END = object()
"""In an inbox: nothing more comes. It stays there, for every reader to see."""

_MOST_KEPT = 524288
_NUDGE = object()


class Account:
    """The credit of a channel, or of the connection."""

    __slots__ = "window", "granted", "spent", "returned", "settled", "credit", "used"

    def __init__(self, window, credit):
        # What the other side sends: the reader counts what it spent, the writer the rest.
        self.window = window
        self.granted = window  # all credit that it was ever given
        self.spent = 0
        self.returned = 0  # the part of `spent` that was given back on this account, …
        self.settled = 0  # … and the part that is known to be free for the connection
        # What this side sends: the reader counts the credit, the writer its use.
        self.credit = credit
        self.used = 0


class Stream(Account):
    """One channel inside its connection."""

    __slots__ = (
        "connection", "number", "handle", "handle_ref", "task",
        "outbox", "next_lone", "waiters", "taken", "closed", "finished", "dropped", "has_callback", "calling",
        "inbox", "request_due", "arrived", "exempt", "parts", "parts_size",
        "over", "ended", "close_received", "fault", "lost",
        "offset", "eof_sent", "close_sent",
    )

    def __init__(self, connection, number):
        super().__init__(LIMITS["channel_window"], connection.peer["channel_window"])
        self.connection = connection
        self.number = number
        self.handle = None  # the channel, until the application takes notice of it
        self.handle_ref = None
        self.task = None  # what an EXEC started here
        # Users.
        self.outbox = deque()  # (kind, payload) in the order of sending; the writer takes out
        self.next_lone = 0  # from then on a message is not one of many
        self.waiters = []
        self.taken = 0  # how much of `arrived` the application has
        self.closed = self.finished = self.dropped = self.has_callback = False
        self.calling = None  # the thread that calls the callback, 0 before it runs
        # The reader.
        self.inbox = SimpleQueue()  # (format, payload, `arrived` with it)
        self.request_due = False
        self.arrived = 0  # the part of `spent` that the application is to take, …
        self.exempt = 0  # … and the part that is free at once
        self.parts = None  # an unfinished message: its format and its fragments
        self.parts_size = 0
        self.over = False  # the other side sends no more messages
        self.ended = False  # what it still sends is not taken: the worker is to end
        self.close_received = False
        self.fault = None
        self.lost = None
        # The writer.
        self.offset = 0  # in the first message of the outbox
        self.eof_sent = self.close_sent = False

    def free(self):
        """How much of `spent` need not be held any more."""
        return self.spent if self.dropped else self.taken + self.exempt

    def push(self, kind, payload=b""):
        """Queues a message, EOF or CLOSE."""
        self.outbox.append((kind, payload))
        connection = self.connection
        try:
            # Whoever takes that out of the queue finds this one as well; unless an interrupt kept
            # the thread that put it there from ringing.
            if connection.queue[-1] is self and connection.bell.qsize():
                return
        except IndexError:
            pass
        connection.put(self)

    def push_close(self, payload=b""):
        """Sends CLOSE, at once if nothing stands before it."""
        if self.connection.turns.send(self, CLOSE, payload):
            self.wake()
            self.connection.forget(self)
        else:
            self.push(CLOSE, payload)

    def end(self):
        """Lets everybody see that nothing more comes."""
        self.inbox.put(END)
        self.wake()
        self.connection.lease.wake()

    def take(self, timeout=None):
        """The next entry of the inbox, or END. Empty when none comes in time."""
        inbox = self.inbox
        entry = _NUDGE
        self.next_lone = 0
        if inbox.qsize():
            try:
                entry = inbox.get(False)
            except Empty:
                pass  # another reader was faster
        while entry is _NUDGE:
            entry = self._await_entry(timeout)
        if entry is END:
            inbox.put(END)
        else:
            self.took(entry[2])
        return entry

    def took(self, arrived):
        """What arrived up to here needs no credit any more."""
        if arrived > self.taken:
            self.taken = arrived
        if self.is_due() or self.connection.tight:
            self.connection.urge(self)

    def is_due(self):
        """Whether to give credit back: when half of the window, with a header, would not be left.

        A sender whose fragments are half of it, the longest allowed, never waits in vain then. Of a
        large window more than half must be on its way to fill a distant link.
        """
        due = self.taken + self.exempt - self.returned
        return 2 * due >= self.window - 16 or due >= _MOST_KEPT

    def _await_entry(self, timeout):
        if (self.over or self.closed) and not self.inbox.qsize():
            self.inbox.put(END)  # an interrupt came where the last reader put it back
        lease = self.connection.lease
        blocked = self.connection.blocked
        blocked[get_ident()] = self
        try:
            if lease.ticket:
                if len(blocked) == 1 and (timeout is None or timeout >= 0):
                    entry = lease.lead(self, timeout)
                    if entry:
                        return entry
                if not self.inbox.qsize():
                    lease.recall()
            return self.inbox.get(True, timeout)
        finally:
            blocked.pop(get_ident(), None)

    def wait(self, condition, timeout=None):
        """Waits until `condition()`, which is asked again after each change; false: timed out."""
        end = None if timeout is None else monotonic() + timeout
        blocked = self.connection.blocked
        while not condition():
            waiter = allocate_lock()
            waiter.acquire()
            blocked[get_ident()] = self
            self.waiters.append(waiter)
            try:
                if condition():
                    return True
                self.connection.lease.recall()
                if not waiter.acquire(True, -1 if end is None else max(0, end - monotonic())):
                    return condition()
            finally:
                blocked.pop(get_ident(), None)
                if waiter in self.waiters:
                    self.waiters.remove(waiter)
        return True

    def wake(self):
        """Lets those who wait look at their conditions."""
        waiters = self.waiters
        while waiters:
            try:
                waiters.pop().release()
            except (IndexError, RuntimeError):
                pass

    def nudge(self):
        """Lets a blocked thread see an exception that was raised in it from outside."""
        self.inbox.put(_NUDGE)
        self.wake()
        self.connection.lease.wake()
