"""Tasks in a real worker: what they run, where they run, how they fail and how they are stopped."""

import sys
import unittest

from execnet_worker import cbor
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, INTERRUPT, MORE, OPEN,
                                  frame)

from .link import INTERRUPTS_THREADS, PYPY, Worker

THREAD = "import threading; channel.send(threading.current_thread() is threading.main_thread())\n"


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


class Failures(unittest.TestCase):
    def test_exceptions_come_after_the_items(self):
        with Worker() as far:
            items, fault = far.run("def f():\n    1/0\nchannel.send(1)\nf()\n")
            self.assertEqual(items, [1])
            self.assertEqual((fault["type"], fault["message"]),
                             ("ZeroDivisionError", "division by zero"))
            lines = [line for line in fault["traceback"].splitlines() if "^" not in line]
            self.assertEqual(lines, [
                "Traceback (most recent call last):",
                '  File "<remote exec 1>", line 4, in <module>',
                "    f()",
                '  File "<remote exec 1>", line 2, in f',
                "    1/0",
                "ZeroDivisionError: division by zero",
            ])

    def test_a_program_that_comes_again_is_called_by_its_own_number(self):
        with Worker() as far:
            for number in 1, 2, 3:
                fault = far.run("def f(): 1/0\nf()")[1]
                name = '  File "<remote exec %d>", line ' % number
                lines = [line for line in fault["traceback"].splitlines() if "^" not in line]
                self.assertEqual(lines[1:5], [name + "2, in <module>", "    f()",
                                              name + "1, in f", "    def f(): 1/0"])
            for filename in "a.py", "b.py":
                fault = far.run("def f(): 1/0\nf()", filename=filename)[1]
                self.assertIn('  File "%s", line 1, in f' % filename, fault["traceback"])

    def test_causes_are_shown(self):
        with Worker() as far:
            fault = far.run("try:\n    {}['key']\nexcept KeyError as e:\n"
                            "    raise ValueError('outer') from e")[1]
            for text in "{}['key']", "KeyError", "direct cause", "raise ValueError('outer')":
                self.assertIn(text, fault["traceback"])

    def test_what_the_worker_itself_raises_shows_its_lines(self):
        with Worker() as far:
            fault = far.run("channel.send(object())")[1]
            self.assertEqual(fault["message"], "channel.send: item is object")
            self.assertIn('File "<execnet_worker.channel>"', fault["traceback"])
            self.assertIn("raise refusal(", fault["traceback"])
            self.assertNotIn("execnet_worker.execute", fault["traceback"])

    def test_syntax_errors(self):
        with Worker() as far:
            fault = far.run("x = 1\ny = = 2\n", filename="file.py")[1]
            self.assertEqual(fault["type"], "SyntaxError")
            for text in 'File "file.py", line 2', "y = = 2", "SyntaxError: invalid syntax":
                self.assertIn(text, fault["traceback"])
            self.assertRegex(far.run("return 1")[1]["message"], "'?return'? outside function")

    def test_names_of_types(self):
        with Worker() as far:
            self.assertEqual(far.run("import json; json.loads('x')")[1]["type"],
                             "json.decoder.JSONDecodeError")
            self.assertEqual(far.run("class E(Exception): pass\nraise E")[1]["type"],
                             "__channelexec__.E")

    def test_exits_and_interrupts_are_errors_and_the_worker_lives_on(self):
        with Worker() as far:
            for source, kind in [("raise SystemExit(3)", "SystemExit"), ("exit()", "SystemExit"),
                                 ("raise KeyboardInterrupt", "KeyboardInterrupt"),
                                 ("raise GeneratorExit", "GeneratorExit"),
                                 ("def f(): f()\nf()", "RecursionError")]:
                self.assertEqual(far.run(source)[1]["type"], kind)
            self.assertEqual(far.run("channel.send(1)"), ([1], None))

    def test_the_end_of_its_own_channel_ends_a_task_quietly(self):
        with Worker() as far:
            number = far.exec("while True: channel.send(channel.receive())")
            far.message(number, 1)
            far.write(frame(EOF, number))
            self.assertEqual(far.close(number), ([1], None))
            self.assertEqual(far.run("raise EOFError('other')")[1]["type"], "EOFError")
            number = far.exec("c = channel.gateway.newchannel(); c.close(); c.receive()")
            far.expect(OPEN, 2)
            far.expect(CLOSE, 2)
            self.assertIn("EndOfChannel", far.close(number)[1]["type"])

    def test_a_task_whose_channel_the_controller_dropped_ends_quietly(self):
        for source in "while True: channel.send(1)", "while True: channel.receive()":
            with Worker() as far:
                number = far.exec("channel.send(0)\n" + source)
                far.item(number)
                far.write(frame(CLOSE, number))
                far.terminate(1000, 1000)
                self.assertEqual(far.wait(), 0)
                self.assertEqual(far.stderr(), "")

    def test_an_error_behind_the_end_of_its_channel_is_printed(self):
        with Worker() as far:
            for source in "channel.close(); 1/0", "channel.waitclose(); 1/0":
                number = far.exec(source)
                if "wait" in source:
                    far.write(frame(CLOSE, number))
                    self.assertEqual(far.expect(CLOSE, number), b"")
                else:
                    self.assertEqual(far.close(number), ([], None))
            far.terminate(1000, 1000)
            self.assertEqual(far.wait(), 0)
            self.assertEqual(far.stderr().count("failed behind the end of its channel"), 2)
            self.assertEqual(far.stderr().count("ZeroDivisionError: division by zero"), 2)
            self.assertIn('File "<remote exec 2>", line 1', far.stderr())

    def test_exceptions_that_cannot_be_printed(self):
        with Worker() as far:
            fault = far.run("class E(Exception):\n    def __str__(self): raise ValueError\nraise E")[1]
            self.assertEqual(fault["message"], "<str() of it failed: ValueError>")
            self.assertIn("raise E", fault["traceback"])
            fault = far.run("raise ValueError('\\ud800')")[1]
            self.assertEqual(fault["message"], "\\ud800")

    def test_long_errors_are_cut_in_the_middle(self):
        with Worker() as far:
            number = far.exec("raise ValueError('first' + '\u2603' * 100000 + 'last')")
            payload = far.expect(CLOSE, number)
            self.assertLessEqual(len(payload), 16384)
            fault = cbor.loads(payload)
            self.assertTrue(fault["message"].startswith("first"))
            self.assertTrue(fault["message"].endswith("last"))
            self.assertIn("characters cut", fault["traceback"])

    def test_programs_print_tracebacks_with_lines(self):
        source = ("import {0}, io, traceback\nout = io.StringIO()\n"
                  "try:\n    1/0 # here\nexcept Exception: traceback.print_exc(file=out)\n"
                  "channel.send(out.getvalue())")
        with Worker() as far:
            for module in "sys", "linecache":
                self.assertIn("1/0 # here", far.run(source.format(module))[0][0])
        with Worker() as far:
            self.assertEqual(far.run("import inspect; def_ = 1\ndef f():\n    return 1\n"
                                     "channel.send(inspect.getsource(f))"),
                             (["def f():\n    return 1\n"], None))

    def test_tasks_start_while_another_thread_imports_linecache(self):
        with Worker() as far:
            # What they see then is a module without anything in it. 3.13 has the whole one from
            # its start.
            far.run("import sys, types; sys.whole = sys.modules.pop('linecache', None)\n"
                    "sys.modules['linecache'] = types.ModuleType('linecache')")
            self.assertEqual(far.run("channel.send(1)"), ([1], None))
            far.run("import sys; del sys.modules['linecache']\n"
                    "if sys.whole: sys.modules['linecache'] = sys.whole")
            self.assertIn("1/0 # here", far.run("1/0 # here")[1]["traceback"])

    def test_only_the_last_sources_are_kept(self):
        with Worker() as far:
            for _ in range(300):
                far.run("pass")
            items, _ = far.run("import linecache\nchannel.send([n for n in linecache.cache"
                               " if n.startswith('<remote')])")
            for _ in range(300):
                far.run("pass")
            more, _ = far.run("import linecache\nchannel.send([n for n in linecache.cache"
                              " if n.startswith('<remote')])")
            self.assertEqual((len(items[0]), len(more[0])), (128, 128))


class Places(unittest.TestCase):
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


class Interrupts(unittest.TestCase):
    SLEEPERS = [
        "while True: pass",
        "import time; time.sleep(1000)",
        "channel.receive()",
        "channel.waitclose()",
        "channel.gateway.newchannel().receive()",
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
