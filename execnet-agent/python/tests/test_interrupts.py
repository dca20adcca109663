"""Interrupts of tasks in a real worker."""

import sys
import unittest

from execnet_worker import cbor
from execnet_worker.frame import CLOSE, CREDIT, DATA, INTERRUPT, OPEN, frame

from .link import INTERRUPTS_THREADS, THREAD, Worker


class Interrupts(unittest.TestCase):
    SLEEPERS = [
        "while True: pass",
        "import time; time.sleep(1000)",
        "channel.receive()",
        "channel.waitclose()",
        # Kept, or PyPy closes it later, in the middle of something else.
        "import sys; sys.kept = channel.gateway.newchannel(); sys.kept.receive()",
        "while True: channel.send(bytes(10000))",
    ]

    def assertInterrupted(self, far, number):
        far.interrupt(number)
        for kind, found, payload in far.frames():
            if (kind, found) == (CLOSE, number):
                break
            if kind == DATA:  # what was sent before comes before the error
                credit = (len(payload) + 8).to_bytes(4, "big")
                far.write(frame(CREDIT, number, credit), frame(CREDIT, 0, credit))
        fault = cbor.loads(payload)
        self.assertEqual(fault["type"], "KeyboardInterrupt")
        self.assertIn("<remote exec", fault["traceback"])
        if sys.version_info >= (3, 7):
            self.assertNotIn("execute", fault["traceback"].splitlines()[-2], "our handler shows")
        far.write(frame(CLOSE, number))

    def test_in_the_main_thread(self):
        with Worker() as far:
            for source in self.SLEEPERS:
                with self.subTest(source):
                    number = far.exec("channel.send(1)\n" + source)
                    self.assertEqual(far.item(number), 1)
                    self.assertInterrupted(far, number)
            self.assertEqual(far.run(THREAD), ([True], None))

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_in_another_thread(self):
        sleepers = [source for source in self.SLEEPERS if "sleep" not in source]
        sleepers.append("import time\nwhile True: time.sleep(0.01)")
        with Worker() as far:
            main = far.exec("channel.receive(); channel.send(2)")
            for source in sleepers:
                with self.subTest(source):
                    number = far.exec("channel.send(1)\n" + source)
                    self.assertEqual(far.item(number), 1)
                    self.assertInterrupted(far, number)
            far.message(main, None)
            self.assertEqual(far.close(main), ([2], None))

    @unittest.skipIf(INTERRUPTS_THREADS, "this one interrupts other threads as well")
    def test_where_only_the_main_thread_can_be_interrupted_others_go_on(self):
        with Worker() as far:
            main = far.exec("channel.send(1)\nwhile True: pass")
            self.assertEqual(far.item(main), 1)
            number = far.exec("channel.send(2); channel.send(channel.receive())")
            self.assertEqual(far.item(number), 2)
            for _ in range(3):
                far.interrupt(number)
            far.message(number, 3)
            self.assertEqual(far.close(number), ([3], None))
            self.assertInterrupted(far, main)

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_in_an_async_function(self):
        source = "async def f(channel):\n    import asyncio\n    channel.send(1)\n    %s"
        with Worker() as far:
            for _ in range(2):  # in the main thread, then in another
                for body in ("await asyncio.sleep(1000)", "while True: await asyncio.sleep(0)",
                             "while True: len('')"):
                    number = far.exec(source % body, function="f")
                    self.assertEqual(far.item(number), 1)
                    far.interrupt(number)
                    self.assertEqual(far.close(number)[1]["type"], "KeyboardInterrupt")
                far.exec("channel.receive()")

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_programs_may_catch_them(self):
        source = ("try:\n    channel.send(1)\n    while True: pass\n"
                  "except KeyboardInterrupt: channel.send('caught')")
        with Worker() as far:
            main = far.exec("channel.receive()")
            for release in False, True:
                number = far.exec(source)
                self.assertEqual(far.item(number), 1)
                far.interrupt(number)
                self.assertEqual(far.close(number), (["caught"], None))
                if not release:
                    far.message(main, None)
                    far.close(main)

    def test_where_nothing_runs_they_do_nothing(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            plain = far.next_number()
            far.write(frame(OPEN, plain))
            far.interrupt(plain)
            running = far.exec("channel.receive(); channel.send(1)")
            queued = far.exec("channel.send(2)")
            far.interrupt(queued)
            far.message(running, None)
            self.assertEqual(far.close(running), ([1], None))
            self.assertEqual(far.close(queued), ([2], None))

    def test_one_that_comes_late_hits_nobody(self):
        with Worker(connection_window=1 << 30) as far:
            for _ in range(300):
                number = far.exec("channel.send(1)")
                self.assertEqual(far.item(number), 1)
                far.interrupt(number)  # as the task ends
                other = far.exec("for _ in range(100): channel.send(_)")
                faults = []
                for _ in range(2):
                    items = []
                    while True:
                        kind, found, payload = far.frame()
                        if kind == CLOSE:
                            break
                        items.append(found)
                    far.write(frame(CLOSE, found))
                    faults.append((found, payload))
                self.assertEqual(dict(faults)[other], b"")


class Storms(unittest.TestCase):
    """Interrupts at every possible place: the link stays whole, and nothing locks up."""

    SOURCE = """
        n = caught = 0
        channel.send(0)
        while n < 3000 or caught < 10:
            try:
                while n < 3000 or caught < 10:
                    try:
                        while n < 3000 or caught < 10:
                            n += 1
                            channel.send([n, "x" * (n % 50)])
                            if n % 5 == 0:
                                channel.send(bytes(n % 3000))
                            if n % 7 == 0:
                                try:
                                    channel.receive(0)
                                except channel.TimeoutError:
                                    pass
                    except KeyboardInterrupt:
                        caught += 1
            except KeyboardInterrupt:
                caught += 1  # one that came where the last one was caught
        """

    def assertSurvives(self, far):
        """Runs a task and interrupts it after every few items; what arrives is whole, in order."""
        number = far.exec(self.SOURCE)
        last = 0
        for kind, found, payload in far.frames():
            if kind == CREDIT:
                continue
            self.assertEqual(found, number)
            if kind == CLOSE:
                far.write(frame(CLOSE, number))
                break
            far.write(frame(CREDIT, number, (len(payload) + 8).to_bytes(4, "big")),
                      frame(CREDIT, 0, (len(payload) + 8).to_bytes(4, "big")))
            if kind == DATA:
                self.assertEqual(payload, bytes(len(payload)))
                continue
            value = cbor.loads(payload)
            if value == 0:
                continue
            self.assertGreater(value[0], last)
            last = value[0]
            self.assertEqual(value[1], "x" * (last % 50))
            if last % 3 == 0:
                far.interrupt(number)
            if last % 7 == 0:
                far.message(number, last)
        if payload:  # the last one may have come where nobody catches it
            self.assertEqual(cbor.loads(payload)["type"], "KeyboardInterrupt")
        self.assertGreater(last, 2900)

    def test_in_the_main_thread(self):
        with Worker() as far:
            for _ in range(3):
                self.assertSurvives(far)
            self.assertEqual(far.run("channel.send(1)"), ([1], None))
            self.assertEqual(far.status()["channels"], 0)

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_in_another_thread(self):
        with Worker() as far:
            main = far.exec("channel.receive(); channel.send(1)")
            for _ in range(3):
                self.assertSurvives(far)
            far.message(main, None)
            self.assertEqual(far.close(main), ([1], None))
            self.assertEqual(far.status()["channels"], 0)

    def storm_on_one(self, far, count):
        """Interrupts a task many times: the first ends it, the others find it at its end."""
        for _ in range(count):
            number = far.exec("channel.send(1)\nwhile True: pass")
            far.item(number)
            far.write(*[frame(INTERRUPT, number)] * 20)
            self.assertEqual(far.close(number)[1]["type"], "KeyboardInterrupt")

    def storm_at_the_end(self, far):
        """Interrupts tasks that are about to end; each of them tells its end."""
        for steps in range(300):
            tasks = [far.exec("for _ in range(%d): pass" % (steps % 50)) for _ in range(3)]
            for _ in range(4):
                for number in tasks:
                    far.interrupt(number)
            for kind, number, _ in far.frames():
                if kind == CLOSE:
                    far.write(frame(CLOSE, number))
                    tasks.remove(number)
                    if not tasks:
                        break

    SWITCH_OFTEN = "import sys; sys.setswitchinterval(1e-6)\n"

    def test_many_on_a_main_task(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            far.run(self.SWITCH_OFTEN)
            self.storm_on_one(far, 500)
            self.assertEqual(far.run("channel.send(1)"), ([1], None))

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_many_on_a_thread(self):
        with Worker() as far:
            main = far.exec(self.SWITCH_OFTEN + "channel.send(0); channel.receive()")
            far.item(main)
            self.storm_on_one(far, 200)
            far.message(main, None)
            self.assertEqual(far.close(main), ([], None))

    def test_as_main_tasks_end(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            far.run(self.SWITCH_OFTEN)
            self.storm_at_the_end(far)
            self.assertEqual(far.run("channel.send(1)"), ([1], None))

    @unittest.skipUnless(INTERRUPTS_THREADS, "interrupts other threads than the main one")
    def test_as_threads_end_and_their_numbers_go_to_others(self):
        with Worker() as far:
            main = far.exec(self.SWITCH_OFTEN + "channel.send(0); channel.receive()")
            far.item(main)
            self.storm_at_the_end(far)
            far.message(main, None)
            self.assertEqual(far.close(main), ([], None))


if __name__ == "__main__":
    unittest.main()
