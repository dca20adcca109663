"""Whose turn it is to write to the link: the writer thread's, or that of a thread that sends.

A lone message is written by the thread that sends it; to hand it to the writer would take longer
than all the rest. But a KeyboardInterrupt, or whatever a program's signal handler raises, may hit
that thread at any bytecode. So what must not be torn apart is one call of C code: it takes the
ticket, counts the credit and writes. Before that call the writer may take the ticket instead; after
it the writer can do whatever the sender was kept from doing. Neither ever waits for a lock.

All of this counts on CPython: there a call of C code is one step for other threads and for signals,
and `sys._current_frames` shows who is in it. No other Python promises that: there the writer alone
writes.
"""

import os
import sys
from itertools import chain
from time import sleep

from .frame import CLOSE, HEADER

COALESCE = os.environ.get("EXECNET_COALESCE")
"""For tests of both ways: `always`, all goes through the two threads of the connection, which put together what they find;
`never`, no message waits for the next one."""

ONE_CALL = sys.implementation.name == "cpython" and COALESCE != "always"
"""Whether threads may read and write in place of the two that the connection has for that."""

_LONGEST = 4096  # beyond that a hand-over does not show; and what a pipe takes whole
_USED = "used", "used"
_CLOSE_SENT = "close_sent", "closed"
_TRUE = True, True
_pop = list.pop
# Before 3.7 a forked child is not told that it is one: it leaves the link to a writer that it does not have.
_parent = None if hasattr(os, "register_at_fork") else os.getpid()


class Turn:
    """One write. Turns follow each other; who hangs his behind the last one, when that is over, has it."""

    __slots__ = "ticket", "data", "steps", "next", "over"

    def __init__(self, ticket):
        self.ticket = ticket  # empty: it is being written, or the writer's
        self.data = b""
        self.steps = []  # what the call gave: 4 entries, of which the last is how much it wrote
        self.next = {}
        self.over = False


class Turns:
    def __init__(self, connection):
        self.connection = connection
        self.last = Turn([])
        self.last.over = True

    def newest(self):
        last = self.last
        while last.next:  # whoever hung it there did not come to tell
            self.last = last = last.next[0]
        return last

    def send(self, stream, kind, payload):
        """Writes a short message, or a CLOSE, at once if nothing stands before it.

        False: it is to be queued.
        """
        if not ONE_CALL or _parent is not None and _parent != os.getpid():
            return False
        connection = self.connection
        size = len(payload) + 8
        last = self.newest()
        if size > _LONGEST or not last.over or connection.queue:
            return False
        turn = Turn([None])
        if last.next.setdefault(0, turn) is not turn:
            return False
        self.last = turn
        # Only who has the turn changes these, and takes messages out of an outbox.
        if kind == CLOSE:
            targets, names, values = (stream, stream), _CLOSE_SENT, _TRUE
            may = not stream.close_received
        else:
            account = connection.account
            used = stream.used + size
            used_of_all = account.used + size
            targets, names, values = (stream, account), _USED, (used, used_of_all)
            may = used <= stream.credit and used_of_all <= account.credit and not stream.eof_sent
        if not may or stream.outbox or stream.close_sent or connection.mute:
            turn.over = True
            return False
        turn.data = data = HEADER.pack(kind << 24 | size - 8, stream.number) + payload
        steps = turn.steps
        try:
            steps.extend(chain(map(_pop, (turn.ticket,)),
                               map(setattr, targets, names, values),
                               map(os.write, (connection.out,), (data,))))
        except BaseException as error:
            if not steps:
                if isinstance(error, IndexError):
                    return False  # the writer did not want to wait
            elif len(steps) == 3:
                steps.append(0)
                connection.put(None)
                if isinstance(error, OSError) and error.errno:
                    return True  # the writer finds out
            raise
        if steps[3] == size:
            turn.over = True
        else:
            connection.put(None)
        return True

    def take(self, write):
        """The writer's turn. Takes over, or ends, what a sender was interrupted in."""
        pause = 0.0001
        while True:
            last = self.newest()
            if not last.over:
                steps = last.steps
                try:
                    last.ticket.pop()
                except IndexError:
                    if len(steps) < 4:
                        sleep(pause)
                        pause = min(2 * pause, 0.05)
                        if pause == 0.05 and len(steps) == 3 and not runs_anywhere(Turns.send):
                            steps.append(0)
                        continue
                    if steps[3] < len(last.data):
                        write([last.data[steps[3]:]])
                last.over = True
            turn = Turn([])
            if last.next.setdefault(0, turn) is turn:
                self.last = turn
                return turn


def runs_anywhere(*functions):
    """Whether some thread is in a call of one of these functions."""
    codes = [function.__code__ for function in functions]
    for frame in list(sys._current_frames().values()):
        while frame:
            if frame.f_code in codes:
                return True
            frame = frame.f_back
    return False
