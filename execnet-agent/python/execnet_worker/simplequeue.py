"""queue.SimpleQueue for Python 3.6 and for PyPy, which have none."""

from _collections import deque
from _thread import allocate_lock
from time import monotonic


class Empty(Exception):
    """Nothing came in time."""


class SimpleQueue:
    def __init__(self):
        self._items = deque()
        self._wake = allocate_lock()

    def put(self, item):
        self._items.append(item)
        self._awaken()

    def get(self, block=True, timeout=None):
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        end = None if timeout is None else monotonic() + timeout
        try:
            while True:
                try:
                    return self._items.popleft()
                except IndexError:
                    left = -1 if end is None else max(0, end - monotonic())
                    if not (block and self._wake.acquire(True, left)):
                        raise Empty from None
        finally:
            if self._items:
                self._awaken()  # the next one; also when an interrupt kept this one from its item

    def qsize(self):
        """How many there are; whoever waits has been woken for them."""
        size = len(self._items)
        if size:
            self._awaken()  # an interrupt may have kept `put` from that
        return size

    def _awaken(self):
        try:
            self._wake.release()
        except RuntimeError:
            pass
