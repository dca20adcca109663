"""The worker as a process: how it starts, and what it does with its files."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

from execnet_worker import cbor
from execnet_worker.frame import (CBOR, CLOSE, DATA, EXEC, HEADER, HELLO, LIMITS, OPEN, PREAMBLE,
                                  TERMINATE, frame)

from .link import PATIENCE, PYPY, Worker
from .payload import LINE, SOURCE


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


if __name__ == "__main__":
    unittest.main()
