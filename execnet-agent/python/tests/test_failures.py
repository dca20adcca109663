"""How tasks fail in a real worker, and what is told of it."""

import unittest

from execnet_worker import cbor
from execnet_worker.frame import CLOSE, EOF, OPEN, frame

from .link import Worker


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
                self.assertIsNone(far.end())
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


if __name__ == "__main__":
    unittest.main()
