"""Channels as file objects."""

from _collections import deque


def open_channel(channel, mode, proxyclose):
    if mode == "w":
        return Writer(channel, proxyclose)
    if mode == "r":
        return Reader(channel, proxyclose)
    raise ValueError("makefile: the mode is 'r' or 'w', not %r" % (mode,))


class _File:
    def __init__(self, channel, proxyclose):
        self.channel = channel
        self.closed = False
        self._proxyclose = proxyclose

    def close(self):
        self.closed = True
        if self._proxyclose:
            self.channel.close()

    def _check(self):
        if self.closed:
            raise ValueError("I/O operation on a closed file")

    def isatty(self):
        return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Writer(_File):
    """Each write is one item."""

    def write(self, data):
        self._check()
        self.channel.send(data)
        return len(data)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def writable(self):
        return True


class Reader(_File):
    """The items, all text or all bytes, as one stream of it."""

    def __init__(self, channel, proxyclose):
        super().__init__(channel, proxyclose)
        self._pieces = deque()  # received and not yet read, …
        self._at = 0  # … but for the start of the first
        self._empty = ""

    def read(self, size=-1):
        """`size` characters or bytes, fewer at the end only; without a size all that come."""
        to_end = size is None or size < 0
        have = sum(map(len, self._pieces)) - self._at
        while (to_end or have < size) and self._pull():
            have += len(self._pieces[-1])
        return self._take(have if to_end else min(size, have))

    def readline(self):
        """The next line, with the newline that ends it."""
        have = index = 0
        while index < len(self._pieces) or self._pull():
            piece = self._pieces[index]
            at = 0 if index else self._at
            end = piece.find("\n" if isinstance(piece, str) else b"\n", at) + 1
            if end:
                return self._take(have + end - at)
            have += len(piece) - at
            index += 1
        return self._take(have)

    def readlines(self):
        return list(self)

    def _pull(self):
        """Receives the next piece; false at the end. What is there stays when this fails."""
        self._check()
        try:
            item = self.channel.receive()
            while isinstance(item, (str, bytes)) and not item:
                item = self.channel.receive()
        except EOFError:
            return False
        if not isinstance(item, (str, bytes) if not self._pieces else type(self._empty)):
            raise TypeError("channel.makefile('r'): received %.80r where text or bytes "
                            "are read, and not both" % (item,))
        self._empty = item[:0]
        self._pieces.append(item)
        return True

    def _take(self, size):
        """The first part of what is there."""
        parts = []
        while size > 0:
            piece = self._pieces[0]
            parts.append(piece[self._at:self._at + size])
            size -= len(parts[-1])
            self._at += len(parts[-1])
            if self._at == len(piece):
                self._pieces.popleft()
                self._at = 0
        return self._empty.join(parts)

    def readable(self):
        return True

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line
