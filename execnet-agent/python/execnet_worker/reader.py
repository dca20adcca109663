"""The thread that reads the link: frames in, messages and events out."""

import os
import sys

from . import cbor
from .frame import (CLOSE, CREDIT, DATA, EOF, EXEC, FORMATS, HEADER, INTERRUPT, LIMITS, MAX_WINDOW,
                    MORE, OPEN, PING, PONG, STATUS, TERMINATE, ProtocolError, fault, frame,
                    read_fault)
from .stream import Stream

_CHUNK = 65536  # glibc gets a buffer of 128 KiB or more from the system, anew for each read
_MOST = 262144  # while so much comes that it pays
_FORMATS = len(FORMATS)
_QUESTIONS = 128  # 64 each of PING and STATUS


class Reader:
    def __init__(self, connection):
        self.connection = connection
        self.handlers = {
            OPEN: self.on_open, EXEC: self.on_exec, CREDIT: self.on_credit, EOF: self.on_eof,
            CLOSE: self.on_close, INTERRUPT: self.on_interrupt, TERMINATE: self.on_terminate,
            PING: self.on_ping, PONG: self.on_pong, STATUS: self.on_status,
        }

    def run(self):
        connection = self.connection
        failure = None
        reason = "the controller is gone"
        try:
            self.read_frames()
        except OSError as error:
            reason = "the controller is gone: %s" % error
        except ProtocolError as error:
            reason = str(error)
            failure = fault("ProtocolError", reason)
        except BaseException as error:
            reason = "the worker failed: %r" % error
            failure = fault("InternalError", reason)
            sys.excepthook(*sys.exc_info())
        if failure:
            connection.say_farewell(failure)
        connection.lose(reason, failure)

    def read_frames(self):
        """Reads and handles frames until the link ends."""
        source = self.connection.source
        fd = source.fileno()
        lease = self.connection.lease
        # Another reader was here before: what it has buffered comes first, at once and whole.
        data = source.read1(_CHUNK)
        while data:
            self.connection.reads += 1
            at, missing = self.parse(data)
            rest = data[at:]
            if lease.blocked and not rest and lease.is_wanted(data):
                lease.lend(self.count_seen)
                self.count_seen()
            size = _CHUNK if len(data) < _CHUNK else _MOST
            data = lease.chunks.popleft() if lease.chunks else os.read(fd, size)
            if rest:
                pieces = [rest, data]
                missing -= len(data)
                while missing > 0 and data:
                    data = os.read(fd, size)
                    self.connection.reads += 1
                    pieces.append(data)
                    missing -= len(data)
                if missing > 0:
                    return
                data = b"".join(pieces)

    def parse(self, data):
        """Handles all whole frames. Where they end, and how many bytes the next one misses."""
        unpack = HEADER.unpack_from
        handlers = self.handlers
        on_data = self.on_data
        max_frame = LIMITS["max_frame"]
        total = len(data)
        at = 0
        while total - at >= 8:
            word, number = unpack(data, at)
            kind = word >> 24
            size = word & 0xFFFFFF
            if size > max_frame:
                raise ProtocolError("a frame of %d bytes, at most %d are accepted"
                                    % (size, max_frame))
            end = at + 8 + size
            if end > total:
                return at, end - total
            payload = data[at + 8:end]
            at = end
            if kind & 0xF0 == DATA:
                on_data(kind, number, payload, size)
            elif kind in handlers:
                handlers[kind](number, payload)
            elif not kind & 0x80:
                raise ProtocolError("a frame of the unknown kind %02x" % kind)
        connection = self.connection
        account = connection.account
        if 2 * (account.granted - account.spent) < account.window and not connection.tight:
            connection.tight = True
            connection.settle()
        return at, 8 - (total - at)

    def count_seen(self):
        """Counts the messages that their threads have read and taken themselves."""
        seen = self.connection.lease.seen
        while seen:
            chunk = seen.popleft()
            word, number = HEADER.unpack_from(chunk)
            self.on_data(word >> 24, number, None, word & 0xFFFFFF)

    def on_data(self, kind, number, payload, size):
        connection = self.connection
        stream = connection.channels.get(number)
        if stream is None or stream.over:
            raise ProtocolError("DATA on channel %d, which is not open" % number)
        cost = size + 8
        stream.spent += cost
        if stream.settled == stream.spent - cost:
            connection.dirty.add(stream)
        account = connection.account
        account.spent += cost
        if stream.spent > stream.granted or account.spent > account.granted:
            raise ProtocolError("DATA beyond the credit of channel %d" % number)
        form = kind & 7
        if form >= _FORMATS:
            raise ProtocolError("DATA in the format %d, which was not offered" % form)
        parts = stream.parts
        if parts:
            if parts[0] != form:
                raise ProtocolError("fragments of several formats on channel %d" % number)
            stream.parts_size += size
            if stream.parts_size > LIMITS["max_message"]:
                raise ProtocolError("a message longer than %d bytes" % LIMITS["max_message"])
            parts.append(payload)
        if kind & MORE:
            if not size:
                raise ProtocolError("an empty fragment on channel %d" % number)
            if not parts:
                stream.parts = [form, payload]
                stream.parts_size = size
            stream.exempt += cost
            if stream.closed or stream.ended:
                stream.parts[1:] = ()
            elif stream.is_due():
                connection.urge(stream)
            return
        if parts:
            payload = parts[1:]
            stream.parts = None
        if stream.closed or stream.ended:
            stream.exempt += cost
            return
        stream.arrived += cost
        if payload is None:
            stream.took(stream.arrived)
        elif stream.request_due:
            stream.request_due = False
            connection.tasks.request(stream, form, payload, stream.arrived)
        else:
            stream.inbox.put((form, payload, stream.arrived))

    def on_open(self, number, payload):
        connection = self.connection
        channels = connection.channels
        if payload or number != connection.next_theirs:
            raise ProtocolError("channel %d opened where %d comes next, or with a payload"
                                % (number, connection.next_theirs))
        if len(channels) - len(connection.own) >= LIMITS["max_channels"]:
            raise ProtocolError("more than %d channels" % LIMITS["max_channels"])
        connection.next_theirs += 2
        channels[number] = stream = Stream(connection, number)
        connection.add_handle(stream)
        return stream

    def on_exec(self, number, payload):
        stream = self.on_open(number, payload)
        stream.request_due = True
        self.connection.tasks.execute(stream)

    def on_credit(self, number, payload):
        connection = self.connection
        if len(payload) != 4:
            raise ProtocolError("CREDIT of %d bytes" % len(payload))
        amount = int.from_bytes(payload, "big")
        target = self.known(number, "CREDIT") if number else connection.account
        if not amount or target.credit + amount - target.used > MAX_WINDOW:
            raise ProtocolError("CREDIT of %d on channel %d" % (amount, number))
        target.credit += amount
        if not number:
            connection.put(None)
        elif target.outbox:
            connection.put(target)

    def on_eof(self, number, payload):
        stream = self.known(number, "EOF")
        if payload or stream.over or stream.parts:
            raise ProtocolError("EOF on channel %d: twice, inside a message, or with a payload"
                                % number)
        stream.over = True
        stream.end()
        if stream.request_due:
            self.connection.tasks.request(stream)

    def on_close(self, number, payload):
        error = read_fault(payload)
        if not number:
            if error:
                sys.stderr.write("execnet: the controller closed: %(type)s: %(message)s\n" % error)
            raise OSError("it said farewell")
        stream = self.known(number, "CLOSE")
        if not stream.closed:
            stream.fault = error
        stream.over = stream.close_received = True
        stream.parts = None
        stream.end()
        if stream.request_due:
            self.connection.tasks.request(stream)
        self.connection.urge(stream)
        self.connection.forget(stream)

    def on_interrupt(self, number, payload):
        stream = self.known(number, "INTERRUPT")
        if payload:
            raise ProtocolError("INTERRUPT of %d bytes" % len(payload))
        self.connection.tasks.interrupt(stream)

    def on_terminate(self, number, payload):
        _check_fixed("TERMINATE", number, payload)
        grace, kill = HEADER.unpack(payload)
        self.connection.tasks.terminate(grace / 1000, kill / 1000)

    def on_ping(self, number, payload):
        _check_fixed("PING", number, payload)
        self.answer(frame(PONG, 0, payload))

    def on_pong(self, number, payload):
        _check_fixed("PONG", number, payload)

    def on_status(self, number, payload):
        if number:
            raise ProtocolError("STATUS on channel %d" % number)
        if not payload:
            streams = list(self.connection.channels.values())
            waiting = [stream.number for stream in streams if stream.outbox]
            self.answer(frame(STATUS, 0, cbor.dumps(dict(
                self.connection.tasks.status(),
                channels=len(streams), waiting_for_credit=waiting[:1000]))))

    def answer(self, answer):
        connection = self.connection
        if len(connection.answers) >= _QUESTIONS:
            raise ProtocolError("more than %d questions before their answers" % _QUESTIONS)
        connection.answers.append(answer)
        connection.put(None)

    def known(self, number, name):
        """The stream with this number, which the other side has not closed."""
        stream = self.connection.channels.get(number)
        if stream is None or stream.close_received:
            raise ProtocolError("%s on channel %d, which is not open" % (name, number))
        return stream


def _check_fixed(name, number, payload):
    if number or len(payload) != 8:
        raise ProtocolError("%s on channel %d of %d bytes" % (name, number, len(payload)))
