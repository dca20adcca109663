"""How a worker ends, and when."""

import os
import signal
import unittest
from time import monotonic, sleep

from execnet_worker import cbor
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EXEC, HEADER, OPEN, PING, PONG,
                                  TERMINATE, frame)

from .link import INTERRUPTS_THREADS, PATIENCE, Worker

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
                        self.assertTrue(_is_gone(child))

    def test_both_ways_of_hanging_up(self):
        with Worker() as far:
            far.write(frame(CLOSE, 0))
            far.wait()
            self.assertEqual(far.stderr(), "")
        with Worker() as far:
            far.write(frame(CLOSE, 0, cbor.dumps({"type": "ProtocolError", "message": "you lie"})))
            far.wait()
            self.assertEqual(far.stderr(), "execnet: the controller closed: ProtocolError: you lie\n")


class Silence(unittest.TestCase):
    """A controller that promised to be heard, and is not."""

    KEEPALIVE = {"keepalive_ms": 200}
    LIMIT = 0.6

    def test_ends_the_worker(self):
        for source in "pass", "channel.receive()", "while True: channel.send(b'x' * 1000)", STUBBORN:
            with self.subTest(source=source), Worker(**self.KEEPALIVE) as far:
                number = far.exec(
                    "import subprocess\n"
                    "p = subprocess.Popen(['sleep', '1000'])\n"
                    "channel.send(p.pid)\n" + source)
                child = self.item_while_heard(far, number)
                far.wait()  # the link is up all the time
                self.assertTrue(_is_gone(child))

    def item_while_heard(self, far, number):
        """What the worker sends first, however long it takes to come so far."""
        while True:
            far.write(frame(PING, 0, b"12345678"))
            kind, found, payload = far.frame()
            if kind != PONG:
                self.assertEqual((kind, found), (DATA | CBOR, number))
                return cbor.loads(payload)

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
        with Worker(**self.KEEPALIVE) as far:
            self.item_while_heard(far, far.exec(source))
            far.wait()
            self.assertIn("no answer from the controller for 0.6 s", far.stderr())

    def test_whoever_is_heard_is_not_left(self):
        # On a loaded machine it may be this process that is silent for so long.
        self.assertTrue(any(self.stays_while_it_hears() for _ in range(20)))

    def stays_while_it_hears(self):
        """False: it ended, but it was not spoken to for half of the limit."""
        silence, last = 0, monotonic()
        with Worker(channel_window=1 << 30, connection_window=1 << 30, **self.KEEPALIVE) as far:
            try:
                number = far.exec("for item in channel: channel.send(item)")
                end = monotonic() + 2 * self.LIMIT
                for _ in range(10000):
                    silence, last = max(silence, monotonic() - last), monotonic()
                    far.message(number, 1)
                    self.assertEqual(far.item(number), 1)
                    if last > end:
                        break
                end = monotonic() + 2 * self.LIMIT
                while last < end:
                    silence, last = max(silence, monotonic() - last), monotonic()
                    far.write(frame(PING, 0, b"12345678"))
                    far.expect(PONG, 0)
            except (AssertionError, ConnectionError):
                if max(silence, monotonic() - last) < self.LIMIT / 2:
                    raise
                return False
        return True

    def test_a_worker_that_was_stopped_reads_first(self):
        with Worker(**self.KEEPALIVE) as far:
            far.process.send_signal(signal.SIGSTOP)
            os.waitpid(far.process.pid, os.WUNTRACED)
            sleep(2 * self.LIMIT)
            far.write(frame(PING, 0, b"12345678"))
            far.process.send_signal(signal.SIGCONT)
            far.expect(PONG, 0)


def _is_gone(pid):
    """Whether a process that was killed is gone, or waits for its parent to notice."""
    for _ in range(PATIENCE * 100):
        try:
            with open("/proc/%d/stat" % pid) as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        os.sched_yield()
    return False


if __name__ == "__main__":
    unittest.main()
