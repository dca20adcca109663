"""Values: what crosses, what does not, and bytes that nobody should have sent."""

import collections
import enum
import random
import struct
import unittest

from execnet_worker import cbor
from execnet_worker.explain import refusal

VALUES = [
    None, True, False, 0, 23, 24, -1, -24, -25, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1,
    2**64, -2**64, -2**64 - 1, 10**100, -10**100, 0.0, -0.0, 1.5, 1e308, float("inf"), 1j, -0j,
    b"", b"x" * 23, b"x" * 24, b"x" * 70000, "", "x" * 23, "x" * 24, "é\0☃\U0001f600",
    [], [1, [2, [3]]], (), (1,), ((),), set(), {1, 2}, frozenset(), frozenset({("a",)}),
    {}, {"a": 1, 2: "b", (3, (4,)): [5], frozenset({6}): {7}, None: None, b"8": 9.0},
    list(range(300)), {n: n for n in range(300)},
]


class RoundTrip(unittest.TestCase):
    def test_every_type(self):
        for value in VALUES:
            with self.subTest(value=repr(value)[:60]):
                back = cbor.loads(cbor.dumps(value))
                self.assertEqual(repr(back), repr(value))
                self.assertIs(type(back), type(value))

    def test_nan(self):
        self.assertNotEqual(*[cbor.loads(cbor.dumps(float("nan")))] * 2)

    def test_order_of_dicts(self):
        value = {str(n): n for n in random.sample(range(1000), 100)}
        self.assertEqual(list(cbor.loads(cbor.dumps(value))), list(value))

    def test_the_deepest_allowed(self):
        for wrap in (lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: frozenset({v})):
            value = 1j  # no container, although it is an array on the wire
            for _ in range(cbor.MAX_DEPTH):
                value = wrap(value)
            data = cbor.dumps(value)
            self.assertEqual(cbor.dumps(cbor.loads(data)), data)
            with self.assertRaises(cbor.TooDeep):
                cbor.dumps(wrap(value))

    def test_random_values(self):
        rng = random.Random(1)
        for _ in range(2000):
            value = _random_value(rng, 4)
            self.assertEqual(repr(cbor.loads(cbor.dumps(value))), repr(value))


def _random_value(rng, depth, hashable=False):
    pick = rng.randrange(6 if depth == 0 else 8 if hashable else 10)
    if pick < 2:
        return rng.getrandbits(rng.randrange(1, 100)) * rng.choice((1, -1))
    if pick < 6:
        return (None, rng.random(), bytes(rng.randrange(40)), "ü" * rng.randrange(40))[pick - 2]
    items = [_random_value(rng, depth - 1, hashable or pick in (7, 8))
             for _ in range(rng.randrange(5))]
    if pick == 6:
        return tuple(items)
    if pick == 7:
        return frozenset(items[:1])  # more have no order
    if pick == 8:
        return {key: _random_value(rng, depth - 1) for key in items}
    return items


class Subclasses(unittest.TestCase):
    def test_they_go_as_their_bases(self):
        class Colour(enum.IntEnum):
            RED = 3

        class Word(str, enum.Enum):
            HELLO = "hello"

        class Loud(str):
            def __str__(self):
                return "loud"

            def encode(self, *args):
                return b"loud"

        class Seven(int):
            def __int__(self):
                return 8

        Point = collections.namedtuple("Point", "x y")
        cases = [
            (Colour.RED, 3), (Word.HELLO, "hello"), (Loud("quiet"), "quiet"), (Seven(7), 7),
            (Point(1, 2), (1, 2)), (type("F", (float,), {})(1.5), 1.5),
            (type("B", (bytes,), {})(b"x"), b"x"), (type("L", (list,), {})([1]), [1]),
            (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
            (collections.defaultdict(int, {1: 2}), {1: 2}), (collections.Counter("aab"), {"a": 2, "b": 1}),
            (type("S", (set,), {})({1}), {1}), (bytearray(b"x"), b"x"), (memoryview(b"xyz")[1:], b"yz"),
        ]
        for value, expected in cases:
            with self.subTest(repr(value)):
                back = cbor.loads(cbor.dumps(value))
                self.assertEqual(back, expected)
                self.assertIs(type(back), type(expected))

    def test_numbers_of_other_libraries(self):
        import numbers

        @numbers.Integral.register
        class Int16:
            def __int__(self):
                return 5

        @numbers.Real.register
        class Float16:
            def __float__(self):
                return 0.5

        @numbers.Complex.register
        class Complex16:
            def __complex__(self):
                return 2j

        bool_ = type("bool_", (), {"__bool__": lambda self: False, "__module__": "numpy"})
        self.assertEqual(cbor.loads(cbor.dumps([Int16(), Float16(), Complex16(), bool_()])),
                         [5, 0.5, 2j, False])


class Refused(unittest.TestCase):
    def assertRefused(self, value, kind, text):
        with self.assertRaises((TypeError, ValueError)) as caught:
            cbor.dumps(value)
        error = refusal(value, caught.exception)
        self.assertIs(type(error), kind)
        self.assertEqual(str(error), "channel.send: " + text)

    def test_the_place_is_named(self):
        import datetime
        import decimal
        import fractions
        now = datetime.datetime.now()
        self.assertRefused(now, TypeError, "item is datetime.datetime")
        self.assertRefused({"items": [0, 1, 2, {"when": now}]}, TypeError,
                           "item['items'][3]['when'] is datetime.datetime")
        self.assertRefused({now: 1}, TypeError, "a key of item is datetime.datetime")
        self.assertRefused([{now}], TypeError, "a member of item[0] is datetime.datetime")
        self.assertRefused((1, object), TypeError, "item[1] is type")
        self.assertRefused(decimal.Decimal(1), TypeError, "item is decimal.Decimal")
        self.assertRefused(fractions.Fraction(1, 3), TypeError, "item is fractions.Fraction")
        self.assertRefused(range(3), TypeError, "item is range")

    def test_a_name_makes_no_type(self):
        for name in "list", "dict", "str", "int", "Channel":
            impostor = type(name, (), {"id": 1, "__len__": lambda self: 0, "__module__": "other"})
            self.assertRefused([impostor()], TypeError, "item[0] is other." + name)

    def test_text_that_is_none(self):
        self.assertRefused({"name": ["ok\udcff"]}, ValueError,
                           "item['name'][0] has a lone surrogate at index 2")

    def test_cycles(self):
        cycle = []
        cycle.append({"again": cycle})
        self.assertRefused(cycle, ValueError, "item is nested deeper than 256, or holds itself")


class Reading(unittest.TestCase):
    def assertReads(self, data, value):
        self.assertEqual(repr(cbor.loads(bytes.fromhex(data))), repr(value))

    def test_what_others_write(self):
        for data, value in [
            ("f93e00", 1.5), ("fa3fc00000", 1.5), ("1800", 0), ("1b0000000000000001", 1),
            ("c240", 0), ("c2420001", 1), ("c34100", -1), ("5f4101420203ff", b"\1\2\3"),
            ("7f6161ff", "a"), ("7fff", ""), ("9f01820203ff", [1, [2, 3]]), ("bf0102ff", {1: 2}),
            ("d901029f0102ff", {1, 2}), ("d9a7f89ff90000f90000ff", 0j), ("c25f4101ff", 1),
        ]:
            with self.subTest(data):
                self.assertReads(data, value)

    def test_refused(self):
        for data in [
            "", "f7", "f800", "f8ff", "e0", "ff", "1c", "1f", "3f", "df00", "fc", "fe",
            "01ff", "0101", "18", "19ff", "1b00", "41", "61", "8101ff", "8201", "a101", "a1",
            "9f01", "bf0102", "bf01ff", "81ff", "a1ff01", "a101ff", "5f01ff", "5f6161ff", "5f5fffff",
            "7f4100ff", "61ff", "62c328", "63eda080", "c0", "c001", "c101", "d8184100", "d9d9f700",
            "c201", "c26101", "c2c24100", "d901020a", "d90102a0", "d9b02d01", "d9b02dd9b02d80",
            "d9010281a0", "d901028180", "d90102d9010280", "a18000", "a1a000", "a1d9b02d818000",
            "d9a7f880", "d9a7f88101", "d9a7f8820101", "d9a7f883f90000f90000f90000",
            "d9b02f00", "d9b02f20", "d9b02f6131", "d9b02f1b0000000100000000",
        ]:
            with self.subTest(data):
                with self.assertRaises(cbor.DecodeError):
                    cbor.loads(bytes.fromhex(data), lambda number: number)

    def test_claims_that_cannot_be_true(self):
        for first in 0x40, 0x60, 0x80, 0xA0:
            for width, size in (25, ">H"), (26, ">I"), (27, ">Q"):
                data = bytes((first | width,)) + b"\xff" * struct.calcsize(size) + b"\0" * 10
                with self.assertRaises(cbor.DecodeError):
                    cbor.loads(data)

    def test_too_deep(self):
        for data in b"\x81" * 300, b"\x9f" * 300, b"\xa1\x01" * 300, b"\xd9\xb0\x2d\x81" * 300:
            with self.assertRaisesRegex(cbor.DecodeError, "deeper than 256"):
                cbor.loads(data)
        for data in b"\xc2" * 100000, b"\xd9\xb0\x2d" * 100000:
            with self.assertRaises(cbor.DecodeError):
                cbor.loads(data)

    def test_channels_need_somebody_who_knows_them(self):
        data = bytes.fromhex("82d9b02f07d9b02f1903e9")
        self.assertEqual(cbor.loads(data, lambda number: number), [7, 1001])
        with self.assertRaises(cbor.DecodeError):
            cbor.loads(data)

    def test_any_bytes(self):
        rng = random.Random(2)
        pool = [cbor.dumps(value) for value in VALUES if len(cbor.dumps(value)) < 200]
        for _ in range(20000):
            data = bytearray(rng.choice(pool))
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data)):rng.randrange(len(data) + 1)] = bytes(
                    rng.randrange(256) for _ in range(rng.randrange(3)))
                if not data:
                    break
            try:
                value = cbor.loads(bytes(data))
            except cbor.DecodeError:
                continue
            self.assertEqual(repr(cbor.loads(cbor.dumps(value))), repr(value), data.hex())


if __name__ == "__main__":
    unittest.main()
