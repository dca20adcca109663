"""The thread that writes to the link: messages as far as credit goes, and credit."""

import os

from .frame import CLOSE, CREDIT, DATA, EOF, HEADER, MORE, OPEN, frame
from .stream import Stream

SETTLE = object()
"""Among the urgent streams: all of them."""

_MOST_WINDOW = 4194304
_BATCH = 131072
_JOIN = 65536
_MOST_PIECES = 1000
_LEAST_FRAGMENT = 1024
_writev = getattr(os, "writev", None) or (lambda fd, pieces: os.write(fd, b"".join(pieces)))


class Farewell(bytes):
    """The connection's own CLOSE, as a frame: nothing leaves behind it."""


class Writer:
    def __init__(self, connection):
        self.connection = connection
        self.account = connection.account
        self.max_fragment = min(connection.peer["max_frame"],
                                connection.peer["channel_window"] // 2)
        self.starving = {}  # streams that wait for the connection's credit, in turn

    def run(self):
        connection = self.connection
        queue = connection.queue
        bell = connection.bell
        answers = connection.answers
        urgent = connection.urgent
        while True:
            batch = []
            written = []
            size = 0
            if not queue:
                bell.get()
            turn = connection.turns.take(self.deliver)
            while bell.qsize():
                bell.get()
            while True:
                while answers:
                    batch.append(answers.popleft())
                while urgent:
                    self.attend(urgent.popleft(), batch)
                if not queue or size >= _BATCH:
                    break
                item = queue.popleft()
                if type(item) is Stream:
                    size += self.send_from(item, batch)
                elif item is None:
                    size += self.feed_starving(batch)
                elif type(item) is Farewell:
                    batch.append(item)
                    break
                else:
                    written.append(item)
            if batch and not connection.mute:
                self.deliver(batch)
                if type(batch[-1]) is Farewell:
                    connection.mute = True
            turn.over = True
            for done in written:
                done.put(None)

    def deliver(self, batch):
        """Writes all of it, or finds out that the link is gone."""
        try:
            self.write(batch)
        except OSError as error:
            self.connection.lose("the controller is gone: %s" % error)

    def write(self, batch):
        """Writes all of it. What is long is not copied."""
        out = self.connection.out
        size = sum(map(len, batch))
        if size > _JOIN and len(batch) < _MOST_PIECES:
            sent = _writev(out, batch)
            if sent == size:
                return
            data = b"".join(batch)
        else:
            data = b"".join(batch)
            sent = os.write(out, data)
        while sent < size:
            sent += os.write(out, memoryview(data)[sent:])

    def send_from(self, stream, batch):
        """Adds frames to the batch, as far as the stream's credit goes. Gives their size."""
        outbox = stream.outbox
        account = self.account
        if self.connection.lost:
            stream.lost = stream.lost or self.connection.lost
            self.finish(stream)
        size = 0
        while outbox and not stream.close_sent:
            kind, payload = outbox[0]
            if kind < DATA:
                outbox.popleft()
                self.control(stream, kind, payload, batch)
                continue
            if stream.eof_sent:  # one thread sent while another finished sending
                outbox.popleft()
                continue
            start = stream.offset
            left = len(payload) - start
            length = min(left, self.max_fragment)
            if stream.credit - stream.used < length + 8:
                self.connection.lease.recall()
                break
            room = account.credit - account.used - 8
            if room < length:
                if room < _LEAST_FRAGMENT:
                    self.connection.lease.recall()
                    self.starving[stream] = None
                    break
                length = room
            if length < left:
                kind |= MORE
                stream.offset += length
            else:
                outbox.popleft()
                stream.offset = 0
            batch.append(HEADER.pack(kind << 24 | length, stream.number))
            if length == len(payload):
                batch.append(payload)
            else:
                batch.append(memoryview(payload)[start:start + length])
            length += 8
            stream.used += length
            account.used += length
            size += length
            if size >= _BATCH:
                self.connection.put(stream)  # the others come first
                break
        if stream.close_sent:
            outbox.clear()
        if size and stream.waiters:
            stream.wake()
        return size

    def control(self, stream, kind, payload, batch):
        """Adds OPEN, EOF or CLOSE, in their turn among the messages."""
        connection = self.connection
        if kind == CLOSE:
            batch.append(frame(CLOSE, stream.number, payload))
            self.finish(stream)
        elif kind == EOF:
            if not stream.eof_sent:
                stream.eof_sent = True
                batch.append(frame(EOF, stream.number))
        elif len(connection.own) >= connection.peer["max_channels"]:
            stream.lost = "the controller takes no more than %d channels" % len(connection.own)
            self.finish(stream)
        else:
            number = connection.next_own
            connection.next_own += 2
            connection.own.add(number)
            connection.channels[number] = stream
            batch.append(frame(OPEN, number))
            stream.number = number
            stream.wake()

    def feed_starving(self, batch):
        size = 0
        if self.starving and self.account.credit - self.account.used >= _LEAST_FRAGMENT + 8:
            streams = list(self.starving)
            self.starving.clear()
            for stream in streams:
                size += self.send_from(stream, batch)
        return size

    def finish(self, stream):
        """Nothing more leaves on this channel."""
        stream.close_sent = True
        stream.outbox.clear()
        stream.wake()
        self.connection.forget(stream)
        if stream.task:
            self.connection.tasks.closed(stream)

    def attend(self, stream, batch):
        """Answers a CLOSE and gives credit, where it is time for that."""
        if stream is SETTLE:
            self.settle_all(batch)
            return
        if stream.close_received and not stream.close_sent:
            # Unseen messages wait for the application to find out about their channel.
            if stream.handle is None or not stream.fault and stream.inbox.qsize() < 2:
                batch.append(frame(CLOSE, stream.number))
                self.finish(stream)
        if stream.is_due() and not stream.over and not stream.close_sent:
            free = stream.free()
            due = free - stream.returned
            stream.returned = free
            if stream.window < _MOST_WINDOW and 4 * (stream.spent - free) < stream.window:
                due += stream.window  # it is read as fast as it comes
                stream.window *= 2
            stream.granted += due
            batch.append(frame(CREDIT, stream.number, due.to_bytes(4, "big")))
        self.settle(stream)
        self.give_connection_credit(batch)

    def settle(self, stream):
        """Counts what a stream has freed since the last time for the connection."""
        dirty = self.connection.dirty
        dirty.discard(stream)
        free = stream.free()
        self.account.settled += free - stream.settled
        stream.settled = free
        if free != stream.spent:
            dirty.add(stream)

    def settle_all(self, batch):
        account = self.account
        self.connection.tight = 2 * (account.granted - account.spent) < account.window
        for stream in list(self.connection.dirty):
            self.settle(stream)
        self.give_connection_credit(batch)

    def give_connection_credit(self, batch):
        # What unread messages hold does not circulate: half of the rest is what must come back.
        account = self.account
        due = account.settled - account.returned
        held = account.spent - account.settled
        if due and 2 * due >= account.window - held - 16:
            account.returned = account.settled
            account.granted += due
            batch.append(frame(CREDIT, 0, due.to_bytes(4, "big")))
            if self.connection.tight and 2 * (account.granted - account.spent) >= account.window:
                self.connection.settle()
