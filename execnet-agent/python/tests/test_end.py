"""How a worker ends, and when."""

import contextlib
import os
import signal
import socket
import unittest
from time import monotonic, sleep
from unittest import mock

from execnet_worker import cbor, deadline, execute, mux
from execnet_worker.channel import Channel
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EXEC, HEADER, OPEN, PING, PONG,
                                  TERMINATE, frame, read_hello)
from execnet_worker.stream import Empty

from .link import INTERRUPTS_THREADS, Tasks, Worker, until

STUBBORN = """
def run(n=0):
    while True: n = n * n
while True:
    try: run()
    except: pass
"""


class End(unittest.TestCase):
    def test_an_idle_worker_ends_at_once_with_a_farewell(self):
        with Worker() as far:
            far.run("import atexit; atexit.register(print, 'at exit')")
            far.terminate(1000, 1000)
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)
            self.assertEqual(far.stderr(), "at exit\n")

    def test_tasks_that_were_sent_run_to_their_end(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            running = far.exec("channel.send([x for x in channel])\n"
                               "channel.send(bytes(100000))")  # waits for credit
            far.message(running, "sent before")
            queued = [far.exec("channel.send(%d)" % n) for n in range(3)]
            far.terminate(1000, 1000)  # which is the end of all input
            late = far.exec("channel.send('late')")
            items, faults = {}, {}
            for kind, number, payload in far.frames():
                if kind == DATA | CBOR:
                    items.setdefault(number, []).append(cbor.loads(payload))
                elif kind == CLOSE:
                    faults[number] = payload
                    if number == late:
                        credit = (1 << 22).to_bytes(4, "big")
                        far.write(frame(CREDIT, running, credit), frame(CREDIT, 0, credit))
            expected = {number: [n] for n, number in enumerate(queued)}
            expected[running] = [["sent before"]]
            self.assertEqual(items, expected)
            self.assertIn("takes no new tasks", cbor.loads(faults.pop(late))["message"])
            self.assertEqual(faults, dict.fromkeys([0, running] + queued, b""))
            self.assertEqual(far.wait(), 0)

    def test_the_end_of_the_input_stays(self):
        with Worker() as far:
            number = far.exec("channel.send(list(channel))\n"
                              "for _ in range(3): channel.send(bytes(100000))\n"  # for credit
                              "for _ in range(3): channel.send(list(channel))")
            far.message(number, "before")
            far.terminate(1000, 1000)
            self.assertEqual(far.item(number), ["before"])
            far.message(number, "behind")
            far.write(frame(PING, 0, b"syncsync"))
            for found in far.frames():
                if found == (PONG, 0, b"syncsync"):
                    break
            credit = (1 << 22).to_bytes(4, "big")
            far.write(frame(CREDIT, number, credit), frame(CREDIT, 0, credit))
            items = [cbor.loads(payload) for kind, found, payload in far.frames()
                     if (kind, found) == (DATA | CBOR, number)]
            self.assertEqual(items, [[], [], []])

    def test_nothing_follows_the_farewell(self):
        source = """
            import atexit
            other = channel.gateway.newchannel()
            atexit.register(lambda: [other.send(n) for n in range(10)])
            """
        with Worker() as far:
            far.exec(source)
            far.expect(OPEN, 2)
            far.terminate()
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)

    def test_a_task_sent_just_before_runs(self):
        with Worker() as far:
            number = far.next_number()
            request = cbor.dumps({"kind": "source", "source": "channel.send(1)"})
            far.write(frame(EXEC, number), frame(DATA | CBOR, number, request),
                      frame(TERMINATE, 0, HEADER.pack(100000, 100000)))
            self.assertEqual(far.close(number), ([1], None))
            self.assertIsNone(far.end())

    def test_after_the_grace_comes_the_interrupt(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            number = far.exec("channel.send(1)\nwhile True: pass")
            queued = far.exec("channel.send(2)")
            far.item(number)
            far.terminate(0.05, 1000)
            self.assertEqual(far.close(number)[1]["type"], "KeyboardInterrupt")
            self.assertEqual(far.close(queued)[1]["type"], "KeyboardInterrupt")
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_threads_are_interrupted_too(self):
        with Worker() as far:
            tasks = [far.exec("channel.send(1)\nwhile True: pass") for _ in range(2)]
            for _ in tasks:
                kind, number, _ = far.frame()
                self.assertIn(number, tasks)
            far.terminate(0, 1000)
            kinds = {}
            for kind, number, payload in far.frames():
                if kind == CLOSE and number:
                    kinds[number] = cbor.loads(payload)["type"]
            self.assertEqual(kinds, dict.fromkeys(tasks, "KeyboardInterrupt"))
            self.assertEqual(far.wait(), 0)

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_what_they_end_with_is_waited_for(self):
        with Worker() as far:
            first = far.exec("channel.send(1)\nwhile True: pass")
            far.item(first)
            second = far.exec(
                "class Late(Exception):\n"
                "    def __str__(self):\n"
                "        for _ in range(3): channel.send(bytes(100000))\n"
                "        return 'at last'\n"
                "def spin():\n"
                "    channel.send(1)\n"
                "    while True: len('')\n"
                "try: spin()\n"
                "except KeyboardInterrupt: raise Late")
            far.item(second)
            far.terminate(0, 1000)
            for kind, number, payload in far.frames():
                if kind == CLOSE:
                    break
            self.assertEqual((number, cbor.loads(payload)["type"]), (first, "KeyboardInterrupt"))
            # It waits for credit, while it tells what went wrong.
            credit = (1 << 22).to_bytes(4, "big")
            far.write(frame(CREDIT, second, credit), frame(CREDIT, 0, credit))
            for kind, number, payload in far.frames():
                if kind == CLOSE:
                    break
            self.assertEqual((number, cbor.loads(payload)["message"]), (second, "at last"))

    def test_after_that_the_kill(self):
        with Worker() as far:
            number = far.exec("channel.send(1)\n" + STUBBORN)
            far.item(number)
            far.terminate(0.05, 0.05)
            self.assertNotEqual(far.wait(), 0)

    def test_a_second_terminate_may_be_shorter(self):
        with Worker() as far:
            number = far.exec("channel.send(1)\nwhile True: pass")
            far.item(number)
            far.terminate(100000, 100000)
            far.terminate(0, 100000)
            self.assertEqual(far.close(number)[1]["type"], "KeyboardInterrupt")
            self.assertIsNone(far.end())

    def test_unread_items_do_not_hold_it_for_ever(self):
        with Worker() as far:
            number = far.exec("for _ in range(10): channel.send(bytes(10000))\n")
            for _ in range(6):
                far.expect(DATA, number)
            far.terminate(0.1, 1)
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)

    def test_threads_that_programs_leave_behind_do_not_hold_it_for_ever(self):
        with Worker() as far:
            far.run("import threading, time\n"
                    "threading.Thread(target=time.sleep, args=(1000,)).start()")
            far.terminate(1000, 0.2)
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)

    def test_nor_do_they_cut_its_farewell_short(self):
        source = """
            import time
            from execnet_worker.mux import Connection
            def await_written(self, deadline, await_written=Connection.await_written):
                time.sleep(0.5)  # longer than what is left behind may take
                return await_written(self, deadline)
            Connection.await_written = await_written
            """
        with Worker() as far:
            far.run(source)
            far.terminate(1000, 0.05)
            self.assertIsNone(far.end())
            self.assertEqual(far.wait(), 0)

    def test_a_task_that_starts_as_all_are_interrupted_is_interrupted(self):
        tasks = execute.Tasks("thread")

        class Running(set):
            def add(self, task):
                tasks.refusing = True  # and who did so has looked who there is
                super().add(task)

        tasks.running = Running()
        self.assertRaises(KeyboardInterrupt, tasks._enter, execute.Task(1, mock.Mock()))

    def test_time_in_which_the_process_stood_still_does_not_count(self):
        class Stopped:
            def get(self, block, timeout):
                looks.append(timeout)
                now.append(now[-1] + 1000)
                raise Empty

        for seconds in 0, 0.02, 1:
            looks, now = [], [0]
            with mock.patch.object(deadline, "monotonic", lambda: now[-1]):
                self.assertRaises(Empty, deadline.Deadline(seconds).get, Stopped())
            self.assertAlmostEqual(sum(looks), seconds, 0)
            self.assertEqual(len(looks) >= 4, seconds > 0)

    def test_sigint_without_a_task_is_nothing(self):
        with Worker() as far:
            for _ in range(10):
                os.kill(far.process.pid, signal.SIGINT)
                self.assertEqual(far.run("channel.send(1)"), ([1], None))
            number = far.exec("channel.send(1)\nwhile True: pass")
            far.item(number)
            os.kill(far.process.pid, signal.SIGINT)
            self.assertEqual(far.close(number)[1]["type"], "KeyboardInterrupt")

    def test_nothing_survives_the_controller(self):
        for source in ["pass", "while True: pass", "import time; time.sleep(1000)", STUBBORN,
                       "channel.receive()", "while True: channel.send(b'x')",
                       "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
                       "import atexit, time; atexit.register(time.sleep, 1000)"]:
            for threaded in False, True:
                with self.subTest(source=source, threaded=threaded):
                    with Worker() as far:
                        first = far.exec("channel.receive()") if threaded else None
                        number = far.exec(
                            "import subprocess\n"
                            "p = subprocess.Popen(['sleep', '1000'])\n"
                            "channel.send(p.pid)\n" + source)
                        child = far.item(number)
                        far.hang_up()
                        far.wait()
                        until(lambda: _is_gone(child))

    def test_both_ways_of_hanging_up(self):
        with Worker() as far:
            far.write(frame(CLOSE, 0))
            far.wait()
            self.assertEqual(far.stderr(), "")
        with Worker() as far:
            far.write(frame(CLOSE, 0, cbor.dumps({"type": "ProtocolError", "message": "you lie"})))
            far.wait()
            self.assertEqual(far.stderr(), "execnet: the controller closed: ProtocolError: you lie\n")


class Unheard(Exception):
    """It was this process that was silent for too long, as it may be on a loaded machine."""


class Silence(unittest.TestCase):
    """A controller that promised to be heard, and is not."""

    KEEPALIVE = {"keepalive_ms": 200}
    LIMIT = 0.6

    def with_worker(self, check):
        """Has a worker checked, or another one when the former had a reason to go before its time."""
        for _ in range(20):
            self.silence, self.spoke = 0, monotonic()
            try:
                with Worker(channel_window=1 << 30, connection_window=1 << 30, **self.KEEPALIVE) as far:
                    return check(far)
            except Unheard:
                pass
        self.fail("this machine is too busy")

    @contextlib.contextmanager
    def speaking(self):
        """Whatever fails in here may do so because nobody spoke for half of the limit."""
        try:
            yield
        except (AssertionError, ConnectionError):
            self.note_silence()
            if self.silence < self.LIMIT / 2:
                raise
            raise Unheard from None

    def note_silence(self):
        now = monotonic()
        self.silence, self.spoke = max(self.silence, now - self.spoke), now

    def ping(self, far):
        self.note_silence()
        far.write(frame(PING, 0, b"12345678"))

    def first_item(self, far, source):
        """What a task sends first, however long it takes to come so far."""
        with self.speaking():
            number = far.exec(source)
            while True:
                self.ping(far)
                found = far.frame()
                self.assertIsNotNone(found)
                if found[0] != PONG:
                    self.assertEqual(found[:2], (DATA | CBOR, number))
                    return cbor.loads(found[2])

    def test_ends_the_worker(self):
        for source in "pass", "channel.receive()", "while True: channel.send(b'x' * 1000)", STUBBORN:
            def check(far):
                child = self.first_item(
                    far, "import subprocess\n"
                    "p = subprocess.Popen(['sleep', '1000'])\n"
                    "channel.send(p.pid)\n" + source)
                far.wait()  # the link is up all the time
                until(lambda: _is_gone(child))

            with self.subTest(source=source):
                self.with_worker(check)

    def test_a_program_is_told_why(self):
        # The interrupt that ends what runs may be there first.
        source = ("import sys\n"
                  "channel.send(1)\n"
                  "error = None\n"
                  "while not error:\n"
                  "  try: channel.receive()\n"
                  "  except KeyboardInterrupt: pass\n"
                  "  except OSError as lost: error = lost\n"
                  "sys.stderr.write('%s\\n' % error)\n")

        def check(far):
            self.first_item(far, source)
            far.wait()
            self.assertIn("no answer from the controller for 0.6 s", far.stderr())

        self.with_worker(check)

    def test_whoever_is_heard_is_not_left(self):
        def check(far):
            with self.speaking():
                number = far.exec("for item in channel: channel.send(item)")
                end = monotonic() + 2 * self.LIMIT
                for _ in range(10000):
                    self.note_silence()
                    far.message(number, 1)
                    self.assertEqual(far.item(number), 1)
                    if monotonic() > end:
                        break
                end = monotonic() + 2 * self.LIMIT
                while monotonic() < end:
                    self.ping(far)
                    far.expect(PONG, 0)

        self.with_worker(check)

    def test_a_worker_that_was_stopped_reads_first(self):
        def check(far):
            with self.speaking():
                self.ping(far)
                self.silence = 0  # that of the start is over
                far.expect(PONG, 0)
                far.process.send_signal(signal.SIGSTOP)
                status = os.waitpid(far.process.pid, os.WUNTRACED)[1]
                self.note_silence()
                self.assertTrue(os.WIFSTOPPED(status))
            if self.silence > self.LIMIT / 2:
                far.process.send_signal(signal.SIGCONT)
                raise Unheard
            sleep(2 * self.LIMIT)
            far.write(frame(PING, 0, b"12345678"))
            far.process.send_signal(signal.SIGCONT)
            far.expect(PONG, 0)

        self.with_worker(check)

    def test_what_nobody_has_read_yet_was_heard(self):
        """The reader may be slower than the looks: of a worker that was stopped, or on a machine that is busy."""
        near, far = socket.socketpair()
        hello = read_hello(cbor.dumps({"versions": [1, 1]}))
        with near, far, open(os.dup(far.fileno()), "rb") as source:
            connection = mux.Connection(source, far.fileno(), hello, Channel, Tasks())
            looks = []

            def look(seconds):
                looks.append(seconds)
                if len(looks) == 5:
                    near.send(b"unread")
                if len(looks) == 15:
                    far.recv(100)

            with mock.patch.object(mux, "sleep", look):
                connection._await_silence(1)
            self.assertEqual(looks, [0.1] * (14 + 10))
            self.assertEqual(connection.lost, "no answer from the controller for 1 s")


def _is_gone(pid):
    """Whether a process that was killed is gone, or waits for its parent to notice."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


if __name__ == "__main__":
    unittest.main()
