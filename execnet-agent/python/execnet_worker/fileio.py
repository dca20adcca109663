"""Channels as file objects."""


def open_channel(channel, mode, proxyclose):
    if mode == "w":
        return Writer(channel, proxyclose)
    if mode == "r":
        return Reader(channel, proxyclose)
    raise ValueError("makefile: the mode is 'r' or 'w', not %r" % (mode,))


class _File:
    def __init__(self, channel, proxyclose):
        self.channel = channel
        self._proxyclose = proxyclose

    def close(self):
        if self._proxyclose:
            self.channel.close()

    def isatty(self):
        return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Writer(_File):
    """Each write is one item."""

    def write(self, data):
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
        self._rest = ""
        self._ended = False

    def read(self, size=-1):
        """`size` characters or bytes, fewer at the end only; without a size all that come."""
        to_end = size is None or size < 0
        pieces = [self._rest]
        have = len(self._rest)
        while (to_end or have < size) and self._pull(pieces):
            have += len(pieces[-1])
        return self._split(pieces, have if to_end else size)

    def readline(self):
        """The next line, with the newline that ends it."""
        pieces = [self._rest]
        have = 0
        while True:
            last = pieces[-1]
            end = last.find(b"\n" if isinstance(last, bytes) else "\n") + 1
            if end:
                return self._split(pieces, have + end)
            have += len(last)
            if not self._pull(pieces):
                return self._split(pieces, have)

    def _pull(self, pieces):
        """Appends the next item; false at the end."""
        if not self._ended:
            try:
                pieces.append(self.channel.receive())
            except EOFError:
                self._ended = True
        return not self._ended

    def _split(self, pieces, size):
        pieces = list(filter(None, pieces)) or pieces[-1:]
        whole = pieces[0][:0].join(pieces)
        self._rest = whole[size:]
        return whole[:size]

    def readable(self):
        return True

    def __iter__(self):
        while True:
            line = self.readline()
            if not line:
                return
            yield line
