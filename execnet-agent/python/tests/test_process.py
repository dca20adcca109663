"""The worker as a process: how it starts, what it does with its files, and how it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from time import monotonic, sleep

from execnet_worker import cbor
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, HEADER, HELLO, INTERRUPT,
                                  LIMITS, MORE, OPEN, PING, PONG, PREAMBLE, STATUS, TERMINATE,
                                  frame)

from .link import INTERRUPTS_THREADS, PATIENCE, PYPY, Worker
from .payload import LINE, SOURCE


STUBBORN = """
def run(n=0):
    while True: n = n * n
while True:
    try: run()
    except: pass
"""


class Start(unittest.TestCase):
    def test_hello(self):
        with Worker({"id": "gw0"}) as far:
            facts = far.hello["facts"]
            self.assertEqual(facts["pid"], far.process.pid)
            self.assertEqual(facts["id"], "gw0")
            self.assertEqual(facts["cwd"], os.getcwd())
            self.assertEqual(facts["executable"], sys.executable)
            self.assertEqual(facts["version"], "%d.%d.%d" % sys.version_info[:3])
            self.assertEqual(facts["implementation"], sys.implementation.name)
            self.assertEqual(facts["platform"], sys.platform)
            self.assertEqual(far.hello["versions"], [1, 1])
            self.assertEqual({key: far.hello[key] for key in LIMITS}, LIMITS)

    def test_what_was_compiled_serves_the_same_interpreter_only(self):
        windows = {"channel_window": 1 << 30, "connection_window": 1 << 30, "max_message": 1 << 30}
        with Worker(**windows) as far:
            self.assertEqual(far.hello["facts"]["from_source"], 1)
            number = far.next_number()
            far.write(frame(EXEC, number), frame(DATA | CBOR, number, cbor.dumps({"kind": "compiled"})))
            (compiled,), fault = far.close(number)
            self.assertIsNone(fault)
        for found, from_source in (compiled, 0), (b"not " + compiled, 1), (compiled[:20], 1):
            with Worker(compiled=found) as far:
                self.assertEqual(far.hello["facts"]["from_source"], from_source)
                # Also what is compiled later, and what shows lines of the source.
                source = "import execnet_worker.command\nchannel.receive(-1)"
                fault = far.run(source)[1]
                self.assertIn("channel.receive(-1)\n", fault["traceback"])
                self.assertIn("<execnet_worker.channel>", fault["traceback"])
                self.assertIn("entry = stream.take(timeout)\n", fault["traceback"])

    def test_settings(self):
        with tempfile.TemporaryDirectory() as top:
            path = os.path.join(os.path.realpath(top), "made", "with parents")
            nice = os.nice(0)
            with Worker({"chdir": path, "nice": 3, "env": {"EXECNET_A": "ü", "EXECNET_B": ""},
                         "of the future": 1}) as far:
                self.assertEqual(far.hello["facts"]["cwd"], path)
                items, fault = far.run(
                    "import os, threading\n"
                    "channel.send([os.getcwd(), os.environb[b'EXECNET_A'], os.environ['EXECNET_B']])\n"
                    "nices = [os.nice(0)]\n"
                    "t = threading.Thread(target=lambda: nices.append(os.nice(0)))\n"
                    "t.start(); t.join(); channel.send(nices)")
                self.assertEqual(items, [[path, "ü".encode(), ""], [nice + 3, nice + 3]])

    def test_directories(self):
        with tempfile.TemporaryDirectory() as top:
            top = os.path.realpath(top)
            for path in top, os.path.relpath(top), os.path.relpath(os.path.join(top, "a", "b", "c")):
                for _ in range(2):  # made, then found
                    with Worker({"chdir": path}) as far:
                        self.assertEqual(far.hello["facts"]["cwd"], os.path.abspath(path))
                        self.assertEqual(far.run("open('here', 'w').close()"), ([], None))
                        self.assertTrue(os.path.exists(os.path.join(path, "here")))

    def test_a_setting_that_fails_is_named(self):
        with tempfile.NamedTemporaryFile() as file:
            for setting, value in [("chdir", file.name), ("chdir", 3), ("nice", "x"),
                                   ("env", {"A=B": "c"}), ("env", {"A": 1}), ("env", []),
                                   ("execmodel", "gevent"), ("id", b"gw")]:
                with self.subTest(setting=setting, value=value):
                    with Worker({setting: value}, read_hello=False) as far:
                        self.assertEqual(far.file.read(len(PREAMBLE)), PREAMBLE)
                        fault = far.end()
                        self.assertEqual(fault["type"], "SettingError")
                        self.assertIn(setting, fault["message"])
                        self.assertEqual(far.wait(), 1)

    def test_versions(self):
        for versions, kind in [([2, 3], "VersionMismatch"), ([0, 0], "VersionMismatch"),
                               ("1", "ProtocolError"), ([1], "ProtocolError")]:
            with Worker(read_hello=False, versions=versions) as far:
                far.file.read(len(PREAMBLE))
                self.assertEqual(far.end()["type"], kind)
                self.assertEqual(far.wait(), 1)
        with Worker(versions=[1, 9]) as far:
            self.assertEqual(far.run("channel.send(1)"), ([1], None))

    def test_limits_below_the_least(self):
        for key in LIMITS:
            with Worker(read_hello=False, **{key: 1}) as far:
                far.file.read(len(PREAMBLE))
                self.assertIn(key, far.end()["message"])

    def start(self, data):
        """What a worker that is sent these bytes says, on stdout and on stderr, and its code."""
        process = subprocess.Popen([sys.executable, "-c", LINE], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, error = process.communicate(data, timeout=PATIENCE)
        return out, error.decode(), process.returncode

    def test_everything_in_one_packet_over_pipes(self):
        request = cbor.dumps({"kind": "source", "source": "channel.send(channel.receive())"})
        process = subprocess.Popen([sys.executable, "-c", LINE], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        with process.stdin, process.stdout:
            process.stdin.write(
                SOURCE + PREAMBLE + frame(HELLO, 0, cbor.dumps({"versions": [1, 1]}))
                + frame(EXEC, 1) + frame(DATA | CBOR, 1, request)
                + frame(DATA | CBOR, 1, b"\x18\x2a")
                + frame(TERMINATE, 0, HEADER.pack(900000, 900000)))
            process.stdin.flush()
            out = process.stdout.read()
            self.assertEqual(process.wait(PATIENCE), 0)
        self.assertTrue(out.startswith(PREAMBLE))
        self.assertTrue(out.endswith(frame(DATA | CBOR, 1, b"\x18\x2a") + frame(CLOSE, 1)
                                     + frame(CLOSE, 0)))

    def test_bytes_that_come_one_by_one(self):
        with Worker() as far:
            number = far.next_number()
            request = cbor.dumps({"kind": "source", "source": "channel.send(1)" + " " * 300})
            for byte in frame(EXEC, number) + frame(DATA | CBOR, number, request):
                far.write(bytes((byte,)))
            self.assertEqual(far.close(number), ([1], None))

    def test_a_link_that_ends_early(self):
        self.assertEqual(self.start(SOURCE), (b"", "", 0))
        for data in PREAMBLE, PREAMBLE + frame(HELLO, 0, b"1234567")[:-3]:
            out, error, code = self.start(SOURCE + data)
            self.assertTrue(out.startswith(PREAMBLE + b"\6"), out)
            self.assertEqual((error, code), ("", 1))

    def test_something_else_than_the_protocol(self):
        for data in b"GET / HTTP/1.1\r\n\r\n", PREAMBLE + frame(OPEN, 1), PREAMBLE + b"\1" + b"\xff" * 20:
            out, error, code = self.start(SOURCE + data)
            self.assertIn(b"ProtocolError", out)
            self.assertEqual((error, code), ("", 1))


class Files(unittest.TestCase):
    def test_what_programs_print_goes_to_stderr(self):
        with Worker() as far:
            items, fault = far.run(
                "import os, subprocess, sys\n"
                "print('one')\n"
                "print('\u2603 \\udcff', flush=True)\n"
                "os.write(1, b'two\\n')\n"
                "subprocess.check_call(['sh', '-c', 'echo three; echo four >&2'])\n"
                "sys.stderr.write('five\\n')\n"
                "sys.stdout.write('no newline')\n"
                "channel.send([sys.stdout.encoding, sys.stdin.read(), sys.stdin.encoding])\n"
                "try: input()\n"
                "except EOFError: channel.send('no input')")
            self.assertIsNone(fault)
            self.assertEqual(items, [["utf-8", "", "utf-8"], "no input"])
            self.assertEqual(far.stderr(), "one\n\u2603 \\udcff\ntwo\nthree\nfour\nfive\nno newline")

    def test_a_crash_in_c_shows_where(self):
        for beside in False, True:
            with Worker() as far:
                if beside:  # then it runs in another thread
                    far.exec("channel.receive()")
                far.exec("import faulthandler\ndef crash():\n    faulthandler._sigsegv()\n"
                         "crash()", filename="tasks/crash.py")
                self.assertEqual(far.wait(), -signal.SIGSEGV)
                printed = far.stderr()
                self.assertTrue(printed.startswith("Fatal Python error: Segmentation fault"))
                # PyPy knows only where the code begins.
                for line in (2, 1) if PYPY else (3, 4):
                    self.assertIn('File "tasks/crash.py", line %d in ' % line, printed)
                self.assertNotIn("execnet_worker.reader", printed)

    def test_children_inherit_nothing_of_the_link(self):
        with Worker() as far:
            items, fault = far.run(
                "import os, subprocess, sys\n"
                "code = 'import os, stat; print([fd for fd in range(100) if os.path.exists("
                "\"/proc/self/fd/%d\" % fd) and stat.S_ISSOCK(os.stat(fd).st_mode)])'\n"
                "channel.send(subprocess.check_output([sys.executable, '-c', code],"
                " close_fds=False).decode())\n"
                "channel.send(subprocess.check_output(['cat']))")
            self.assertEqual((items, fault), (["[]\n", b""], None))

    def test_without_a_stderr(self):
        with Worker(prefix=["sh", "-c", 'exec "$0" "$@" 2>&-']) as far:
            self.assertEqual(far.run("print(1); import os; os.write(1, b'2'); channel.send(3)"),
                             ([3], None))

    @unittest.skipUnless(hasattr(os, "fork"), "forks")
    def test_forked_children_keep_off_the_link(self):
        source = """
            import os, sys
            pid = os.fork()
            if pid == 0:
                try:
                    channel.send("from the child")
                except OSError as error:
                    sys.stderr.write('%s\\n' % error)
                {0}
            else:
                os.waitpid(pid, 0)
                channel.send("from the parent")
            """
        with Worker() as far:
            for last in "os._exit(0)", "pass", "1/0":
                self.assertEqual(far.run(source.format(last)), (["from the parent"], None))
            if hasattr(os, "register_at_fork"):
                self.assertEqual(far.stderr().count("cannot send: this is a forked child"), 3)

    @unittest.skipUnless(hasattr(os, "register_at_fork"), "closes the link in forked children")
    def test_in_a_forked_child_waiting_ends_with_an_error(self):
        source = """
            import os, sys
            channel.setcallback(lambda item: None)
            pid = os.fork()
            if pid == 0:
                try:
                    channel.waitclose()
                except OSError as error:
                    sys.stderr.write("%s\\n" % error)
                os._exit(0)
            os.waitpid(pid, 0)
            """
        with Worker() as far:
            self.assertEqual(far.run(source), ([], None))
            self.assertIn("this is a forked child", far.stderr())

    @unittest.skipUnless(hasattr(os, "register_at_fork"), "closes the link in forked children")
    def test_a_forked_child_does_not_hold_the_link(self):
        with Worker() as far:
            far.exec("import os, time\n"
                     "if os.fork() == 0: time.sleep(1000)\n"
                     "os._exit(3)")
            self.assertEqual(list(far.frames())[1:], [])
            self.assertEqual(far.wait(), 3)
            os.killpg(far.process.pid, signal.SIGKILL)


class Answers(unittest.TestCase):
    def test_ping_and_status_while_a_task_computes(self):
        with Worker() as far:
            number = far.exec("channel.send(1)\nwhile True: pass")
            far.item(number)
            far.write(frame(PING, 0, b"abcdefgh"))
            self.assertEqual(far.expect(PONG, 0), b"abcdefgh")
            self.assertEqual(far.status(), {"channels": 1, "executing": 1, "queued": 0,
                                            "execmodel": "thread", "waiting_for_credit": []})

    def test_status_names_those_who_wait_for_credit(self):
        with Worker() as far:
            number = far.exec("for _ in range(100): channel.send(bytes(10000))")
            for _ in range(6):
                far.expect(DATA, number)
            status = far.status()
            while not status["waiting_for_credit"]:
                status = far.status()
            self.assertEqual(status["waiting_for_credit"], [number])
            for _ in range(94):
                far.write(frame(CREDIT, number, (10008).to_bytes(4, "big")),
                          frame(CREDIT, 0, (10008).to_bytes(4, "big")))
                far.expect(DATA, number)
            self.assertEqual(far.close(number), ([], None))
            self.assertEqual(far.status()["waiting_for_credit"], [])

    def test_kinds_that_may_be_ignored(self):
        with Worker() as far:
            far.write(frame(0xFF, 7, b"anything"), frame(0x82, 0, b"\1x"), frame(0x90, 1, b""))
            self.assertEqual(far.run("channel.send(1)"), ([1], None))

    def test_what_breaks_the_rules(self):
        window = LIMITS["channel_window"]
        five = b"".join(frame(OPEN, number) for number in (1, 3, 5))
        for name, data in [
            ("unknown kind", frame(0x20, 0)),
            ("second hello", frame(HELLO, 0, cbor.dumps({"versions": [1, 1]}))),
            ("a number left out", frame(OPEN, 3)),
            ("a number of ours", frame(OPEN, 2)),
            ("a number used twice", frame(OPEN, 1) * 2),
            ("channel 0 opened", frame(OPEN, 0)),
            ("open with a payload", frame(OPEN, 1, b"x")),
            ("exec with a payload", frame(EXEC, 1, b"x")),
            ("data on no channel", frame(DATA, 1)),
            ("data on channel 0", frame(DATA, 0)),
            ("data after eof", five + frame(EOF, 5) + frame(DATA, 5)),
            ("data after close", five + frame(CLOSE, 5) + frame(DATA, 5)),
            ("eof twice", five + frame(EOF, 5) * 2),
            ("eof after close", five + frame(CLOSE, 5) + frame(EOF, 5)),
            ("eof inside a message", five + frame(DATA | MORE, 5, b"x") + frame(EOF, 5)),
            ("eof with a payload", five + frame(EOF, 5, b"x")),
            ("close twice", five + frame(CLOSE, 5) * 2),
            ("close of an unknown channel", frame(CLOSE, 2)),
            ("close with a bad fault", five + frame(CLOSE, 5, b"\xff")),
            ("close with a fault without a type", five + frame(CLOSE, 5, b"\xa0")),
            ("an unknown format", five + frame(DATA | 7, 5)),
            ("a format that was not offered", five + frame(DATA | 3, 5)),
            ("an empty fragment", five + frame(DATA | MORE, 5)),
            ("two formats", five + frame(DATA | MORE, 5, b"x") + frame(DATA | CBOR, 5, b"x")),
            ("beyond the credit", five + frame(DATA, 5, bytes(window // 2)) * 2),
            ("credit of 0", five + frame(CREDIT, 5, bytes(4))),
            ("credit of 3 bytes", five + frame(CREDIT, 5, b"xxx")),
            ("too much credit", five + frame(CREDIT, 5, b"\x7f\xff\xff\xff")),
            ("too much credit for all", frame(CREDIT, 0, b"\x7f\xff\xff\xff")),
            ("credit on no channel", frame(CREDIT, 1, b"\0\0\0\1")),
            ("interrupt of no channel", frame(INTERRUPT, 1)),
            ("interrupt with a payload", five + frame(INTERRUPT, 5, b"x")),
            ("ping on a channel", five + frame(PING, 5, bytes(8))),
            ("ping of 7 bytes", frame(PING, 0, bytes(7))),
            ("pong of 9 bytes", frame(PONG, 0, bytes(9))),
            ("terminate on a channel", five + frame(TERMINATE, 5, bytes(8))),
            ("terminate of 4 bytes", frame(TERMINATE, 0, bytes(4))),
            ("status on a channel", five + frame(STATUS, 5)),
            ("too long a frame", b"\x82\xff\xff\xff\0\0\0\0"),
        ]:
            with self.subTest(name):
                with Worker() as far:
                    running = far.exec("import time; time.sleep(1000)")
                    # Channel 1 is taken: count from it.
                    far.write(_shift(data))
                    self.assertEqual(far.end()["type"], "ProtocolError")
                    self.assertNotEqual(far.wait(), 0)
                    self.assertEqual(far.stderr(), "")


def _shift(data):
    """The same frames with the numbers of the controller's channels one further on."""
    shifted = b""
    at = 0
    while at < len(data):
        word, number = HEADER.unpack_from(data, at)
        end = at + 8 + (word & 0xFFFFFF)
        shifted += HEADER.pack(word, number + 2 if number % 2 else number) + data[at + 8:end]
        at = end
    return shifted


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
                child = far.item(number)
                far.wait()  # the link is up all the time
                self.assertTrue(_is_gone(child))

    def test_a_program_is_told_why(self):
        # The interrupt that ends what runs may be there first.
        source = ("import sys\n"
                  "error = None\n"
                  "while not error:\n"
                  "  try: channel.receive()\n"
                  "  except KeyboardInterrupt: pass\n"
                  "  except OSError as lost: error = lost\n"
                  "sys.stderr.write('%s\\n' % error)\n")
        with Worker(**self.KEEPALIVE) as far:
            far.exec(source)
            far.wait()
            self.assertIn("no answer from the controller for 0.6 s", far.stderr())

    def test_whoever_is_heard_is_not_left(self):
        with Worker(channel_window=1 << 30, connection_window=1 << 30, **self.KEEPALIVE) as far:
            number = far.exec("for item in channel: channel.send(item)")
            end = monotonic() + 2 * self.LIMIT
            for _ in range(10000):
                far.message(number, 1)
                self.assertEqual(far.item(number), 1)
                if monotonic() > end:
                    break
            end = monotonic() + 2 * self.LIMIT
            while monotonic() < end:
                far.write(frame(PING, 0, b"12345678"))
                far.expect(PONG, 0)

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
