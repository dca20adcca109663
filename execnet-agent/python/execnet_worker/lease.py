"""Who reads the link: the reader thread, or the thread that waits for a message.

Between a thread that waits for each answer and the link, the reader is a detour by two switches of
threads for each message. So once it has given such a thread its message, and nobody else waits, it
stands back for a moment: if the thread waits again, that thread reads. It does not handle frames,
for an exception may hit it at any bytecode. What it reads goes to `chunks` by one call of C code.
If that is nothing but its next message, it goes from there to `seen` by another, and the reader
counts it later; everything else is left to the reader, which takes over at once.

The ticket stands for reading: it is in its list, with the reader, or with the thread that waits. It
cannot get lost for ever, for the reader looks after it from time to time. Where a call of C code is
not one step (turn.py) the reader never stands back.
"""

import os
from _collections import deque
from time import monotonic

from .frame import DATA, HEADER
from .stream import Empty, SimpleQueue
from .turn import ONE_CALL, runs_anywhere

_CHUNK = 65536
_LONGEST = 1024
_MOST_SEEN = 64  # with the above so few bytes that credit for them is not late
_MOMENT = 0.005  # how long frames may wait while the thread that has read works on something else
_LONG = 2.0
_MOST_MISSES = 64
_popleft = deque.popleft


def is_message(chunk, stream):
    """Whether these bytes are one short message on this channel and nothing else."""
    if not 8 <= len(chunk) <= _LONGEST:
        return False
    word, number = HEADER.unpack_from(chunk)
    return (number == stream.number and len(chunk) == 8 + (word & 0xFFFFFF)
            and word >> 24 & 0xF8 == DATA and not stream.parts and not stream.over)


class Lease:
    def __init__(self, source, blocked):
        self.fd = source.fileno()
        self.blocked = blocked
        self.ticket = []
        self.chunks = deque()
        self.seen = deque()
        self.back = SimpleQueue()  # True: the ticket; None: have a look
        self.lent = False
        self.uses = 0
        self.moves = 0  # how often the ticket was given back
        self.asleep = False
        self.misses = self.countdown = 0
        self.poll = None
        self.wake_fds = ()

    # --- the reader's ---------------------------------------------------------------------------

    def is_wanted(self, chunk):
        """Whether the thread that gets this chunk is likely to wait for the next one, alone."""
        if not ONE_CALL or len(self.blocked) != 1 or self.wake_fds is None:
            return False
        for stream in list(self.blocked.values()):
            if not is_message(chunk, stream):
                return False
        self.countdown -= 1
        return self.countdown < 0

    def lend(self, count):
        """Lets others read until they stop. `count` is called when there is something seen."""
        if not self.poll and not self._prepare():
            return
        self.lent = True
        self.ticket.append(True)
        wait = _MOMENT
        while True:
            uses, moves = self.uses, self.moves
            try:
                mine = self.back.get(True, wait)
            except Empty:
                mine = False
                if self.uses == uses:
                    try:
                        mine = self.ticket.pop()
                    except IndexError:
                        mine = self._is_lost(moves)
                        self.asleep = True
                        if not mine and self.uses == uses and not self.ticket:
                            wait = _LONG
                            continue
            self.asleep = False
            wait = _MOMENT
            if self.seen:
                count()
            if mine:
                break
        self.lent = False
        if self.chunks:
            self.misses = min(2 * self.misses + 1, _MOST_MISSES)
        self.countdown = self.misses

    def _is_lost(self, moves):
        """Whether an interrupt, the second in a row, kept the thread that read from giving it back.

        Where it is must not change while that is found out: a thread that gives it back behind the
        first look may have it again at the last one.
        """
        return not (self.back.qsize() or runs_anywhere(Lease.lead, Lease.recall)
                    or self.moves != moves)

    def _prepare(self):
        try:
            from select import POLLIN, poll
            self.wake_fds = os.pipe()
            os.set_blocking(self.wake_fds[0], False)
            os.set_blocking(self.wake_fds[1], False)
        except (ImportError, OSError):
            self.wake_fds = None
            return False
        poller = poll()
        poller.register(self.fd, POLLIN)
        poller.register(self.wake_fds[0], POLLIN)
        self.poll = poller.poll
        return True

    # --- others' --------------------------------------------------------------------------------

    def lead(self, stream, timeout):
        """Reads until there is something. What the inbox would give, None to look there.

        Empty when nothing comes in time.
        """
        try:
            self.ticket.pop()
        except IndexError:
            return None
        try:
            end = None if timeout is None else monotonic() + timeout
            while True:
                if stream.inbox.qsize() or self.chunks:
                    return None
                ready = self.poll(end and max(0, end - monotonic()) * 1000)
                if not ready:
                    raise Empty
                if len(ready) == 1 and ready[0][0] == self.fd:
                    break
                self._drain()
            try:
                self.chunks.extend(map(os.read, (self.fd,), (_CHUNK,)))
            except OSError as error:
                if not error.errno:
                    raise  # of a signal handler
                return None
            chunk = self.chunks[0]
            if not is_message(chunk, stream):
                return None
            self.seen.extend(map(_popleft, (self.chunks,)))
            self.uses += 1
            self.misses = 0
            return chunk[0] & 7, chunk[8:], 0
        finally:
            self.moves += 1
            if self.chunks:
                self.back.put(True)
            else:
                self.ticket.append(True)
                if self.asleep or len(self.seen) & _MOST_SEEN:
                    self.back.put(None)

    def recall(self):
        """Lets the reader read on: there is somebody who waits for what it does, and does not read."""
        if self.ticket:
            try:
                self.ticket.pop()
            except IndexError:
                return
            self.moves += 1
            self.back.put(True)

    def wake(self):
        """Lets a thread that reads look at its inbox."""
        if self.lent and not self.ticket:
            try:
                os.write(self.wake_fds[1], b"\0")
            except OSError:
                pass  # there is enough in it

    def _drain(self):
        try:
            os.read(self.wake_fds[0], 4096)
        except OSError:
            pass

    def abandon(self):
        """In a forked child."""
        del self.ticket[:]
        self.lent = False
        fds, self.wake_fds, self.poll = self.wake_fds, None, None
        for fd in fds or ():
            os.close(fd)
