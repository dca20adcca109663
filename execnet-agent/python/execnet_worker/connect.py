"""Connections that the controller makes from here (PROTOCOL.md, section 7)."""

import socket
from _thread import allocate_lock

from .channel import Channel, ChannelClosed
from .frame import BYTES
from .service import describe, spawn
from .stream import END

_CHUNK = 131072


class Connect:
    """A connection, until both its directions are at their ends."""

    def __init__(self, task, tasks, request):
        address, self.stream = request.get("address"), request.get("stream")
        if type(self.stream) is not Channel:
            raise ValueError("a connection's stream is %.80r, not a channel" % (self.stream,))
        self.channel = task.channel
        self.failure = None
        self.receiving = allocate_lock()
        try:
            self.socket, self.peer = _connect(address)
        except Exception as error:
            self.stream._close(self.stream._fault(*describe(error)))
            raise

    def run(self):
        """Carries the bytes, and fails as the connection did."""
        self.receiving.acquire()
        try:
            self.channel.send({"peer": self.peer})
            spawn(self.watch, (), "end of " + self.peer)
            spawn(self.receive, (), "bytes from " + self.peer)
            self.forward()
            self.receiving.acquire()
        except ChannelClosed:
            pass
        finally:
            self.kill()
            self.socket.close()
        if self.failure:
            raise self.failure

    def watch(self):
        """Ends the connection at once when the controller closes the request's channel."""
        stream = self.channel._stream
        stream.wait(lambda: stream.close_received or stream.lost or stream.closed)
        self.kill()

    def kill(self):
        """Ends both directions at once."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended by itself
        self.stream.close()

    def interrupt(self):
        pass

    def fail(self, error):
        stream = self.stream._stream
        if not (stream.close_received or stream.lost or self.channel.isclosed()):
            self.failure = self.failure or error
            self.stream._close(self.stream._fault(*describe(error)))
        self.kill()

    def receive(self):
        """Sends what comes over the connection."""
        try:
            while True:
                data = self.socket.recv(_CHUNK)
                if not data:
                    break
                self.stream.send(data)
            self.stream.finish_sending()
        except ChannelClosed:
            self.kill()
        except OSError as error:
            self.fail(error)
        finally:
            self.receiving.release()

    def forward(self):
        """Writes what comes on the channel to the connection."""
        stream = self.stream._stream
        try:
            while True:
                entry = stream.take()
                if entry is END:
                    break
                form, data, _ = entry
                if form != BYTES:
                    raise OSError("a connection takes bytes, in the format bytes")
                for piece in data if type(data) is list else (data,):
                    self.socket.sendall(piece)
            if stream.close_received or stream.lost or stream.closed:
                self.kill()
            else:
                self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.fail(error)


def _connect(address):
    """A connection, and the text of the address that it reached."""
    if type(address) is str and address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address[5:])
        except BaseException:
            connection.close()
            raise
        return connection, address
    host, colon, port = address.rpartition(":") if type(address) is str else ("", "", "")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an IPv6 address needs brackets
    if not (host and colon and port.isdigit() and int(port) < 65536):
        raise ValueError("the address is %.80r, not HOST:PORT, [IPV6]:PORT or unix:PATH" % (address,))
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    host, port = connection.getpeername()[:2]
    return connection, ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)
