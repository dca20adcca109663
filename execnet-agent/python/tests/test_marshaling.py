"""What goes as marshal, and that nothing goes as marshal that would arrive as something else."""

import array
import collections
import enum
import json
import marshal
import os
import sys
import unittest

from execnet_worker import cbor
from execnet_worker.frame import CBOR, DATA, FORMATS, MARSHAL, frame
from execnet_worker.marshaling import dumps

from .link import LocalWorker
from .test_golden import PROTO, Channel

CPYTHON = sys.implementation.name == "cpython"


class Text(str):
    pass


class Items(list):
    pass


class Number(enum.IntEnum):
    ONE = 1


Pair = collections.namedtuple("Pair", "a b")


def nest(depth, inner):
    for _ in range(depth):
        inner = [inner]
    return inner


def nest_sets(depth):
    inner = frozenset()
    for _ in range(depth):
        inner = frozenset([inner])
    return [inner]


def holding_itself(times):
    items = []
    items.extend([items] * times)
    return items


PLAIN = [
    [], (), set(), frozenset(), {}, [1, "a", None, True, 1.5, 2j, b"x", 2**70],
    {"a": {"b": [(1, 2)] * 3}}, {1: 2, (3, "x"): frozenset([4])}, {None: "\u20ac\U0001f40d"},
    nest(256, 7), nest(255, {}), list(range(5000)), [1, "a"] * 5000, [{"k": n} for n in range(2000)],
    [["same"] * 2] * 5000, [0xA0ED, 0x80A0ED, "text"], {"float": -1.4916681462400413e-154},
    ["\ud7ff", "\ue000", "\udbff\udfff".encode("utf-16", "surrogatepass").decode("utf-16")],
]
# As what they go instead.
ODD = [
    ([Text("s")], ["s"]), ([Items([1])], [[1]]), ([Number.ONE], [1]), ([Pair(1, 2)], [(1, 2)]),
    ({Text("k"): 1}, {"k": 1}), ({(1, Text("k")): 1}, {(1, "k"): 1}), ({Number.ONE: 2}, {1: 2}),
    (collections.OrderedDict(a=1), {"a": 1}), ([collections.Counter("a")], [{"a": 1}]),
    ([bytearray(b"x")], [b"x"]), ({"m": memoryview(b"y")}, {"m": b"y"}),
    (nest_sets(100), nest_sets(100)), ([Channel(5)], [Channel(5)]), ({"deep": [(Channel(7),)]}, {"deep": [(Channel(7),)]}),
]
# With the place that the error must name.
REFUSED = [
    ([1, ...], "item[1] is ellipsis"), ([StopIteration], "item[0] is type"),
    ({"c": (lambda: 0).__code__}, "item['c'] is code"), ([[array.array("i", [1])]], "item[0][0] is array.array"),
    ({"a": {1: object()}}, "item['a'][1] is object"), ([slice(1)], "item[0] is slice"),
    (["ok", "\ud800"], "item[1] has a lone surrogate"), ({"\udfff": 1}, "a key of item has a lone surrogate"),
    ([{1: {"x\udc00": 2}}], "a key of item[0][1] has a lone surrogate"),
    (nest(257, 7), "nested deeper than 256"), (holding_itself(1), "holds itself"),
    (holding_itself(2), "holds itself"), (holding_itself(1500), "holds itself"),
]


class Writing(unittest.TestCase):
    def test_basic_types_as_version_2(self):
        for value in PLAIN:
            with self.subTest("%.60r" % (value,)):
                self.assertEqual(dumps(value), marshal.dumps(value, 2))

    def test_containers_of_the_golden_values(self):
        with open(os.path.join(PROTO, "golden", "values.json"), encoding="utf-8") as file:
            values = json.load(file)
        for entry in values:
            value = eval(entry["python"], {"Channel": Channel})
            if isinstance(value, (list, tuple, set, frozenset, dict)):
                with self.subTest(entry["name"]):
                    self.assertEqual(dumps(value) is not None, "marshal" in entry)

    def test_one_odd_item_among_many(self):
        for value, _ in ODD + REFUSED:
            for many in [0] * 5000, [0, "a"] * 2500, [[0]] * 5000:
                for place in 0, 2500, 5000:
                    with self.subTest("%.60r at %d" % (value, place)):
                        self.assertIsNone(dumps(many[:place] + [value] + many[place:]))

    def test_everything_else_is_left_to_cbor(self):
        for value, _ in ODD + REFUSED:
            with self.subTest("%.60s" % type(value[0] if isinstance(value, list) else value)):
                self.assertIsNone(dumps(value))

    @unittest.skipUnless(CPYTHON, "the marshal of other Pythons is not CPython's")
    def test_a_dict_whose_keys_were_once_odd(self):
        # What the garbage collector is told of a dict depends on its history.
        value = {Text("k"): 1, "a": 2}
        del value["k"]
        self.assertEqual(marshal.loads(dumps(value)), {"a": 2})
        value = {"a": 1}
        self.assertIn("a", value)
        self.assertNotIn(Text("b"), value)
        value[Text("b")] = 2
        self.assertIsNone(dumps(value))
        names = type("Names", (), {})()
        names.a, names.b = 1, [2]
        self.assertEqual(marshal.loads(dumps(vars(names))), {"a": 1, "b": [2]})

    @unittest.skipUnless(CPYTHON, "the marshal of other Pythons is not CPython's")
    def test_the_format_of_each_message(self):
        with LocalWorker(formats=["bytes", "cbor", "marshal"]) as far:
            number, channel = far.open()

            def sent(value):
                channel.send(value)
                return next((kind, payload) for kind, found, payload in far.frames() if found)

            for value in PLAIN:
                data = marshal.dumps(value, 2)
                if len(data) < 10000:  # the others come in fragments
                    self.assertEqual(sent(value), (DATA | MARSHAL, data))
            for value, base in ODD:
                self.assertEqual(sent(value), (DATA | CBOR, cbor.dumps(base)))
            for value, place in REFUSED:
                with self.assertRaisesRegex((TypeError, ValueError), "^channel.send: ") as caught:
                    channel.send(value)
                self.assertIn(place, str(caught.exception))
            self.assertEqual(sent(7), (DATA | CBOR, cbor.dumps(7)))

    def test_marshal_is_only_for_those_who_list_it(self):
        with LocalWorker() as far:
            number, channel = far.open()
            channel.send([1])
            self.assertEqual(far.item(number), [1])


@unittest.skipUnless(CPYTHON, "the marshal of other Pythons is not CPython's")
class Reading(unittest.TestCase):
    def test_what_comes_is_read_and_what_is_cut_off_is_an_error(self):
        self.assertIn("marshal", FORMATS)
        with LocalWorker() as far:
            number, channel = far.open()
            far.write(frame(DATA | MARSHAL, number, b"[\2\0\0\0z\1a)\1i\7\0\0\0"))
            self.assertEqual(channel.receive(), ["a", (7,)])
            for damaged in b"[\2\0\0\0N", b"", b"?", b"0":
                far.write(frame(DATA | MARSHAL, number, damaged))
                with self.assertRaisesRegex(cbor.DecodeError, "no value in marshal: "):
                    channel.receive()


if __name__ == "__main__":
    unittest.main()
