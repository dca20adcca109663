//! Values that cross, on every interpreter found, in both directions.
//!
//! Each row is Python's own text of a value. The worker makes the value from it and sends it; what
//! arrives here is sent back, and the worker says whether that is the same, types and signs included.

mod common;

use std::time::Duration;

use common::{bounded, group, python, pythons};
use execnet::{BigInt, Channel, Config, Gateway, Group, Output, ReceiveError, SendError, Value};

/// Makes values from text, and compares them more sharply than `==` does.
const PYTHON: &str = r#"
import struct, sys

inf, nan = float("inf"), float("nan")

def bits(x):
    # All NaNs are one: not every machine keeps the rest of their bits.
    return "nan" if x != x else struct.pack(">d", x)

def exactly(value):
    kind = type(value)
    if kind is float:
        return kind, bits(value)
    if kind is complex:
        return kind, bits(value.real), bits(value.imag)
    if kind in (list, tuple):
        return kind, [exactly(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted((exactly(item) for item in value), key=repr)
    if kind is dict:
        return kind, [(exactly(k), exactly(v)) for k, v in value.items()]
    return kind, value

def nested(kind, depth, value):
    for _ in range(depth):
        value = kind(value)
    return value
"#;

const ECHO: &str = r#"
for text in channel:
    value = eval(text)
    channel.send(value)
    back = channel.receive()
    channel.send(exactly(back) == exactly(value))
"#;

/// Ints around every power of two where something changes.
fn ints() -> Vec<String> {
    let mut rows = vec!["0".to_owned()];
    for power in [4, 5, 8, 16, 31, 32, 53, 63, 64, 127, 128, 1000] {
        for near in ["-2", "-1", "", "+1", "+2"] {
            rows.push(format!("2**{power}{near}"));
            rows.push(format!("-2**{power}{near}"));
        }
    }
    rows.extend(["10**9999 + 7".to_owned(), "-10**9999 - 7".to_owned()]);
    rows
}

const OTHERS: &[&str] = &[
    // One of each.
    "None",
    "True",
    "False",
    "0.0",
    "1.5",
    "1j",
    "b'x'",
    "'x'",
    "[1]",
    "(1,)",
    "{1}",
    "frozenset({1})",
    "{1: 2}",
    // Floats and their corners.
    "-0.0",
    "inf",
    "-inf",
    "nan",
    "5e-324",
    "1.7976931348623157e308",
    "0.1",
    "1e16",
    "1/3",
    "complex(-0.0, -0.0)",
    "complex(nan, -inf)",
    "complex(0.0, -0.0)",
    // Nothing in them.
    "''",
    "b''",
    "[]",
    "()",
    "set()",
    "frozenset()",
    "{}",
    "[[]]",
    "((),)",
    "{frozenset()}",
    "{(): {}}",
    // Text and bytes.
    "'\\0'",
    "'it\\'s \"so\" \\\\ \\r\\n\\t'",
    "'\\xe9\\u0301 \\u4f60 \\U0001f40d \\uffff \\ufeff \\u202e'",
    "'x' * 65536",
    "''.join(map(chr, range(0xd800)))",
    "bytes(range(256))",
    "b'\\0' * 100000",
    "['x' * 300, b'x' * 300]",
    // Structures.
    "[None, True, 1, 2**64, 0.5, 1j, b'', '', [], (), set(), frozenset(), {}]",
    "list(range(100000))",
    "[[n, str(n), n / 7] for n in range(5000)]",
    "{str(n): {'n': n} for n in range(3000)}",
    "{'z': 1, 'a': 2, 'm': 3}",
    "[(1, [2, (3, {4: {5: [6]}})])] * 3",
    "{1, 'a', b'a', 2.5, None, (1, 2), frozenset({3})}",
    "nested(lambda x: [x], 256, 0)",
    "nested(lambda x: (x,), 256, 0)",
    "nested(lambda x: {'k': x}, 256, 0)",
    "nested(lambda x: frozenset([x]), 256, 0)",
    // Keys of every hashable type.
    "{None: 0, False: 1, 2: 2, -3: 3, 2**64: 4, 1.5: 5, -0.0: 6, inf: 7, 2j: 8, b'k': 9, 'k': 10, (): 11, \
      (1, ('x', frozenset({b'y'}))): 12, frozenset(): 13, frozenset({(1,)}): 14, '': 15, b'': 16}",
    "{True: 'a', 2: 'b'}",
];

/// Runs `source`, with [`PYTHON`]'s helpers, on every interpreter found.
async fn everywhere<F: Future<Output = ()>>(
    source: &str,
    scenario: impl Fn(Gateway, Channel) -> F,
) {
    for python in pythons() {
        let group = group();
        let spec = format!("popen//python={}", python.display());
        let gateway = group.make_gateway(spec.as_str()).await.expect("a gateway");
        eprintln!("on {}", gateway.info().version);
        let channel = gateway.remote_exec(format!("{PYTHON}\n{source}")).await.expect("a channel");
        bounded(scenario(gateway, channel)).await;
        bounded(group.terminate(Duration::from_secs(5))).await.expect("it ends");
    }
}

#[tokio::test]
async fn every_value_crosses_exactly() {
    let rows: Vec<String> =
        ints().into_iter().chain(OTHERS.iter().map(|&row| row.to_owned())).collect();
    everywhere(ECHO, |_, mut channel| {
        let rows = &rows;
        async move {
            for row in rows {
                channel.send(row).await.unwrap();
                let value = channel.receive_value().await.unwrap_or_else(|e| panic!("{row}: {e}"));
                channel.send(&value).await.unwrap_or_else(|e| panic!("{row}: {e}"));
                assert!(
                    channel.receive::<bool>().await.unwrap(),
                    "{row} came back as {value:.200?}"
                );
            }
        }
    })
    .await;
}

/// What arrives is not only handed back: it is the value that Rust calls so.
#[tokio::test]
async fn values_are_what_rust_calls_them() {
    let big: BigInt = "18446744073709551616".parse().unwrap();
    let table = [
        ("None", Value::None),
        ("True", Value::Bool(true)),
        ("1", Value::Int(1)),
        ("-2**31 - 1", Value::Int(-(1 << 31) - 1)),
        ("2**63 - 1", Value::Int(i64::MAX)),
        ("-2**63", Value::Int(i64::MIN)),
        ("2**63", Value::BigInt(BigInt::from(1u64 << 63))),
        ("2**64", Value::BigInt(big.clone())),
        ("-2**64", Value::BigInt(-big)),
        ("1.0", Value::Float(1.0)),
        ("complex(1, -2)", Value::Complex(1.0, -2.0)),
        ("b'\\0'", Value::from(vec![0])),
        ("'\\u4f60'", Value::from("你")),
        ("[1, (2,)]", Value::list([Value::Int(1), Value::tuple([2])])),
        ("{1}", Value::set([1])),
        ("frozenset({1})", Value::frozenset([1])),
        ("{'b': 1, 'a': 2}", Value::dict([("b", 1), ("a", 2)])),
    ];
    everywhere("for text in channel: channel.send(eval(text))", |_, mut channel| {
        let table = &table;
        async move {
            for (row, expected) in table {
                channel.send(*row).await.unwrap();
                assert_eq!(&channel.receive_value().await.unwrap(), expected, "{row}");
            }
        }
    })
    .await;
}

/// Subclasses and relatives cross as the basic type that they are.
const RELATIVES: &str = r#"
import collections, enum, fractions
from collections import OrderedDict, Counter, defaultdict, namedtuple

class Color(enum.IntEnum):
    RED = 2**40
class Flag(enum.IntFlag):
    A = 1
    B = 4
class Name(str, enum.Enum):
    X = "x"
class Loud(str):
    def __str__(self): return "LOUD"
    def encode(self, *_): return b"LOUD"
    def __len__(self): return 1
class Odd(int):
    def __int__(self): return 7
    def __index__(self): return 7
    def bit_length(self): return 1
class Rough(float):
    def __float__(self): return 7.0
class Items(list): pass
class Pairs(dict): pass
class Raw(bytes): pass
Point = namedtuple("Point", "x y")

rows = [
    (Color.RED, 2**40), (Flag.A | Flag.B, 5), (Name.X, "x"), (Loud("quiet"), "quiet"),
    (Odd(-2**70), -2**70), (Rough(0.5), 0.5), (Items([1]), [1]), (Raw(b"raw"), b"raw"), (Point(1, "y"), (1, "y")),
    (OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}), (defaultdict(list, k=[1]), {"k": [1]}),
    (Counter("aab"), {"a": 2, "b": 1}), (Pairs(x=Pairs(y=Color.RED)), {"x": {"y": 2**40}}),
    (bytearray(b"array"), b"array"), (memoryview(b"view")[1:3], b"ie"), ([bytearray(b"in"), memoryview(b"it")], [b"in", b"it"]),
    ({Color.RED: Name.X, Point(1, 2): True}, {2**40: "x", (1, 2): True}), ({Flag.B, 1}, {4, 1}),
    ([True, 1, False, 0], [True, 1, False, 0]), ({True: False}, {True: False}),
]
if hasattr(enum, "StrEnum"):
    class Kind(enum.StrEnum):
        A = enum.auto()
    rows.append((Kind.A, "a"))
try:
    import numpy
except Exception:  # also one that is made for another version
    pass
else:
    rows += [
        (numpy.int8(-3), -3), (numpy.int64(-2**63), -2**63), (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.float32(0.5), 0.5), (numpy.float64(-0.0), -0.0), (numpy.bool_(True), True),
        (numpy.complex128(1 - 2j), 1 - 2j), (numpy.complex64(2j), 2j), (numpy.str_("s"), "s"), (numpy.bytes_(b"b"), b"b"),
        ({numpy.int32(1): [numpy.float16(1.5)]}, {1: [1.5]}),
    ]
channel.send("numpy" in globals())
for given, expected in rows:
    channel.send(given)
    back = channel.receive()
    channel.send(None if exactly(back) == exactly(expected) else
                 "%r became %r, not %r" % (given, back, expected))
"#;

#[tokio::test]
async fn relatives_cross_as_the_basic_type_they_are() {
    everywhere(RELATIVES, |_, mut channel| async move {
        eprintln!("with numpy: {}", channel.receive::<bool>().await.unwrap());
        let mut rows = 0;
        loop {
            let value = match channel.receive_value().await {
                Ok(value) => value,
                Err(ReceiveError::End) => break,
                Err(error) => panic!("row {rows}: {error}"),
            };
            channel.send(&value).await.unwrap();
            assert_eq!(channel.receive::<Option<String>>().await.unwrap(), None);
            rows += 1;
        }
        assert!(rows >= 20, "{rows}");
    })
    .await;
}

/// What does not cross is refused where it is sent, with its place and in bounded time; the channel lives on.
const REFUSED: &str = r#"
import datetime, decimal, fractions, pathlib
from collections import OrderedDict
when = datetime.datetime(2020, 1, 1)
circle = []
circle.append(circle)
round = {}
round["again"] = [round]
class Mine: pass
rows = [
    ({"items": [1, 2, 3, {"when": when}]}, "TypeError", "item['items'][3]['when'] is datetime.datetime"),
    ([0, 0, 0, {"when": when}], "TypeError", "item[3]['when'] is datetime.datetime"),
    (when, "TypeError", "item is datetime.datetime"),
    ((1, (2, Mine())), "TypeError", "item[1][1] is __channelexec__.Mine"),
    ([decimal.Decimal(1)], "TypeError", "item[0] is decimal.Decimal"),
    ([fractions.Fraction(1, 2)], "TypeError", "item[0] is fractions.Fraction"),
    ([pathlib.PurePosixPath("/")], "TypeError", "item[0] is pathlib"),
    ([range(3)], "TypeError", "item[0] is range"),
    ({"f": len}, "TypeError", "item['f'] is builtin_function"),
    ({(1, Mine): 0}, "TypeError", "a key of item[1] is type"),
    ({Mine}, "TypeError", "a member of item is type"),
    (OrderedDict(a=(x for x in [])), "TypeError", "item['a'] is generator"),
    (ValueError("x"), "TypeError", "item is ValueError"),
    ({"name": ["\udcff.txt"]}, "ValueError", "item['name'][0] has a lone surrogate at index 0"),
    ("ok\ud800", "ValueError", "item has a lone surrogate at index 2"),
    ({"\udfff": 1}, "ValueError", "a key of item has a lone surrogate"),
    (circle, "ValueError", "holds itself"),
    (round, "ValueError", "holds itself"),
    (nested(lambda x: [x], 257, 0), "ValueError", "nested deeper than 256"),
    (nested(lambda x: (x,), 100000, 0), "ValueError", "nested"),
    (nested(lambda x: {0: x}, 100000, 0), "ValueError", "nested"),
]
for item, kind, text in rows:
    try:
        channel.send(item)
        found = "nothing"
    except Exception as error:
        found = "%s: %s" % (type(error).__name__, error)
    channel.send([found, kind + ": channel.send: ", text])
# Of such depth, taking it apart recurses in C; Python knows how.
del item, rows
"#;

#[tokio::test]
async fn what_does_not_cross_is_refused_with_its_place() {
    everywhere(REFUSED, |gw, mut channel| async move {
        let mut rows = 0;
        loop {
            let (found, kind, text): (String, String, String) = match channel.receive().await {
                Ok(row) => row,
                Err(ReceiveError::End) => break,
                Err(error) => panic!("row {rows}: {error}"),
            };
            assert!(
                found.starts_with(&kind) && found.contains(&text),
                "{found:?}, not {kind}…{text}"
            );
            assert!(found.len() < 400, "{} bytes: {found:.400}", found.len());
            rows += 1;
        }
        assert_eq!(rows, 21);
        assert!(gw.ping().await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn what_rust_cannot_send_costs_nothing() {
    everywhere("for item in channel: channel.send(item)", |_, mut channel| async move {
        let deep = (0..257).fold(Value::Int(0), |value, _| Value::List(vec![value]));
        let unhashable = [
            Value::Dict(vec![(Value::list([1]), Value::None)]),
            Value::Set(vec![Value::tuple([Value::Set(vec![])])]),
        ];
        for bad in unhashable.iter().chain([&deep]) {
            let error = channel.send(bad).await.unwrap_err();
            assert!(matches!(error, SendError::Channel(_)), "{error}");
        }
        channel.send(&1).await.unwrap();
        assert_eq!(channel.receive_value().await.unwrap(), Value::Int(1));
    })
    .await;
}

/// An item of 1 GiB there and back: each side holds its fragments and the whole of it, for a moment, and little else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_of_a_gibibyte() {
    const SIZE: usize = 1 << 30;
    let Some(python) = python() else { return };
    if free_mib() < 6 << 10 {
        return common::skip("less than 6 GiB of memory are free");
    }
    let config = Config { max_message: SIZE as u64, ..Config::default() };
    let group = Group::builder().config(config).output(Output::discard()).build();
    let spec = format!("popen//python={}", python.display());
    let gw = group.make_gateway(spec.as_str()).await.unwrap();
    let source = format!(
        "item = channel.receive()
assert type(item) is bytes and len(item) == {SIZE} and item[:3] == item[-3:] == b'xyz', len(item)
channel.send('it came')
channel.send(item)"
    );
    let mut channel = gw.remote_exec(source).await.unwrap();
    let mut item = vec![0; SIZE];
    item[..3].copy_from_slice(b"xyz");
    item[SIZE - 3..].copy_from_slice(b"xyz");
    let began = std::time::Instant::now();
    bounded(channel.send_bytes(item)).await.unwrap();
    assert_eq!(bounded(channel.receive::<String>()).await.unwrap(), "it came");
    let there = began.elapsed();
    let Value::Bytes(item) = bounded(channel.receive_value()).await.unwrap() else {
        panic!("not bytes")
    };
    assert_eq!((item.len(), &item[..3], &item[SIZE - 3..]), (SIZE, &b"xyz"[..], &b"xyz"[..]));
    let here = u64::from(std::process::id());
    let peaks = (peak(gw.info().pid) >> 10, peak(here) >> 10);
    eprintln!("there {there:?}, back {:?}; peaks of {peaks:?} GiB", began.elapsed() - there);
    // Rounded down.
    assert!(peaks.0 <= 2 && peaks.1 <= 2, "{peaks:?} GiB (worker, here)");
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}

/// The most memory that a process ever had, in MiB.
fn peak(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    field(&status, "VmHWM:")
}

fn free_mib() -> u64 {
    field(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable:")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() >> 10
}
