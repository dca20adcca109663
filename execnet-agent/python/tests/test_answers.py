"""What a real worker answers, and how it takes what breaks the rules."""

import os
import socket
import unittest
from unittest import mock

from execnet_worker import cbor, mux
from execnet_worker.channel import Channel
from execnet_worker.frame import (CBOR, CLOSE, CREDIT, DATA, EOF, EXEC, HEADER, HELLO, INTERRUPT,
                                  LIMITS, MORE, OPEN, PING, PONG, STATUS, TERMINATE, frame,
                                  read_hello)
from execnet_worker.reader import Reader

from .link import PATIENCE, Tasks, Worker, in_thread


class Start(unittest.TestCase):
    def test_nothing_stands_before_the_greeting(self):
        """A PING may be there when a slow worker starts, and the reader be faster than the writer."""
        near, far = socket.socketpair()
        hello = read_hello(cbor.dumps({"versions": [1, 1]}))
        with near, far, open(os.dup(far.fileno()), "rb") as source:
            near.settimeout(PATIENCE)
            connection = mux.Connection(source, far.fileno(), hello, Channel, Tasks())
            threads = []
            with mock.patch.object(mux, "start_new_thread", lambda run, _: threads.append(run)):
                connection.start(b"greeting")
            Reader(connection).parse(frame(PING, 0, b"abcdefgh"))
            writer = in_thread(threads[0])
            expected = b"greeting" + frame(PONG, 0, b"abcdefgh")
            found = b""
            while len(found) < len(expected):
                found += near.recv(100)
            self.assertEqual(found, expected)
            self.assertTrue(writer.is_alive())


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


if __name__ == "__main__":
    unittest.main()
