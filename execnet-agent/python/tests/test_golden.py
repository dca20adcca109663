"""The frames and values that PROTOCOL.md gives as examples."""

import json
import marshal
import os
import re
import sys
import unittest

from execnet_worker import cbor
from execnet_worker.frame import (CLOSE, CREDIT, DATA, EOF, EXEC, HEADER, HELLO, INTERRUPT, MORE,
                                  OPEN, PING, PONG, STATUS, TERMINATE, fault, frame, read_fault,
                                  read_hello)

PROTO = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     os.pardir, os.pardir, os.pardir, "execnet-proto")

FRAMES = {
    "hello_minimal": (HELLO, 0, cbor.dumps({"versions": [1, 1]})),
    "open": (OPEN, 1, b""),
    "exec": (EXEC, 3, b""),
    "eof": (EOF, 3, b""),
    "close": (CLOSE, 3, b""),
    "interrupt": (INTERRUPT, 3, b""),
    "data_bytes": (DATA, 1, b"hello"),
    "data_cbor": (DATA | 1, 1, cbor.dumps(42)),
    "data_more": (DATA | MORE, 1, b"he"),
    "data_empty": (DATA, 1, b""),
    "credit_channel": (CREDIT, 1, b"\x00\x00\x80\x00"),
    "credit_connection": (CREDIT, 0, b"\x00\x10\x00\x00"),
    "close_error": (CLOSE, 1, fault("ZeroDivisionError", "by zero!")),
    "ping": (PING, 0, bytes(range(1, 9))),
    "pong": (PONG, 0, bytes(range(1, 9))),
    "terminate": (TERMINATE, 0, HEADER.pack(5000, 1000)),
    "status_request": (STATUS, 0, b""),
    "status_reply": (STATUS, 0, cbor.dumps({"channels": 2})),
    "output": (0x82, 0, b"\x02hi"),
    "value_dict": (DATA | 1, 1, cbor.dumps({"a": (1, -1), "b": 1.5 + 0j})),
    "value_marshal": (DATA | 2, 1, bytes.fromhex("7b7a0161290269010000" "0069ffffffff7a016279000000000000f83f"
                                                 "000000000000000030")),
}


class Channel:
    """A channel in a value: only its number crosses."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Channel and other.number == self.number

    def __hash__(self):
        return self.number


cbor.register(Channel, lambda channel: channel.number)


class Golden(unittest.TestCase):
    def test_frames(self):
        with open(os.path.join(PROTO, "PROTOCOL.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```golden (\w+)\n(.*?)^```$", file.read(), re.M | re.S)
        self.assertEqual(set(dict(blocks)), set(FRAMES))
        for name, text in blocks:
            with self.subTest(name):
                self.assertEqual(frame(*FRAMES[name]).hex(), "".join(text.split()))

    def test_payloads_are_understood(self):
        self.assertEqual(read_hello(FRAMES["hello_minimal"][2])["max_channels"], 256)
        self.assertEqual(read_fault(FRAMES["close_error"][2])["message"], "by zero!")
        self.assertEqual(cbor.loads(FRAMES["value_dict"][2]), {"a": (1, -1), "b": 1.5 + 0j})
        self.assertEqual(marshal.loads(FRAMES["value_marshal"][2]), {"a": (1, -1), "b": 1.5 + 0j})

    def test_values(self):
        with open(os.path.join(PROTO, "golden", "values.json"), encoding="utf-8") as file:
            values = json.load(file)
        self.assertGreater(len(values), 10)
        for entry in values:
            with self.subTest(entry["name"]):
                value = eval(entry["python"], {"Channel": Channel})
                data = bytes.fromhex(entry["cbor"])
                self.assertEqual(cbor.dumps(value).hex(), data.hex())
                self.assertEqual(repr(_same(cbor.loads(data, Channel))), repr(_same(value)))
                if "marshal" in entry and sys.implementation.name == "cpython":
                    read = marshal.loads(bytes.fromhex(entry["marshal"]))
                    self.assertEqual(repr(_same(read)), repr(_same(value)))


def _same(value):
    """Sets in one order, channels by their numbers: what two values with one repr have in common."""
    if isinstance(value, Channel):
        return "channel", value.number
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(_same, value)))
    if isinstance(value, (list, tuple)):
        return type(value), [_same(item) for item in value]
    if isinstance(value, dict):
        return dict, [(_same(key), _same(item)) for key, item in value.items()]
    return value


if __name__ == "__main__":
    unittest.main()
