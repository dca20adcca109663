//! Marshal: what we write, CPython reads; what CPython writes, we read; and nothing else.

use std::fmt::Write as _;

use bytes::Bytes;
use execnet_proto::marshal::{self, DecodeFault, EncodeFault};
use execnet_proto::{ChannelId, Value, cbor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::hostile::{Flat, Node, footprint};
use crate::python::{expression, plain, python};
use crate::{golden, strategy};

/// For each line, an expression and the bytes that we make of its value: says what `marshal` reads
/// from them, if that is another value, and prints what it writes itself.
const CPYTHON: &str = r#"
import marshal, struct, sys

def F(bits):
    return struct.unpack(">d", bytes.fromhex(bits))[0]

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
for line in sys.stdin:
    if sys.implementation.name == "cpython":
        expression, ours = line.strip().split("\t")
        value = eval(expression)
        read = marshal.loads(bytes.fromhex(ours))
        assert repr(read) == repr(value), "%r was read as %r" % (value, read)
        assert marshal.dumps(read, 2) == marshal.dumps(value, 2), repr(value)
        print(marshal.dumps(value, 2).hex())
"#;

/// Any value that has a form in marshal.
fn value() -> impl Strategy<Value = Value> {
    strategy::value().prop_map(without_channels)
}

fn without_channels(value: Value) -> Value {
    let all = |items: Vec<Value>| items.into_iter().map(without_channels).collect();
    match value {
        Value::Channel(_) => Value::None,
        Value::List(items) => Value::List(all(items)),
        Value::Tuple(items) => Value::Tuple(all(items)),
        Value::Set(members) => Value::Set(all(members)),
        Value::FrozenSet(members) => Value::FrozenSet(all(members)),
        Value::Dict(entries) => {
            let each = |(key, item)| (without_channels(key), without_channels(item));
            Value::Dict(entries.into_iter().map(each).collect())
        }
        other => other,
    }
}

/// Tells `0.0` from `-0.0`, and takes a NaN for a NaN.
fn shown(value: &Value) -> String {
    format!("{value:?}")
}

#[test]
fn every_cpython_reads_what_we_write_and_we_read_what_it_writes() {
    let mut runner = TestRunner::deterministic();
    let values: Vec<Value> =
        (0..700).map(|_| plain(value().new_tree(&mut runner).unwrap().current())).collect();
    let lines = values.iter().fold(String::new(), |mut lines, value| {
        writeln!(lines, "{}\t{}", expression(value), hex(&marshal::encode(value).unwrap()))
            .unwrap();
        lines
    });
    for interpreter in execnet_testing::pythons() {
        let output = python(&interpreter, CPYTHON, lines.clone()).unwrap();
        if output.is_empty() {
            continue; // not CPython: its marshal is its own affair
        }
        let theirs: Vec<Vec<u8>> = output.lines().map(unhex).collect();
        assert_eq!(theirs.len(), values.len());
        for (value, bytes) in values.iter().zip(theirs) {
            let read = marshal::decode(&bytes);
            assert_eq!(read.as_ref().map(shown), Ok(shown(value)), "{}", interpreter.display());
        }
    }
}

proptest! {
    #[test]
    fn any_value_survives(value in value()) {
        let bytes = marshal::encode(&value).unwrap();
        prop_assert_eq!(shown(&marshal::decode(&bytes).unwrap()), shown(&value));
        prop_assert_eq!(shown(&marshal::decode_shared(&bytes).unwrap()), shown(&value));
        prop_assert_eq!(shown(&marshal::from_slice(&bytes).unwrap()), shown(&value));
    }

    #[test]
    fn any_value_survives_in_a_struct(value in value()) {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            first: Value,
            rest: Vec<(u8, Value)>,
        }

        let holder = Holder { first: value.clone(), rest: vec![(1, value.clone())] };
        let again: Holder = marshal::from_slice(&marshal::to_bytes(&holder).unwrap()).unwrap();
        prop_assert_eq!(shown(&again.first), shown(&value));
        prop_assert_eq!(shown(&again.rest[0].1), shown(&value));
    }

    #[test]
    fn a_cut_or_lengthened_value_is_refused(value in value(), at in any::<prop::sample::Index>()) {
        let bytes = marshal::encode(&value).unwrap();
        prop_assert!(marshal::decode(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(marshal::decode(&[&bytes[..], b"N"].concat()).is_err());
    }

    #[test]
    fn a_channel_anywhere_needs_cbor(value in strategy::value()) {
        let channels = value.to_string().contains("<Channel ") && shown(&value).contains("Channel(");
        match marshal::encode(&value) {
            Ok(_) => prop_assert!(shown(&without_channels(value.clone())) == shown(&value)),
            Err(error) => {
                prop_assert!(channels);
                prop_assert_eq!(error.fault(), &EncodeFault::NeedsCbor { what: "a channel" });
            }
        }
    }
}

/// Bytes that are marshal more often than chance would have it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let codes = b"NTFilgysutaAzZ[()<>{0cSrR.:f\xe9\xdb".to_vec();
    let piece = prop_oneof![
        3 => prop::sample::select(codes.clone()).prop_map(|code| vec![code]),
        3 => (prop::sample::select(codes), 0..4i32)
            .prop_map(|(code, len)| [&[code][..], &len.to_le_bytes()].concat()),
        2 => prop::sample::select(vec![&b"i\x01\0\0\0"[..], b"z\x01a", b"s\x01\0\0\0a", b")\x01", b"N0"])
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in bytes()) {
        let result = marshal::decode(&bytes);
        match (&result, marshal::from_slice::<Value>(&bytes)) {
            (Ok(value), Ok(again)) => prop_assert_eq!(shown(value), shown(&again)),
            (Err(error), Err(again)) => prop_assert_eq!(error, &again),
            (one, other) => prop_assert!(false, "{one:?} but {other:?}"),
        }
        prop_assert_eq!(marshal::from_slice::<IgnoredAny>(&bytes).is_ok(), result.is_ok());
        let _ = marshal::from_slice::<Node>(&bytes);
        let _ = marshal::from_slice::<Vec<Node>>(&bytes);
        let _ = marshal::from_slice::<(u8, Option<String>, Flat)>(&bytes);
        let _ = marshal::from_slice::<&str>(&bytes);
        let _ = marshal::from_slice::<i128>(&bytes);
        if let Ok(value) = result {
            let again = marshal::decode(&marshal::encode(&value).unwrap()).unwrap();
            prop_assert_eq!(shown(&again), shown(&value));
            prop_assert!(footprint(&value) <= 40 * bytes.len());
        }
    }
}

#[test]
fn it_means_the_same_as_cbor() {
    // Whatever type it is read into: what serde sees does not depend on the format.
    for (name, value) in golden::values() {
        let value = without_channels(value);
        let (ours, theirs) = (marshal::encode(&value).unwrap(), cbor::encode(&value).unwrap());
        same::<Node>(name, &ours, &theirs);
        same::<Flat>(name, &ours, &theirs);
        same::<i64>(name, &ours, &theirs);
        same::<u128>(name, &ours, &theirs);
        same::<i128>(name, &ours, &theirs);
        same::<f64>(name, &ours, &theirs);
        same::<String>(name, &ours, &theirs);
        same::<Bytes>(name, &ours, &theirs);
        same::<Vec<i32>>(name, &ours, &theirs);
        same::<(f64, f64)>(name, &ours, &theirs);
        same::<Option<bool>>(name, &ours, &theirs);
        same::<ChannelId>(name, &ours, &theirs);
        same::<std::collections::BTreeMap<String, Option<i8>>>(name, &ours, &theirs);
    }
}

fn same<'de, T: Deserialize<'de> + std::fmt::Debug>(
    name: &str,
    ours: &'de [u8],
    theirs: &'de [u8],
) {
    let (ours, theirs) = (marshal::from_slice::<T>(ours), cbor::from_slice::<T>(theirs));
    let kind = std::any::type_name::<T>();
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{name} as {kind}");
        }
        (ours, theirs) => {
            assert_eq!(ours.is_err(), theirs.is_err(), "{name} as {kind}: {ours:?}, {theirs:?}");
        }
    }
}

#[test]
fn forms_that_cpython_reads_are_read_here() {
    let cases: [(&[u8], Value); 9] = [
        (b"t\x02\0\0\0\xc3\xa9", "é".into()),
        (b"a\x02\0\0\0ab", "ab".into()),
        (b"A\x02\0\0\0ab", "ab".into()),
        (b"Z\x02ab", "ab".into()),
        (b"(\x01\0\0\0N", Value::tuple([Value::None])),
        (b")\x01N", Value::tuple([Value::None])),
        (b"l\0\0\0\0", 0.into()),
        (b"l\x01\0\0\0\x05\0", 5.into()),
        (b"l\xff\xff\xff\xff\x05\0", (-5).into()),
    ];
    for (bytes, value) in cases {
        assert_eq!(marshal::decode(bytes), Ok(value), "{bytes:?}");
    }
}

#[test]
fn refused_bytes_are_refused_for_the_reason_given() {
    use DecodeFault::{
        BadCode, BadDigits, BadLength, InvalidUtf8, LeftOver, LengthExceedsInput, NotHashable,
        TooDeep, Truncated,
    };

    let code = |code, what| BadCode { code, what };
    let newer = "an item that may be referred to, which version 2 does not write";
    let end = "the end of a dict, where an item should begin";
    let deep = |piece: &[u8]| piece.repeat(300);
    let cases: Vec<(Vec<u8>, usize, DecodeFault)> = vec![
        (b"".to_vec(), 0, Truncated),
        (b"i\0\0\0".to_vec(), 0, Truncated),
        (b"g\0\0\0\0".to_vec(), 0, Truncated),
        (b"[\x01\0\0\0i".to_vec(), 5, Truncated),
        (b"{N".to_vec(), 2, Truncated),
        (b"NN".to_vec(), 1, LeftOver { count: 1 }),
        (b"0".to_vec(), 0, code(b'0', end)),
        (b"{N0".to_vec(), 2, code(b'0', end)),
        (b"[\x01\0\0\x000".to_vec(), 5, code(b'0', end)),
        (b"c\0\0\0\0".to_vec(), 0, code(b'c', "a code object")),
        (b".".to_vec(), 0, code(b'.', "Ellipsis")),
        (b"S".to_vec(), 0, code(b'S', "StopIteration")),
        (b":NNN".to_vec(), 0, code(b':', "a slice")),
        (b"r\0\0\0\0".to_vec(), 0, code(b'r', "a reference")),
        (b"\xe9\x01\0\0\0".to_vec(), 0, code(0xe9, newer)),
        (b"f\x030.1".to_vec(), 0, code(b'f', "a float as text, which version 2 does not write")),
        (b"?".to_vec(), 0, code(b'?', "no type code")),
        (b"s\xff\xff\xff\xff".to_vec(), 0, BadLength(-1)),
        (b"[\0\0\0\x80".to_vec(), 0, BadLength(i32::MIN)),
        (b"l\x01\0\0\0\0\x80".to_vec(), 0, BadDigits),
        (b"l\x02\0\0\0\x01\0\0\0".to_vec(), 0, BadDigits),
        (b"u\x03\0\0\0\xed\xa0\x80".to_vec(), 0, InvalidUtf8),
        (b"z\x01\xe9".to_vec(), 0, InvalidUtf8),
        (b"a\x01\0\0\0\xe9".to_vec(), 0, InvalidUtf8),
        (b"[\x02\0\0\0N".to_vec(), 0, LengthExceedsInput { claimed: 2, left: 1 }),
        (b"l\0\0\0\x80".to_vec(), 0, LengthExceedsInput { claimed: 1 << 32, left: 0 }),
        (b"[\x01\0\0\0(\x01\0\0\0".to_vec(), 5, LengthExceedsInput { claimed: 1, left: 0 }),
        (b"<\x01\0\0\0[\0\0\0\0".to_vec(), 5, NotHashable { what: "list" }),
        (b"{{0N0".to_vec(), 1, NotHashable { what: "dict" }),
        (b"{)\x01<\0\0\0\0N0".to_vec(), 3, NotHashable { what: "set" }),
        (deep(b")\x01"), 512, TooDeep),
        (deep(b"{N"), 512, TooDeep),
    ];
    for (bytes, offset, fault) in cases {
        let error = marshal::decode(&bytes).expect_err("refused");
        assert_eq!((error.offset(), error.fault()), (offset, &fault), "{bytes:?}");
        assert_eq!(marshal::from_slice::<Value>(&bytes).unwrap_err(), error);
        assert_eq!(marshal::from_slice::<IgnoredAny>(&bytes).err(), Some(error));
    }
}

#[test]
fn what_cannot_cross_is_refused_with_its_place() {
    let channel = Value::Channel(ChannelId::new(3).unwrap());
    let jobs = Value::list([Value::Int(7), Value::dict([("c", channel)])]);
    let error = marshal::encode(&Value::dict([("jobs", jobs)])).unwrap_err();
    assert_eq!(error.to_string(), "value['jobs'][1]['c']: a channel can only be sent as CBOR");
    let bad = Value::list([Value::set([Value::List(vec![])])]);
    let error = marshal::encode(&bad).unwrap_err();
    assert_eq!((error.path(), error.fault()), ("[0]", &EncodeFault::NotHashable { what: "list" }));
    let deep = (0..=marshal::MAX_DEPTH).fold(Value::None, |inner, _| Value::tuple([inner]));
    assert_eq!(marshal::encode(&deep).unwrap_err().fault(), &EncodeFault::TooDeep);
}

#[test]
fn long_tuples_and_strings_take_the_long_forms() {
    for (len, form) in [(255, b")\xff".to_vec()), (256, b"(\0\x01\0\0".to_vec())] {
        let bytes = marshal::encode(&Value::tuple(vec![Value::None; len])).unwrap();
        assert_eq!(&bytes[..form.len()], form);
        assert_eq!(bytes.len(), form.len() + len);
    }
    for (len, form) in [(255, b"z\xff".to_vec()), (256, b"u\0\x01\0\0".to_vec())] {
        let bytes = marshal::encode(&Value::from("x".repeat(len))).unwrap();
        assert_eq!(&bytes[..form.len()], form);
    }
    // A sequence whose length serde does not know is written as any other.
    struct Unknown;

    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..300).filter(|n| n % 3 == 0))
        }
    }
    let bytes = marshal::to_bytes(&cbor::Tuple(Unknown)).unwrap();
    assert_eq!(&bytes[..5], b"(d\0\0\0");
    assert_eq!(marshal::from_slice::<Vec<u16>>(&bytes).unwrap().len(), 100);
}

#[test]
fn long_bytes_share_the_memory_of_their_message() {
    let message = marshal::encode(&Value::tuple([Value::from(vec![1u8; 1000])])).unwrap();
    let value = marshal::decode_shared(&message).unwrap();
    let shared = value.as_items().unwrap()[0].as_bytes().unwrap();
    assert!(message.as_ptr_range().contains(&shared.as_ptr()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
