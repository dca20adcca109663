"""Channels as programs see them."""

from _thread import get_ident
from marshal import loads as _read_marshal
from time import monotonic

from . import cbor
from .frame import BYTES, CBOR, CLOSE, DATA, EOF, MARSHAL, fault
from .stream import END, Empty
from .turn import COALESCE

_BACKLOG = 65536
# A message so soon behind another one may leave together with the next.
_BURST = -1 if COALESCE == "never" else 0.0005
_NO_END = object()
_CONTAINERS = frozenset((list, tuple, set, frozenset, dict))


class RemoteError(Exception):
    """The other side closed the channel with an error: its `type`, `message` and `traceback`."""

    def __init__(self, type, message, traceback=""):
        super().__init__(type, message, traceback)
        self.type = type
        self.message = message
        self.traceback = traceback

    @property
    def formatted(self):
        """The traceback, or what there is of it."""
        return self.traceback or "%s: %s" % (self.type, self.message)

    def __str__(self):
        return self.formatted


class TimeoutError(TimeoutError):
    """Nothing came in time."""


class EndOfChannel(EOFError):
    """The other side sends no more; raised by `channel`, which a task may let pass."""

    def __init__(self, channel):
        super().__init__("%r: no more items" % channel)
        self.channel = channel


class ChannelClosed(OSError):
    """`channel` takes nothing more; a task may let it pass when the controller closed it."""

    def __init__(self, why, channel):
        super().__init__("cannot send: %s" % why)
        self.channel = channel


class Gateway:
    """The worker, as a channel's `gateway`."""

    def __init__(self, connection, id):
        self._connection = connection
        self.id = id

    def newchannel(self):
        """A new channel, which becomes useful when it is sent to the other side."""
        return self._connection.open_channel()

    def __repr__(self):
        return "<Gateway %s>" % self.id


class Channel:
    """A two-way stream of items. All methods may be called from any thread."""

    RemoteError = RemoteError
    TimeoutError = TimeoutError

    def __init__(self, stream):
        self._stream = stream

    @property
    def id(self):
        """The channel's number on its connection."""
        return self._stream.number

    @property
    def gateway(self):
        return self._stream.connection.gateway

    def __repr__(self):
        stream = self._stream
        if self.isclosed():
            state = "closed"
        else:
            state = "open" + ", no more items" * stream.over + ", finished sending" * stream.finished
        return "<Channel %s %s>" % (stream.number, state)

    def send(self, item):
        """Sends one item; waits while too much is on its way.

        TypeError or ValueError, which names the place, when something in it does not cross;
        OSError when the channel is closed. An item that a KeyboardInterrupt found waiting arrives.
        """
        stream = self._stream
        connection = stream.connection
        kind = type(item)
        payload = None
        if kind in _CONTAINERS:
            if connection.marshal:
                kind, payload = DATA | MARSHAL, _write_marshal(item)
        elif kind is bytes:
            kind, payload = DATA | BYTES, item
        elif kind is bytearray or kind is memoryview:
            kind, payload = DATA | BYTES, bytes(item)
        if payload is None:
            try:
                kind, payload = DATA | CBOR, cbor.dumps(item)
            except (TypeError, ValueError, RecursionError) as error:
                from .explain import refusal
                raise refusal(item, error) from None
        if stream.closed or stream.finished or stream.over:
            self._refuse_to_send()
        size = len(payload)
        if size > connection.peer["max_message"]:
            raise ValueError("channel.send: %d bytes, the controller takes at most %d"
                             % (size, connection.peer["max_message"]))
        now = monotonic()
        lone = now > stream.next_lone
        stream.next_lone = now + _BURST
        if lone and connection.turns.send(stream, kind, payload):
            return
        outbox = stream.outbox
        stream.push(kind, payload)
        size += 64
        if len(outbox) * size > _BACKLOG and len(outbox) > 1:
            stream.wait(lambda: len(outbox) * size <= _BACKLOG // 2 or len(outbox) < 2
                        or stream.close_received or stream.lost)
            if stream.close_received or stream.lost:
                self._refuse_to_send()

    def _refuse_to_send(self):
        stream = self._stream
        if stream.lost or stream.connection.lost:
            why = stream.lost or stream.connection.lost
        elif stream.closed:
            why = "channel %s is closed" % stream.number
        elif stream.close_received:
            why = "channel %s was closed by the controller" % stream.number
        elif stream.finished:
            why = "channel %s has finished sending" % stream.number
        else:
            return
        raise ChannelClosed(why, self)

    def receive(self, timeout=None):
        """The next item. After the last one RemoteError or EndOfChannel, an EOFError, for ever.

        TimeoutError when nothing comes within `timeout` seconds; 0 does not wait.
        """
        if self._stream.has_callback:
            raise OSError("cannot receive: channel %s has a callback" % self._stream.number)
        return self._receive(timeout)

    def _receive(self, timeout=None):
        stream = self._stream
        try:
            entry = stream.take(timeout)
        except Empty:
            raise TimeoutError("nothing came within %s seconds" % timeout) from None
        if entry is END:
            self._raise_error()
            raise EndOfChannel(self)
        kind, payload, _ = entry
        if type(payload) is list:
            payload = b"".join(payload)
        if kind == MARSHAL:
            try:
                return _read_marshal(payload)
            except (ValueError, EOFError, TypeError) as error:
                raise cbor.DecodeError("no value in marshal: %s" % error) from None
        if kind == CBOR:
            return cbor.loads(payload, stream.connection.channel)
        return payload

    def _raise_error(self):
        stream = self._stream
        if stream.fault:
            raise RemoteError(**{key: stream.fault[key] for key in ("type", "message", "traceback")})
        if stream.lost:
            raise OSError(stream.lost)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.receive()
        except EndOfChannel:
            raise StopIteration from None

    next = __next__

    def finish_sending(self):
        """Tells the other side that nothing more comes; it may go on sending."""
        if not self._stream.closed:
            self._stream.finished = True
            self._stream.push(EOF)

    def close(self, error=None):
        """Closes both directions; the other side sees the text `error` as a RemoteError."""
        if error is None:
            self._close(b"")
        elif isinstance(error, str):
            self._close(self._fault("RemoteError", error))
        else:
            raise TypeError("close(error): a str, not %s" % cbor.kind_name(type(error)))

    def _fault(self, *parts):
        return fault(*parts, limit=self._stream.connection.peer["max_frame"])

    def _close(self, payload):
        stream = self._stream
        if not stream.close_sent:
            # In this order: whoever finds it closed may close it as well, and the first word counts.
            stream.push(CLOSE, payload)
            stream.closed = True
            stream.end()

    def isclosed(self):
        """Whether either side has closed the channel, or the connection is lost."""
        stream = self._stream
        return bool(stream.closed or stream.close_received or stream.lost)

    def waitclose(self, timeout=None):
        """Waits until no more items come, and raises the RemoteError if there is one.

        A callback has been called with all of them then, but for where it waits itself.
        """
        stream = self._stream
        done = None, get_ident()
        if not stream.wait(
                lambda: (stream.over or stream.closed) and stream.calling in done, timeout):
            raise TimeoutError("not closed within %s seconds" % timeout)
        self._raise_error()

    def setcallback(self, callback, endmarker=_NO_END):
        """Calls `callback(item)` for each item, in a thread of its own, and with `endmarker` last.

        When it raises, the channel closes with that error, and the callback is not called again.
        """
        stream = self._stream
        if stream.has_callback:
            raise OSError("channel %s has a callback already" % stream.number)
        from threading import Thread
        thread = Thread(target=self._call, args=(callback, endmarker), daemon=True,
                        name="execnet callback %s" % stream.number)
        stream.has_callback, stream.calling = True, 0
        try:
            thread.start()
        except RuntimeError:
            stream.has_callback, stream.calling = False, None
            raise

    def _call(self, callback, endmarker):
        stream = self._stream
        stream.calling = get_ident()
        try:
            while True:
                try:
                    item = self._receive()
                except (EndOfChannel, RemoteError, OSError):
                    break
                callback(item)
            if endmarker is not _NO_END:
                callback(endmarker)
        except BaseException as error:
            from .explain import describe, report
            parts = describe(error)
            if stream.closed or stream.close_received:
                report("the callback of channel %s failed behind its end" % stream.number, parts)
            self._close(self._fault(*parts))
        finally:
            stream.calling = None
            stream.wake()

    def makefile(self, mode="w", proxyclose=False):
        """A file object that sends what is written ("w"), or reads what was received ("r")."""
        from .fileio import open_channel
        return open_channel(self, mode, proxyclose)

    def __del__(self):
        try:
            stream = self._stream
            stream.closed = stream.dropped = True
            if not stream.close_sent:
                stream.push(CLOSE)
            if stream.settled != stream.spent:
                stream.connection.urge(stream)
        except AttributeError:
            pass  # the interpreter is ending


def _write_marshal(item):
    # Loaded when the first container is sent.
    global _write_marshal
    from .marshaling import dumps as _write_marshal
    return _write_marshal(item)


def _number(channel):
    if channel.isclosed():
        raise cbor.EncodeError("%r does not cross any more" % channel)
    return channel.id


cbor.register(Channel, _number)
