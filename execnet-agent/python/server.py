"""A server of execnet gateways in Python alone, for hosts where no binary may be put.

    python3 server.py --listen 0.0.0.0:8888 --token-file FILE [--python COMMAND]

Each connection that has the token gets a worker process of its own, which ends with it. It needs Python 3.7 or
newer with OpenSSL 1.1.1, and is reached like the other one: socket=HOST:8888//token_file=FILE.

What it does not, and `execnet-agent serve` does: TLS with raw public keys (Python's ssl knows none, so the same keys travel
in certificates, and clients take a second connection to find that out); several tokens, or reading them again;
certificates of an authority; unix sockets; the settings python=, dont_write_bytecode and native workers of a
client; its env: only once the interpreter runs; limits of workers and of idle time; a status; draining. It passes
bytes on in Python, so it is slower by far. Python's ssl takes keys from files alone: where there are none in
memory, as Linux has them from Python 3.8 on, the server's key is for a moment in one that only its user can read.
"""

import argparse
import hashlib
import hmac
import os
import select
import shlex
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time

MAGIC = b"\x89EXN\r\n\x1a\n"
ALPN = "execnet/1"
HANDSHAKE = 10  # seconds
ENDING = 1.5  # how long a worker may take to end itself
PIECE = 65536
STRANGERS = 64  # connections that have not authenticated


# ---- keys: HKDF (RFC 5869) and as much of Ed25519 (RFC 8032) as makes a certificate

_P = 2 ** 255 - 19
_L = 2 ** 252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_Y = 4 * pow(5, _P - 2, _P) % _P
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE = (_X, _Y, 1, _X * _Y % _P)


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(number):
    result, point = (0, 1, 1, 0), _BASE
    while number:
        if number & 1:
            result = _add(result, point)
        point = _add(point, point)
        number >>= 1
    inverse = pow(result[2], _P - 2, _P)
    x, y = result[0] * inverse % _P, result[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def _der(tag, content):
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    if size < 256:
        return bytes((tag, 0x81, size)) + content
    return bytes((tag, 0x82)) + size.to_bytes(2, "big") + content


class Identity:
    """A key that is derived from a token, and the certificate around it: byte by byte what clients make too."""

    def __init__(self, token, label):
        secret = hmac.new(b"execnet token v1", token, hashlib.sha256).digest()
        self.seed = hmac.new(secret, label + b"\x01", hashlib.sha256).digest()
        digest = hashlib.sha512(self.seed).digest()
        scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        public = _multiply(scalar)
        algorithm = b"\x30\x05\x06\x03\x2b\x65\x70"
        name = _der(0x30, b"\x06\x03\x55\x04\x03" + _der(0x0c, b"execnet"))
        name = _der(0x30, _der(0x31, name))
        dates = _der(0x30, _der(0x17, b"700101000000Z") + _der(0x18, b"99991231235959Z"))
        spki = _der(0x30, algorithm + b"\x03\x21\x00" + public)
        body = b"\xa0\x03\x02\x01\x02\x02\x01\x01" + algorithm + name + dates + name + spki
        body = _der(0x30, body)
        nonce = _hash(digest[32:], body) % _L
        first = _multiply(nonce)
        second = (nonce + _hash(first, public, body) * scalar) % _L
        signature = first + second.to_bytes(32, "little")
        self.certificate = _der(0x30, body + algorithm + _der(0x03, b"\x00" + signature))

    def pem(self):
        key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20" + self.seed
        return _pem("PRIVATE KEY", key) + _pem("CERTIFICATE", self.certificate)


def _pem(what, der):
    import base64
    text = base64.encodebytes(der).decode()
    return "-----BEGIN %s-----\n%s-----END %s-----\n" % (what, text, what)


def make_context(token):
    """The server's TLS, and the certificate that a client must show."""
    if not getattr(ssl, "HAS_TLSv1_3", False) or not hasattr(ssl, "TLSVersion"):
        found = sys.version.split()[0], ssl.OPENSSL_VERSION
        raise OSError("Python 3.7 and TLS 1.3 are needed; this is %s with %s" % found)
    ours, theirs = Identity(token, b"server ed25519"), Identity(token, b"client ed25519")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.verify_mode = ssl.CERT_REQUIRED
    if hasattr(context, "num_tickets"):
        context.num_tickets = 0
    # By files, not by `cadata`, which Python 3.7 cannot read with OpenSSL 3.
    _load(context.load_cert_chain, ours.pem())
    _load(context.load_verify_locations, _pem("CERTIFICATE", theirs.certificate))
    return context, theirs.certificate


def _load(take, text):
    """Gives a key to ssl, which takes it from files alone: from one in memory where there are such."""
    if hasattr(os, "memfd_create"):
        try:
            with os.fdopen(os.memfd_create("execnet"), "w") as file:
                file.write(text)
                file.flush()
                return take("/proc/self/fd/%d" % file.fileno())
        except OSError:
            pass  # no /proc
    fd, path = tempfile.mkstemp()  # 0600
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
        take(path)
    finally:
        os.unlink(path)


# ---- one connection

class Frames:
    """Where the frames of a worker end, by their headers alone."""

    def __init__(self):
        self.rest = b""

    def whole(self, data):
        """The bytes up to the end of the last whole frame; what is behind them waits."""
        data = self.rest + data
        at = 0
        while len(data) - at >= 8:
            size = int.from_bytes(data[at + 1:at + 4], "big")
            if at + 8 + size > len(data):
                break
            at += 8 + size
        self.rest = data[at:]
        return data[:at]


def frame(kind, payload):
    return struct.pack(">II", kind << 24 | len(payload), 0) + payload


def _text(text):
    text = text.encode("utf-8", "replace")[:8000]
    return b"\x79" + len(text).to_bytes(2, "big") + text


def farewell(kind, message):
    """CLOSE, with an error."""
    return frame(6, b"\xa2\x64type" + _text(kind) + b"\x67message" + _text(message))


def wait(reading, writing, seconds):
    """Which of them are ready. By poll where there is one: select takes no descriptor above 1023."""
    if not hasattr(select, "poll"):
        return select.select(reading, writing, [], seconds)[:2]
    poll, events = select.poll(), {}
    for sources, event in (reading, select.POLLIN), (writing, select.POLLOUT):
        for source in sources:
            number = source if isinstance(source, int) else source.fileno()
            events[number] = events.get(number, 0) | event
    for number, event in events.items():
        poll.register(number, event)
    found = dict(poll.poll(None if seconds is None else max(0, int(seconds * 1000))))
    ended = select.POLLHUP | select.POLLERR | select.POLLNVAL

    def ready(sources, event):
        numbers = [(it, it if isinstance(it, int) else it.fileno()) for it in sources]
        return [it for it, number in numbers if found.get(number, 0) & (event | ended)]

    return ready(reading, select.POLLIN), ready(writing, select.POLLOUT)


class Session:
    """A client with its worker: one thread, since an SSLSocket takes no two at once."""

    def __init__(self, client, argv, source, env=None):
        self.client = client
        ours, theirs = socket.socketpair()
        self.link = ours
        self.worker = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True,
            env=None if env is None else dict(os.environ, **env))
        theirs.close()
        self.to_worker = source
        self.to_client = b""
        self.frames = Frames()
        self.started = False  # the worker's preamble has come
        self.greeted = False  # and its HELLO, in front of which nothing may stand
        self.printed = b""
        self.closed = False  # the worker's last frame was its farewell
        self.client_open = self.worker_open = self.stderr_open = True

    def run(self):
        try:
            self.pump()
        except (OSError, ssl.SSLError):
            self.client_open = False
        finally:
            self.end()

    def pump(self):
        stderr = self.worker.stderr.fileno()
        for source in self.client, self.link:
            source.setblocking(False)
        os.set_blocking(stderr, False)
        patience = None
        while self.worker_open or self.to_client:
            reading, writing = [], []
            if self.client_open and len(self.to_worker) < PIECE:
                reading.append(self.client)
            if self.worker_open and len(self.to_client) < PIECE:
                reading.append(self.link)
            if self.stderr_open and len(self.printed) < PIECE:
                reading.append(stderr)
            if self.to_worker and self.worker_open:
                writing.append(self.link)
            if self.to_client and self.client_open:
                writing.append(self.client)
            left = None
            if not self.client_open:
                patience = patience or time.monotonic() + ENDING
                left = patience - time.monotonic()
                if left <= 0:
                    return
            if self.client in reading and self.client.pending():
                left = 0
            ready = wait(reading, writing, left)
            if stderr in ready[0]:
                self.printed += self.read(lambda: os.read(stderr, 8192), "stderr_open") or b""
            if self.link in ready[0]:
                self.from_worker(self.read(lambda: self.link.recv(PIECE), "worker_open"))
            if self.printed and self.greeted:
                self.to_client += frame(0x82, b"\x02" + self.printed[:16000])
                self.printed = self.printed[16000:]
            if self.client in reading and (self.client in ready[0] or self.client.pending()):
                self.to_worker += self.read(lambda: self.client.recv(PIECE), "client_open") or b""
            if self.link in ready[1] and self.to_worker:
                try:
                    self.to_worker = self.to_worker[self.link.send(self.to_worker):]
                except BlockingIOError:
                    pass
                except OSError:
                    self.to_worker = b""
            if not self.client_open and not self.to_worker and self.worker_open:
                self.half_close()
            if self.to_client and self.client_open:
                try:
                    self.to_client = self.to_client[self.client.send(self.to_client):]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                    pass

    def half_close(self):
        try:
            self.link.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read(self, take, flag):
        """What there is; None when there is nothing yet, or no more."""
        try:
            data = take()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return None
        except OSError:
            data = b""
        if not data:
            setattr(self, flag, False)
        return data

    def from_worker(self, data):
        if not data:
            return
        if not self.started:
            self.frames.rest += data
            at = self.frames.rest.find(MAGIC)
            if at < 0:
                return
            # What stands in front of it was printed.
            self.printed += self.frames.rest[:at]
            data, self.frames.rest = self.frames.rest[at + len(MAGIC):], b""
            self.started = True
            self.to_client += MAGIC
        whole = self.frames.whole(data)
        if whole:
            self.greeted = True
            self.closed = whole[-8:] == b"\x06\0\0\0\0\0\0\0"
        self.to_client += whole

    def end(self):
        """Kills what is left, and says how the worker ended if it did not."""
        deadline = time.monotonic() + ENDING
        self.link.close()
        while time.monotonic() < deadline and not _has_ended(self.worker):
            time.sleep(0.01)
        try:
            os.killpg(self.worker.pid, signal.SIGKILL)  # its number is ours until it is reaped
        except OSError:
            pass
        status = self.worker.wait()
        printed = b""
        if self.stderr_open:
            try:
                printed = self.worker.stderr.read() or b""
            except OSError:
                pass
        self.worker.stderr.close()
        try:
            if self.client_open:
                self.client.settimeout(ENDING)
                self.client.sendall(self.to_client + self.last_words(status, self.printed + printed))
                self.client.unwrap()
        except (OSError, ValueError):
            pass
        self.client.close()

    def last_words(self, status, printed):
        if status < 0:
            how = "killed by signal %d" % -status
            for name in signal.Signals:
                if name == -status:
                    how = "killed by %s (signal %d)" % (name.name, -status)
        else:
            how = "exit status %d" % status
        if not self.greeted:
            if printed:
                how += "; its last output:\n    " + "\n    ".join(
                    printed.decode("utf-8", "replace").splitlines()[-20:])
            words = farewell("WorkerNotStarted", "the worker did not start: " + how)
            return words if self.started else MAGIC + words
        output = frame(0x82, b"\x02" + printed[-16000:]) if printed else b""
        if self.frames.rest:
            return b""  # cut off in the middle of a frame
        return output if self.closed else output + farewell("WorkerLost", how)


def _has_ended(process):
    """Whether it has, without reaping it where that can be had: PyPy has no waitid."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


# ---- the server

def log(*parts):
    try:
        print(time.strftime("%Y-%m-%dT%H:%M:%S"), *parts, file=sys.stderr, flush=True)
    except OSError:
        pass  # a full disk, or nobody reads: no reason to serve nobody


class Strangers:
    """Connections that have not authenticated. One too many ends the oldest: who has the token needs no time."""

    def __init__(self, tls):
        self.context, self.expected = tls
        self.waiting = {}  # in the order in which they came
        self.lock = threading.Lock()

    def admit(self, stream, peer, then):
        """Shakes hands in a thread of its own, and calls `then` with the encrypted connection, if it comes to that."""
        peer = "%s:%d" % peer[:2]
        try:
            prepare(stream)
            client = self.context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
            with self.lock:
                oldest = next(iter(self.waiting)) if len(self.waiting) >= STRANGERS else None
                if oldest:
                    del self.waiting[oldest]
                    # Past TLS, in whose methods its thread is.
                    socket.socket.shutdown(oldest, socket.SHUT_RDWR)
                self.waiting[client] = peer
            threading.Thread(target=self.greet, args=(client, peer, then), daemon=True).start()
        except (OSError, ValueError, RuntimeError) as error:
            log("refused", peer, error)
            stream.close()

    def greet(self, client, peer, then):
        try:
            try:
                self.authenticate(client)
            finally:
                with self.lock:
                    evicted = self.waiting.pop(client, None) is None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            log("refused", peer, "too many that have not authenticated" if evicted else reason)
            client.close()
        else:
            then(client, peer)

    def authenticate(self, client):
        client.settimeout(HANDSHAKE)  # for all of it
        client.do_handshake()
        shown = client.getpeercert(binary_form=True)
        if not shown or not hmac.compare_digest(shown, self.expected):
            raise OSError("another key")
        if client.selected_alpn_protocol() != ALPN:
            raise OSError("another protocol within TLS")


def prepare(stream):
    """Nothing waits for more to send, and one whose host has died is noticed."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3):
        if hasattr(socket, name):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def attend(client, argv, source, env=None):
    """Gives a client its worker, or says why it has none."""
    try:
        session = Session(client, argv, source, env)
    except (OSError, ValueError) as error:
        log("cannot start a worker:", error)
        try:
            client.sendall(MAGIC + farewell("WorkerNotStarted", "cannot start %s: %s" % (argv[0], error)))
            client.unwrap()
        except (OSError, ValueError):
            pass
        client.close()
    else:
        session.run()


def serve(listener, tls, argv, source):
    """Serves for ever."""
    strangers = Strangers(tls)

    def one(client, peer):
        log("started", peer)
        attend(client, argv, source)
        log("ended", peer)

    while True:
        try:
            stream, peer = listener.accept()
        except OSError as error:
            log("cannot accept a connection:", error)
            time.sleep(0.1)
            continue
        strangers.admit(stream, peer, one)


def serve_once(listener, tls, argv, source, env, patience):
    """Serves the first client that has the token, if one comes in time."""
    strangers = Strangers(tls)
    first, done = threading.Lock(), threading.Event()

    def one(client, peer):
        if first.acquire(False):
            attend(client, argv, source, env)
            done.set()
        else:
            client.close()

    deadline = time.monotonic() + patience
    listener.settimeout(0.1)
    while time.monotonic() < deadline and not first.locked():
        try:
            strangers.admit(*listener.accept(), one)
        except OSError:
            pass  # nobody yet
    listener.close()
    if first.locked():
        done.wait()


def read_token(path):
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            sys.exit("%s: others than its owner may read it; run `chmod 600` on it" % path)
        text = file.read(4096)
    if len(text) == 32:
        return text
    try:
        token = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        token = b""
    if len(token) != 32:
        sys.exit("%s: not a token, which is 64 hexadecimal digits or 32 bytes" % path)
    return token


def listen(address):
    host, colon, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isdigit():
        sys.exit("--listen: %r is not HOST:PORT" % address)
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(where)
    listener.listen(128)
    return listener


def main(line, source):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--token-file", required=True, metavar="FILE")
    parser.add_argument("--python", default=shlex.quote(sys.executable), metavar="COMMAND")
    args = parser.parse_args()
    try:
        tls = make_context(read_token(args.token_file))
        listener = listen(args.listen)
    except (OSError, ValueError) as error:
        sys.exit("%s: %s" % (args.listen, error))
    print("%s:%d" % listener.getsockname()[:2], flush=True)
    log("listening")
    try:
        serve(listener, tls, shlex.split(args.python) + ["-c", line], source)
    except KeyboardInterrupt:
        pass
