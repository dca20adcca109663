"""Waiting for so long at most, in time that this process had."""

from time import monotonic, sleep

from .stream import Empty

_LOOK = 0.1
_LEAST_LOOKS = 4


class Deadline:
    """Comes in so many seconds, of which those do not count in which this process stood still.

    It may be stopped, or its machine sleep, or have more to do than it can. Whoever was given time
    is not to lose it by that: looks are counted, each of which takes its due, however long it took.
    """

    def __init__(self, seconds):
        self.left = seconds
        self.look = min(_LOOK, seconds / _LEAST_LOOKS)

    def get(self, queue):
        """What comes out of a queue. Empty when nothing does in time."""
        while self.left > 0:
            start = monotonic()
            try:
                entry = queue.get(True, self.look)
            except Empty:
                self.left -= self.look
            else:
                self.left -= min(self.look, monotonic() - start)
                return entry
        raise Empty

    def sleep(self, seconds):
        sleep(seconds)
        self.left -= seconds
