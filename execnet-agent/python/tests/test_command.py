"""Commands and connections: what a controller asks for that is no Python program."""

import os
import signal
import socket
import sys
import threading
import unittest

from execnet_worker import cbor
from execnet_worker.frame import CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, MORE, frame

from .link import PATIENCE, Channel7, Worker, until

ALL = "stdin", "stdout", "stderr"


def sh(script):
    return "sh", "-c", script


class Lifeline:
    """Sees a process end: the process has the write end of a pipe."""

    def __init__(self):
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(9)
        self.server.settimeout(PATIENCE)

    def argv(self, then="sys.stdin.read()"):
        return [sys.executable, "-c",
                "import socket, sys, os\ns = socket.create_connection(('127.0.0.1', %d))\n%s"
                % (self.server.getsockname()[1], then)]

    def accept(self):
        connection = self.server.accept()[0]
        connection.settimeout(PATIENCE)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.close()


def await_death(connection):
    try:
        assert connection.recv(1) == b""
    except ConnectionResetError:
        pass
    connection.close()


def guardians_of(worker):
    """The shells that kill what this worker leaves."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, "rb") as stat, open("/proc/%s/cmdline" % pid, "rb") as words:
                parent = int(stat.read().rsplit(b")", 1)[1].split()[1])
                if parent == worker and b"execnet-guardian" in words.read():
                    yield int(pid)
        except (OSError, IndexError):
            pass  # gone by now


def ignored_by(process):
    """The signals that a process ignores, each a bit."""
    with open("/proc/%d/status" % process) as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn:"))


class Streams(unittest.TestCase):
    def test_output_and_status(self):
        with Worker() as far:
            number, out, err = far.command(*sh("echo out; echo err >&2; exit 3"), streams=ALL[1:])
            (said, fault), (out, _), (err, _) = far.collect_all(number, out, err)
            self.assertEqual((said[1], fault, out, err), ({"exit": 3}, None, b"out\n", b"err\n"))
            self.assertGreater(said[0]["pid"], 0)

    def test_input_and_its_end(self):
        with Worker() as far:
            number, stdin, out = far.command("cat", streams=ALL[:2])
            far.write(frame(DATA, stdin, b"one "), frame(DATA, stdin, b"two"), frame(EOF, stdin))
            (said, _), (echo, _), _ = far.collect_all(number, out, stdin)
            self.assertEqual((said[1], echo), ({"exit": 0}, b"one two"))

    def test_without_channels(self):
        with Worker() as far:
            number, = far.command(*sh("cat; echo printed; echo complained >&2"), streams=())
            (said, _), = far.collect_all(number)
            self.assertEqual(said[1], {"exit": 0})
            self.assertEqual(far.stderr(), "printed\ncomplained\n")

    def test_much_both_ways(self):
        size = 8 << 20
        with Worker() as far:
            number, stdin, out = far.command("cat", streams=ALL[:2])

            def feed():
                left = size
                while left:
                    far.write(frame(DATA, stdin, b"x" * 16384))
                    left -= 16384
                    credit.acquire()
                far.write(frame(EOF, stdin))

            # Twelve frames of the window are on their way at most.
            credit = threading.Semaphore(12)
            feeder = threading.Thread(target=feed, daemon=True)
            feeder.start()
            received = closed = 0
            given = 0
            while closed < 3:
                kind, number, payload = far.frame()
                if kind == CREDIT and number == stdin:
                    given += int.from_bytes(payload, "big")
                    while given >= 16392:
                        given -= 16392
                        credit.release()
                elif kind == CLOSE:
                    closed += 1
                    far.write(frame(CLOSE, number))
                elif kind & 0xF0 == DATA and number == out:
                    received += len(payload)
                    back = (len(payload) + 8).to_bytes(4, "big")
                    far.write(frame(CREDIT, out, back), frame(CREDIT, 0, back))
            self.assertEqual(received, size)
            feeder.join(PATIENCE)

    def test_output_that_nobody_reads_holds_up_its_program_only(self):
        with Worker() as far, Lifeline() as lifeline:
            number, out = far.command(*lifeline.argv("os.write(1, b'x' * 1000000)"))
            life = lifeline.accept()
            for _ in range(3):  # the window holds so many fragments of max_frame
                while far.frame()[:2] != (DATA | MORE, out):
                    pass
            self.assertEqual(far.run("channel.send(1)"), ([1], None))
            life.settimeout(0)
            with self.assertRaises(BlockingIOError):
                life.recv(1)
            far.write(frame(CLOSE, number))
            life.settimeout(PATIENCE)
            await_death(life)

    def test_a_reader_that_closes_breaks_the_pipe(self):
        with Worker() as far:
            number, out = far.command(*sh("trap '' PIPE; while echo y; do :; done 2>/dev/null; exit 7"))
            far.expect(DATA | CBOR, number)
            far.frame()
            far.write(frame(CLOSE, out))
            kind = None
            while (kind, found) != (DATA | CBOR, number) if kind else True:
                kind, found, payload = far.frame()
            self.assertEqual(cbor.loads(payload), {"exit": 7})

    def test_input_that_is_not_read_is_no_error(self):
        with Worker() as far:
            number, stdin = far.command("true", streams=ALL[:1])
            far.write(frame(DATA, stdin, b"x" * 60000))
            (said, fault), (_, stdin_fault) = far.collect_all(number, stdin)
            self.assertEqual((said[1], fault, stdin_fault), ({"exit": 0}, None, None))

    def test_a_process_that_left_the_group_does_not_hold_output_open(self):
        # It holds standard output, and lives until its own input ends.
        daemon = ("r, w = os.pipe()\nif os.fork(): os.read(r, 1); os._exit(0)\n"
                  "os.setsid(); os.write(1, b'daemon'); os.write(w, b'!')\ns.recv(1)")
        with Worker() as far, Lifeline() as lifeline:
            number, out = far.command(*lifeline.argv(daemon))
            (said, _), (output, _) = far.collect_all(number, out)
            self.assertEqual((said[1], output), ({"exit": 0}, b"daemon"))
            lifeline.accept().close()

    def test_many_at_once(self):
        with Worker() as far:
            numbers = [far.command(*sh("echo %d" % index)) for index in range(20)]
            found = far.collect_all(*(number for pair in numbers for number in pair))
            self.assertEqual([output for output, _ in found[1::2]],
                             [b"%d\n" % index for index in range(20)])


class Options(unittest.TestCase):
    def test_directory_and_environment(self):
        with Worker({"env": {"KEPT": "1", "GONE": "2"}}) as far:
            number, out = far.command(
                *sh('pwd; echo "$KEPT-$GONE-$NEW"'), cwd="/", env={"GONE": None, "NEW": "3"})
            self.assertEqual(far.collect_all(number, out)[1][0], b"/\n1--3\n")

    def test_arguments_are_bytes_or_text(self):
        with Worker() as far:
            number, out = far.command("printf", "%s|", "a b", b"\xff$HOME")
            self.assertEqual(far.collect_all(number, out)[1][0], b"a b|\xff$HOME|")

    def test_what_cannot_be_started(self):
        with Worker() as far:
            for argv, more, kind, text in (
                    (["no-such-program"], {}, "FileNotFoundError", "no-such-program"),
                    (["/etc/passwd"], {}, "PermissionError", "/etc/passwd"),
                    (["true"], {"cwd": "/no/such"}, "FileNotFoundError", "/no/such"),
                    (["tr\0ue"], {}, "ValueError", "null byte"),
                    ([], {}, "ValueError", "argv is []"),
                    ([1], {}, "ValueError", "argv is [1]"),
                    (["true"], {"cwd": 1}, "ValueError", "cwd is 1"),
                    (["true"], {"env": {"X": 1}}, "ValueError", "env is {'X': 1}"),
                    (["true"], {"stdout": 5}, "ValueError", "stdout is 5, not a channel")):
                number = far.request("command", argv=argv, **more)
                (items, fault), = far.collect_all(number)
                self.assertEqual((items, fault["type"]), ([], kind))
                self.assertIn(text, fault["message"])

    def test_the_main_thread_is_left_alone(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            task = far.exec("channel.receive()")
            number, stdin = far.command("cat", streams=ALL[:1])
            far.expect(DATA | CBOR, number)
            status = far.status()
            self.assertEqual((status["executing"], status["queued"]), (1, 0))
            far.write(frame(EOF, stdin))
            far.collect_all(number, stdin)
            far.write(frame(EOF, task))
            far.close(task)

    def test_requests_in_another_order_of_keys(self):
        with Worker() as far:
            number = far.next_number()
            far.write(frame(EXEC, number),
                      frame(DATA | CBOR, number, cbor.dumps({"source": "channel.send(1)",
                                                             "kind": "source"})))
            self.assertEqual(far.close(number), ([1], None))


class Ends(unittest.TestCase):
    def test_signals(self):
        with Worker() as far:
            for send in (lambda number: far.message(number, {"signal": signal.SIGTERM}),
                         far.interrupt):
                number, out = far.command(*sh("echo ready; exec sleep 1000"))
                far.expect(DATA | CBOR, number)
                self.assertEqual(far.expect(DATA, out), b"ready\n")
                send(number)
                said = far.collect_all(number, out)[0][0]
                self.assertIn(said, ([{"signal": signal.SIGTERM}], [{"signal": signal.SIGINT}]))

    def test_a_signal_passes_a_full_standard_input(self):
        with Worker() as far:
            number, stdin = far.command(*sh("exec sleep 1000"), streams=ALL[:1])
            far.expect(DATA | CBOR, number)
            far.write(*[frame(DATA, stdin, b"x" * 16000)] * 16)
            far.message(number, {"signal": signal.SIGKILL})
            (said, _), _ = far.collect_all(number, stdin)
            self.assertEqual(said, [{"signal": signal.SIGKILL}])

    def test_not_a_signal(self):
        with Worker() as far:
            for item in {"signal": 0}, {"signal": 1 << 70}, {"signal": True}, b"x", {}, None:
                number, = far.command("sleep", "1000", streams=())
                far.expect(DATA | CBOR, number)
                far.message(number, item)
                items, fault = far.close(number)
                self.assertIn("maps with a `signal` from 1 to", fault["message"])

    def test_close_kills(self):
        with Worker() as far, Lifeline() as lifeline:
            number, = far.command(*lifeline.argv("s.recv(1)"), streams=())
            life = lifeline.accept()
            far.write(frame(CLOSE, number))
            await_death(life)

    def test_what_is_left_of_the_group_is_killed(self):
        with Worker() as far, Lifeline() as lifeline:
            number, = far.command(*lifeline.argv("if os.fork(): s.send(b'!'); os._exit(4)\ns.recv(1)"),
                                  streams=())
            life = lifeline.accept()
            self.assertEqual(life.recv(1), b"!")
            (said, _), = far.collect_all(number)
            self.assertEqual(said[1], {"exit": 4})
            await_death(life)

    def test_the_end_of_the_link_kills(self):
        with Lifeline() as lifeline:
            with Worker() as far:
                far.command(*lifeline.argv("s.recv(1)"), streams=())
                life = lifeline.accept()
            await_death(life)

    def test_a_killed_worker_leaves_no_command(self):
        with Worker() as far, Lifeline() as lifeline:
            first, = far.command("true", streams=())
            far.collect_all(first)
            number, = far.command(*lifeline.argv("s.recv(1)"), streams=())
            far.expect(DATA | CBOR, number)
            life = lifeline.accept()
            far.process.kill()
            await_death(life)

    def test_a_hangup_does_not_stop_who_sees_to_that(self):
        with Worker() as far, Lifeline() as lifeline:
            number, = far.command(*lifeline.argv("s.recv(1)"), streams=())
            far.expect(DATA | CBOR, number)
            life = lifeline.accept()
            shell, = guardians_of(far.process.pid)
            for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM:
                until(lambda: ignored_by(shell) >> number - 1 & 1)
                os.kill(shell, number)
            far.process.kill()
            await_death(life)

    def test_terminate(self):
        with Worker() as far, Lifeline() as lifeline:
            # Its input ends, and it with it.
            number, stdin, out = far.command(
                *lifeline.argv("s.send(b'!'); print(len(sys.stdin.read()))"), streams=ALL[:2])
            life = lifeline.accept()
            life.recv(1)
            far.terminate()
            (said, _), (output, _), _ = far.collect_all(number, out, stdin)
            self.assertEqual((said[1], output), ({"exit": 0}, b"0\n"))
            self.assertEqual(far.wait(), 0)
            await_death(life)

    def test_terminate_interrupts_then_kills(self):
        with Worker() as far, Lifeline() as lifeline:
            stubborn = ("import signal\nsignal.signal(2, lambda *a: s.send(b'2'))\ns.send(b'!')\n"
                        "while True: signal.pause()")
            far.command(*lifeline.argv(stubborn), streams=())
            life = lifeline.accept()
            self.assertEqual(life.recv(1), b"!")
            far.terminate(0, 1000)
            self.assertEqual(life.recv(1), b"2")
            far.terminate(0, 0.1)
            await_death(life)
            far.wait()


class Connections(unittest.TestCase):
    def setUp(self):
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(9)
        self.server.settimeout(PATIENCE)
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.addCleanup(self.server.close)

    def connect(self, far):
        stream = far.open()
        number = far.request("connect", address=self.address, stream=Channel7(stream))
        peer = self.server.accept()[0]
        peer.settimeout(PATIENCE)
        self.addCleanup(peer.close)
        self.assertEqual(far.item(number), {"peer": self.address})
        return number, stream, peer

    def test_bytes_both_ways_and_the_half_closes(self):
        with Worker() as far:
            number, stream, peer = self.connect(far)
            far.write(frame(DATA, stream, b"question"), frame(EOF, stream))
            self.assertEqual(peer.makefile("rb").read(), b"question")
            peer.sendall(b"answer")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(far.collect_all(stream, number), [(b"answer", None), ([], None)])

    def test_either_close_ends_it(self):
        with Worker() as far:
            for which in 0, 1:
                number, stream, peer = self.connect(far)
                far.write(frame(CLOSE, (number, stream)[which]))
                self.assertEqual(peer.recv(1), b"")
                left = {number, stream}
                while left:  # in any order
                    kind, found, _ = far.frame()
                    if kind == CLOSE:
                        left.remove(found)
                far.write(frame(CLOSE, (stream, number)[which]))

    def test_a_close_passes_a_peer_that_does_not_read(self):
        with Worker() as far:
            number, stream, peer = self.connect(far)
            far.write(*[frame(DATA, stream, b"x" * 16000)] * 16)
            far.write(frame(CLOSE, number))
            while peer.recv(65536):
                pass

    def test_it_breaks(self):
        with Worker() as far:
            number, stream, peer = self.connect(far)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            for items, fault in far.collect_all(number, stream):
                self.assertEqual(fault["type"], "ConnectionResetError")

    def test_unix(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder, Worker() as far, \
                socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.join(folder, "socket"))
            server.listen(1)
            self.server, self.address = server, "unix:%s/socket" % folder
            number, stream, peer = self.connect(far)
            peer.sendall(b"hello")
            peer.close()
            far.write(frame(EOF, stream))
            self.assertEqual(far.collect_all(stream, number)[0][0], b"hello")

    def test_what_cannot_be_connected(self):
        self.server.close()
        with Worker() as far:
            for address, kind, text in (
                    (self.address, "ConnectionRefusedError", "refused"),
                    ("unix:/no/such", "FileNotFoundError", "No such file"),
                    ("no.such.host.invalid:1", "gaierror", ""),
                    ("nonsense", "ValueError", "'nonsense', not HOST:PORT"),
                    ("::1:22", "ValueError", "'::1:22', not HOST:PORT"),
                    ("host:70000", "ValueError", "HOST:PORT"),
                    (5, "ValueError", "HOST:PORT")):
                stream = far.open()
                number = far.request("connect", address=address, stream=Channel7(stream))
                for items, fault in far.collect_all(number, stream):
                    self.assertEqual((items, fault["type"]), ([], kind))
                    self.assertIn(text, fault["message"])
            number = far.request("connect", address=self.address)
            self.assertIn("stream is None", far.collect_all(number)[0][1]["message"])


if __name__ == "__main__":
    unittest.main()
