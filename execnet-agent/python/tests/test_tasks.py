"""Tasks in a real worker: what they run, and where they run."""

import unittest

from execnet_worker import cbor
from execnet_worker.frame import CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, MORE, OPEN, frame

from .link import PYPY, THREAD, Worker


class Programs(unittest.TestCase):
    def test_items_both_ways(self):
        with Worker() as far:
            items = [1, "two", b"three", [4.0, (5, None)], {6: {7}}]
            self.assertEqual(far.run("for _ in range(5): channel.send(channel.receive())", *items),
                             (items, None))

    def test_namespace(self):
        with Worker() as far:
            self.assertEqual(
                far.run("channel.send(sorted(globals())); channel.send(__name__)"),
                ([["__builtins__", "__name__", "channel"], "__channelexec__"], None))
            self.assertEqual(far.run("channel.send(__file__)", filename="/x/y.py"),
                             (["/x/y.py"], None))

    def test_modules_persist_and_names_do_not(self):
        with Worker({"id": "gw7"}) as far:
            far.run("import os; os.here = a = 1")
            self.assertEqual(far.run("import os; channel.send([os.here, 'a' in globals()])"),
                             ([[1, False]], None))
            self.assertEqual(far.run("channel.send(channel.gateway.id)"), (["gw7"], None))

    def test_indented_source(self):
        with Worker() as far:
            self.assertEqual(far.run("""
                if True:
                    channel.send(1)
                """), ([1], None))

    def test_functions(self):
        source = "def f(channel, x, y=0, **more): channel.send((x, y, sorted(more)))"
        with Worker() as far:
            self.assertEqual(far.run(source, function="f", kwargs={"x": [1], "z": {2}}),
                             ([([1], 0, ["z"])], None))
            self.assertEqual(far.run(source, function="f")[1]["type"], "TypeError")
            self.assertEqual(far.run(source, function="g")[1]["message"],
                             "<remote exec 3> has no function 'g'")

    def test_a_long_request_comes_in_fragments(self):
        with Worker() as far:
            number = far.next_number()
            data = cbor.dumps({"kind": "source", "source": "channel.send(1)#" + "x" * 500000})
            far.write(frame(EXEC, number))
            pieces = [data[at:at + 60000] for at in range(0, len(data), 60000)]
            left = 262144
            for piece in pieces:
                while left < len(piece) + 8:
                    left += int.from_bytes(far.expect(CREDIT, number), "big")
                more = MORE if piece is not pieces[-1] else 0
                far.write(frame(DATA | CBOR | more, number, piece))
                left -= len(piece) + 8
            self.assertEqual(far.close(number), ([1], None))

    def test_long_messages_both_ways(self):
        with Worker(max_message=1 << 30) as far:
            number = far.exec("x = channel.receive(); channel.send(x); channel.send(len(x))")
            data = bytes(range(256)) * 12000
            left = 262144
            for at in range(0, len(data), 32760):
                while left < 2 * 32768:  # one is for the request
                    left += int.from_bytes(far.expect(CREDIT, number), "big")
                more = MORE if at + 32760 < len(data) else 0
                far.write(frame(DATA | more, number, data[at:at + 32760]))
                left -= 32768
            far.write(frame(CREDIT, 0, (1 << 30).to_bytes(4, "big")),
                      frame(CREDIT, number, (1 << 30).to_bytes(4, "big")))
            self.assertEqual(far.close(number), ([data, len(data)], None))

    def test_bad_requests_end_their_channel_only(self):
        with Worker() as far:
            for request, text in [
                (b"\xff", "no value"),
                (cbor.dumps([]), "not a map"),
                (cbor.dumps({"kind": "shell"}), "'shell'; known are: command, compiled, connect, source"),
                (cbor.dumps({"kind": "source"}), "source is None"),
                (cbor.dumps({"kind": "source", "source": b""}), "source is b''"),
                (cbor.dumps({"kind": "source", "source": "", "kwargs": []}), "kwargs is []"),
            ]:
                number = far.next_number()
                far.write(frame(EXEC, number), frame(DATA | CBOR, number, request))
                items, fault = far.close(number)
                self.assertIn(text, fault["message"])
            number = far.next_number()
            far.write(frame(EXEC, number), frame(DATA, number, b"x"))
            self.assertIn("format", far.close(number)[1]["message"])
            for last in EOF, CLOSE:
                number = far.next_number()
                far.write(frame(EXEC, number), frame(last, number))
                fault = cbor.loads(far.expect(CLOSE, number) or b"\xf6")
                if last == EOF:
                    self.assertIn("before its request", fault["message"])
                    far.write(frame(CLOSE, number))
            self.assertEqual(far.run("channel.send(1)"), ([1], None))
            self.assertEqual(far.status()["channels"], 0)


class Functions(unittest.TestCase):
    def test_what_they_return_is_the_last_item(self):
        source = "def f(channel, value): channel.send(0); return value"
        with Worker() as far:
            for value in [1], 0, "", b"bytes", False, {}, (1, {2: None}):
                self.assertEqual(far.run(source, function="f", kwargs={"value": value}),
                                 ([0, value], None))
            self.assertEqual(far.run(source, function="f", kwargs={"value": None}), ([0], None))

    def test_a_result_that_does_not_cross(self):
        for define in "def", "async def":
            with Worker() as far:
                items, fault = far.run(define + " f(channel): return [1, len]", function="f")
                self.assertEqual((items, fault["type"]), ([], "TypeError"))
                self.assertIn("what f() returned does not cross", fault["message"])
                self.assertIn("item[1] is builtin_function", fault["message"])

    def test_a_result_behind_the_end(self):
        with Worker() as far:
            items, fault = far.run("def f(channel): channel.finish_sending(); return 1",
                                   function="f")
            self.assertIn("finished sending", fault["message"])

    def test_coroutines_are_awaited(self):
        source = """
            import asyncio, threading
            async def f(channel, n):
                channel.send(threading.current_thread() is threading.main_thread())
                for x in range(n):
                    await asyncio.sleep(0)
                    channel.send(x)
                return "done"
            f2 = lambda channel, n: f(channel, n)
            """
        with Worker() as far:
            for _ in range(2):  # each has a loop of its own
                for name in "f", "f2":
                    self.assertEqual(far.run(source, function=name, kwargs={"n": 2}),
                                     ([True, 0, 1, "done"], None))
            main = far.exec("channel.receive()")
            self.assertEqual(far.run(source, function="f", kwargs={"n": 1}),
                             ([False, 0, "done"], None))
            far.message(main, None)
            far.close(main)

    def test_what_a_coroutine_leaves_behind_is_cancelled(self):
        source = """
            import asyncio
            async def other(channel):
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    channel.send("cancelled")
                    raise
            async def f(channel):
                asyncio.ensure_future(other(channel))
                await asyncio.sleep(0)
            """
        with Worker() as far:
            self.assertEqual(far.run(source, function="f"), (["cancelled"], None))
            self.assertEqual(far.run("channel.send(1)"), ([1], None))
            self.assertEqual(far.stderr(), "")

    def test_the_traceback_of_a_coroutine_begins_with_it(self):
        with Worker() as far:
            fault = far.run("async def f(channel):\n    1/0", function="f")[1]
            lines = fault["traceback"].splitlines()
            self.assertEqual(fault["type"], "ZeroDivisionError")
            self.assertEqual(lines[1:3], ['  File "<remote exec 1>", line 2, in f', "    1/0"])

    def test_generators_are_refused_by_name(self):
        with Worker() as far:
            for source in ("def squares(channel): yield channel.send(1)",
                           "async def squares(channel): yield channel.send(1)",
                           "async def squares(channel): return (n for n in [1])"):
                items, fault = far.run(source, function="squares")
                self.assertEqual((items, fault["type"]), ([], "TypeError"))
                self.assertIn("squares() is a generator", fault["message"])
            self.assertEqual(far.stderr(), "")


class Places(unittest.TestCase):
    def test_the_main_thread_is_the_main_one_whoever_loads_threading(self):
        with Worker() as far:
            first = far.exec("channel.receive()\n" + THREAD)
            self.assertEqual(far.run(THREAD), ([False], None))
            far.message(first, "go on")
            self.assertEqual(far.close(first), ([True], None))
            self.assertEqual(far.run(THREAD), ([True], None))
            self.assertEqual(far.stderr(), "")

    def test_the_main_thread_first_and_threads_beside_it(self):
        with Worker() as far:
            first = far.exec(THREAD + "channel.receive()")
            self.assertIs(far.item(first), True)
            for _ in range(2):
                second = far.exec(THREAD + "channel.receive()")
                self.assertIs(far.item(second), False)
            status = far.status()
            self.assertEqual((status["executing"], status["queued"], status["execmodel"]),
                             (3, 0, "thread"))
            far.message(first, None)
            far.close(first)
            for _ in range(20):
                self.assertEqual(far.run(THREAD), ([True], None))
                self.assertEqual(far.run(THREAD + "1/0")[0], [True])
            far.write(frame(CLOSE, second), frame(CLOSE, second - 2))

    def test_settings_leave_the_main_thread_to_tasks(self):
        with Worker({"chdir": ".", "env": {"A": "b"}, "nice": 1}) as far:
            self.assertEqual(far.run(THREAD), ([True], None))

    def test_main_thread_only(self):
        with Worker({"execmodel": "main_thread_only"}) as far:
            first = far.exec(THREAD + "channel.receive(); raise ValueError")
            others = [far.exec(THREAD) for _ in range(3)]
            self.assertIs(far.item(first), True)
            status = far.status()
            self.assertEqual((status["executing"], status["queued"], status["execmodel"]),
                             (1, 3, "main_thread_only"))
            far.message(first, None)
            self.assertEqual(far.close(first)[1]["type"], "ValueError")
            for number in others:
                self.assertEqual(far.close(number), ([True], None))

    def test_a_dropped_task_goes_on(self):
        with Worker() as far:
            number = far.exec("channel.waitclose(); import os; os.done = channel.isclosed()")
            far.write(frame(CLOSE, number))
            self.assertEqual(far.expect(CLOSE, number), b"")
            self.assertEqual(far.run("import os\nwhile not hasattr(os, 'done'): pass\n"
                                     "channel.send(os.done)"), ([True], None))

    def test_passed_channels_outlive_their_task(self):
        with Worker() as far:
            number = far.exec("import threading\n"
                              "def echo(c=channel.gateway.newchannel()):\n"
                              "    for x in c: c.send(x + 1)\n"
                              "    c.close()\n"
                              "threading.Thread(target=echo, daemon=True).start()\n"
                              "channel.send(1)")
            far.expect(OPEN, 2)
            self.assertEqual(far.close(number), ([1], None))
            far.message(2, 41)
            self.assertEqual(far.item(2), 42)
            far.write(frame(EOF, 2))
            self.assertEqual(far.close(2), ([], None))

    def test_callbacks_outlive_their_task(self):
        with Worker() as far:
            far.collect()
            number = far.exec("def start(c):\n"
                              "    c.setcallback(lambda x: c.send([x, 'more']), endmarker='end')\n"
                              "start(channel.gateway.newchannel())")
            far.expect(OPEN, 2)
            self.assertEqual(far.close(number), ([], None))
            for n in range(3):
                far.message(2, n)
                self.assertEqual(far.item(2), [n, "more"])
            far.write(frame(EOF, 2))
            self.assertEqual(far.item(2), ["end", "more"])
            self.assertEqual(far.close(2), ([], None))

    def test_ten_thousand_channels_leave_nothing_behind(self):
        count = ("import gc; gc.collect(); channel.send(sum('Stream' in type(o).__name__ or 'Task' "
                 "in type(o).__name__ or type(o).__name__ == 'Channel' for o in gc.get_objects()))")
        with Worker() as far:
            far.collect()
            [before], _ = far.run(count)
            for _ in range(100):
                numbers = [far.next_number() for _ in range(100)]
                far.write(*[frame(OPEN, number) for number in numbers])
                far.write(*[frame(DATA, number, b"unread") + frame(EOF, number)
                            for number in numbers[::2]])
                # The del is for PyPy, whose compiled code may hold the last one for a while.
                request = "for c in channel.receive(): c.send(1)\ndel c"
                task = far.exec(request)
                far.write(frame(DATA | CBOR, task,
                                b"\x98\x64" + b"".join(b"\xd9\xb0\x2f\x1a" + n.to_bytes(4, "big")
                                                      for n in numbers)))
                seen = 0
                while seen < 101:  # each is dropped by the task, and so closed
                    kind, number, payload = far.frame()
                    if kind == CLOSE:
                        self.assertEqual(payload, b"")
                        far.write(frame(CLOSE, number))
                        seen += 1
            self.assertEqual(far.status()["channels"], 0)
            [after], _ = far.run(count)
            # PyPy finds what has finalizers over several collections.
            self.assertLessEqual(after, before + 100 * PYPY)


if __name__ == "__main__":
    unittest.main()
