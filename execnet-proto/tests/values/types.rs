//! Serde's types, and what Python makes of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use bytes::Bytes;
use execnet_proto::cbor::{self, FrozenSet, Set, Tuple};
use execnet_proto::{BigInt, ChannelId, Value};
use serde::de::DeserializeOwned;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i64, String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i64, i64),
    Text { at: Point, text: String },
}

#[test]
fn types_are_written_as_documented_and_read_back() {
    both(&7u8, "7");
    both(&-7i64, "-7");
    both(&u64::MAX, "18446744073709551615");
    both(&u128::MAX, "340282366920938463463374607431768211455");
    both(&i128::MIN, "-170141183460469231731687303715884105728");
    both(&1.5f64, "1.5");
    both(&0.5f32, "0.5");
    both(&true, "True");
    both(&'é', "'é'");
    both(&"text".to_owned(), "'text'");
    both(&Bytes::from_static(b"\x00a"), "b'\\x00a'");
    both(&vec![1u8, 2], "[1, 2]");
    both(&[1u8, 2], "[1, 2]");
    both(&(1, "a".to_owned()), "[1, 'a']");
    both(&Pair(1, "a".into()), "[1, 'a']");
    both(&BTreeSet::from([1, 2]), "[1, 2]");
    both(&Tuple(vec![1, 2]), "(1, 2)");
    both(&Set(BTreeSet::from([1, 2])), "{1, 2}");
    both(&FrozenSet(vec![(1, 2)]), "frozenset({(1, 2)})");
    both(&Tuple(Set([1])), "(1,)");
    both(&Tuple((1, vec![Tuple([2])])), "(1, [(2,)])");
    both(&BTreeMap::from([("b".to_owned(), 1), ("a".to_owned(), 2)]), "{'a': 2, 'b': 1}");
    both(&BTreeMap::from([((1, 2), "x".to_owned())]), "{(1, 2): 'x'}");
    both(&BTreeMap::from([(vec![1u8], Some(1)), (vec![], None)]), "{(): None, (1,): 1}");
    both(&Point { x: 1, y: 2.0 }, "{'x': 1, 'y': 2.0}");
    both(&Some(1), "1");
    both(&None::<i64>, "None");
    both(&(), "None");
    both(&Unit, "None");
    both(&Shape::Empty, "'Empty'");
    both(&Shape::Circle(1.0), "{'Circle': 1.0}");
    both(&Shape::Line(1, 2), "{'Line': [1, 2]}");
    both(
        &Shape::Text { at: Point { x: 1, y: 2.0 }, text: "t".into() },
        "{'Text': {'at': {'x': 1, 'y': 2.0}, 'text': 't'}}",
    );
    both(&ChannelId::new(3).unwrap(), "<Channel 3>");
    both(&vec![Value::tuple([1]), Value::set([2])], "[(1,), {2}]");
}

#[test]
fn a_kind_asked_for_is_stronger_than_what_a_value_is() {
    let bytes = cbor::to_bytes(&Tuple(Value::list([Value::list([1])]))).unwrap();
    assert_eq!(cbor::decode(&bytes).unwrap(), Value::tuple([Value::list([1])]));
}

#[test]
fn what_python_sends_for_it_is_read_as_well() {
    let pair = (1i64, "a".to_owned());
    let pairs = |make: fn([Value; 2]) -> Value| make([Value::Int(1), "a".into()]);
    for make in [Value::list, Value::tuple, Value::set, Value::frozenset] {
        reads(pairs(make), pair.clone());
        reads(pairs(make), Pair(1, "a".into()));
        reads(make([1.into(), 2.into()]), vec![1, 2]);
        reads(make([1.into(), 2.into()]), [1, 2]);
        reads(make([1.into(), 2.into()]), BTreeSet::from([1, 2]));
        reads(make([1.into(), 2.into()]), Set(vec![1, 2]));
        reads(make([1.into(), 2.into()]), Point { x: 1, y: 2.0 });
    }
    reads(Value::tuple([Value::Complex(1.0, 2.0)]), [(1.0, 2.0)]);
    reads(Value::dict([("Line", Value::tuple([1, 2]))]), Shape::Line(1, 2));
    reads(Value::dict([("Empty", Value::None)]), Shape::Empty);
    reads(1.into(), 1.0f64);
    reads(u64::MAX.into(), u64::MAX as f64);
    reads(Value::from(&b"ab"[..]), vec![b'a', b'b']);
    reads(Value::list([97, 98]), Bytes::from_static(b"ab"));
    reads(BigInt::from(10).pow(30).into(), 10i128.pow(30));
    reads(
        Value::dict([("x", 1.into()), ("no such field", Value::set([1])), ("y", 2.into())]),
        Point { x: 1, y: 2.0 },
    );
    let doubled = Value::dict([("a", 1), ("a", 2)]);
    assert_eq!(doubled.get("a"), Some(&Value::Int(2)));
    reads(doubled, HashMap::from([("a".to_owned(), 2)]));
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    fails::<i64>(1.5.into(), 0, "invalid type: floating point `1.5`, expected i64");
    fails::<i64>(true.into(), 0, "invalid type: boolean `true`, expected i64");
    fails::<f64>(true.into(), 0, "invalid type: boolean `true`, expected f64");
    fails::<u8>(Value::list([1]), 0, "invalid type: sequence, expected u8");
    fails::<Vec<u8>>(
        Value::list([Value::Int(1), 300.into()]),
        2,
        "invalid value: integer `300`, expected u8",
    );
    fails::<String>((&b"utf-8"[..]).into(), 0, "invalid type: bytes, expected a string");
    fails::<Bytes>("text".into(), 0, "invalid type: str, expected byte array");
    fails::<ChannelId>(7.into(), 0, "invalid type: integer `7`, expected a channel");
    fails::<i64>(
        Value::Channel(ChannelId::new(7).unwrap()),
        0,
        "invalid type: newtype struct, expected i64",
    );
    let huge = BigInt::from(10).pow(50);
    fails::<i128>(huge.into(), 0, "int beyond 128 bits; only a Value can hold it");
    fails::<(i64,)>(Value::tuple([1, 2]), 0, "more items than the type asked for has");
    fails::<(i64, i64)>(Value::list([1]), 0, "invalid length 1, expected a tuple of size 2");
    fails::<Point>(Value::dict([("x", 1)]), 0, "missing field `y`");
    fails::<Point>(Value::dict([(0, 1)]), 1, "invalid type: integer `0`, expected a str");
    fails::<Shape>("Square".into(), 0, "unknown variant `Square`, expected one of");
    fails::<Vec<Shape>>(
        Value::list(["Empty", "Circle"]),
        7,
        "invalid type: unit variant, expected newtype variant",
    );
    let one = "a dict of one entry";
    let two = Value::dict([("Circle", 1), ("Line", 2)]);
    fails::<Shape>(two, 0, &format!("invalid length 2, expected {one}"));
    fails::<Shape>(Value::Dict(vec![]), 0, &format!("invalid length 0, expected {one}"));
}

#[test]
fn keys_are_hashable_whatever_type_asks_for_them() {
    let error = cbor::from_slice::<BTreeMap<Vec<i64>, i64>>(b"\xa1\x81\x01\x02").unwrap_err();
    assert_eq!(error.fault(), &cbor::DecodeFault::NotHashable { what: "list" });
    let error = cbor::from_slice::<Vec<Vec<i64>>>(b"\xd9\x01\x02\x81\x81\x01").unwrap_err();
    assert_eq!(error.fault(), &cbor::DecodeFault::NotHashable { what: "list" });
}

#[test]
fn borrowed_types_point_into_the_message() {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        text: &'a str,
        bytes: &'a [u8],
    }
    let long = "x".repeat(10_000);
    let value = Value::dict([("text", long.clone().into()), ("bytes", Value::from(&b"b"[..]))]);
    let message = cbor::encode(&value).unwrap();
    let borrowed: Borrowed<'_> = cbor::from_slice(&message).unwrap();
    assert_eq!((borrowed.text, borrowed.bytes), (&*long, &b"b"[..]));
    assert!(message.as_ptr_range().contains(&borrowed.text.as_ptr()));
    assert!(message.as_ptr_range().contains(&borrowed.bytes.as_ptr()));
}

#[test]
fn values_buffered_by_serde_lose_only_their_tags() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        id: i64,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Numbers(Vec<i64>),
        Other(Value),
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind")]
    enum Message {
        Open { on: ChannelId },
    }

    let id = ChannelId::new(5).unwrap();
    reads(
        Value::dict([("id", 1.into()), ("t", Value::tuple([1])), ("c", Value::Complex(1.0, 2.0))]),
        Flat {
            id: 1,
            rest: BTreeMap::from([
                ("t".to_owned(), Value::list([1])),
                ("c".to_owned(), Value::list([1.0, 2.0])),
            ]),
        },
    );
    reads(7.into(), Either::Number(7));
    reads(Value::set([7]), Either::Numbers(vec![7]));
    reads("x".into(), Either::Other("x".into()));
    reads(
        Value::dict([("kind", Value::from("Open")), ("on", id.into())]),
        Message::Open { on: id },
    );
}

#[test]
fn other_formats_see_the_plain_structure() {
    let value = Value::dict([
        ("tuple", Value::tuple([1, 2])),
        ("set", Value::set(["x"])),
        ("complex", Value::Complex(1.0, 2.5)),
        ("channel", ChannelId::new(3).unwrap().into()),
        ("none", Value::None),
    ]);
    let json = r#"{"tuple":[1,2],"set":["x"],"complex":[1.0,2.5],"channel":3,"none":null}"#;
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
    // No numbers here: with its feature `arbitrary_precision`, which any crate of a build may turn on,
    // serde_json gives them a shape of its own.
    let read: Value = serde_json::from_str(r#"{"tuple":["a",true],"none":null}"#).unwrap();
    assert_eq!(read.get("tuple"), Some(&Value::list([Value::from("a"), true.into()])));
    assert_eq!(read.get("none"), Some(&Value::None));
}

#[test]
fn what_cannot_cross_is_refused_with_its_path() {
    let list = || Value::List(vec![]);
    let bad = |value: Value| cbor::encode(&value).unwrap_err().to_string();
    let unhashable = "is not hashable, so it cannot be in a dict's key or in a set";
    assert_eq!(bad(Value::set([list()])), format!("value: a list {unhashable}"));
    assert_eq!(
        bad(Value::list([Value::None, Value::dict([((), Value::set([Value::set(["x"])]))])])),
        format!("value[1][None]: a set {unhashable}")
    );
    assert_eq!(
        bad(Value::dict([(Value::tuple([Value::Int(1), Value::Dict(vec![])]), 1)])),
        format!("value: a dict {unhashable}")
    );
    assert_eq!(
        bad(Value::tuple([Value::frozenset([Value::tuple([list()])])])),
        format!("value[0]: a list {unhashable}")
    );

    #[derive(Serialize)]
    struct Outer {
        jobs: Vec<Shape2>,
    }
    #[derive(Serialize)]
    enum Shape2 {
        Keyed { by: BTreeMap<BTreeMap<i64, i64>, i64> },
        Liar(Liar),
    }
    let keyed = Shape2::Keyed { by: BTreeMap::from([(BTreeMap::new(), 1)]) };
    let error = cbor::to_bytes(&Outer { jobs: vec![keyed] }).unwrap_err();
    assert_eq!(error.path(), "['jobs'][0]['Keyed']['by']");
    assert_eq!(error.fault(), &cbor::EncodeFault::NotHashable { what: "dict" });

    let error = cbor::to_bytes(&Outer { jobs: vec![Shape2::Liar(Liar)] }).unwrap_err();
    assert_eq!(error.path(), "['jobs'][0]['Liar']");
    assert_eq!(error.fault(), &cbor::EncodeFault::WrongLength { announced: 3, written: 1 });

    let error = cbor::to_bytes(&[Set(5)]).unwrap_err();
    assert_eq!(error.to_string(), "value[0]: a set of something that is not a sequence");
    let error = cbor::to_bytes(&Tuple(BTreeMap::from([(1, [2])]))).unwrap_err();
    assert_eq!(error.fault(), &cbor::EncodeFault::NotSequence { kind: "tuple" });
}

/// Announces three items and writes one.
struct Liar;

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(3))?;
        seq.serialize_element(&1)?;
        seq.end()
    }
}

#[test]
fn sequences_without_a_length_are_written() {
    #[derive(Serialize)]
    struct Flattened {
        #[serde(flatten)]
        rest: BTreeMap<&'static str, i64>,
    }
    let flattened = Flattened { rest: BTreeMap::from([("a", 1)]) };
    assert_eq!(&cbor::to_bytes(&flattened).unwrap()[..], b"\xbf\x61a\x01\xff");
}

#[track_caller]
fn both<T: Serialize + DeserializeOwned + PartialEq + Debug>(item: &T, shown: &str) {
    let bytes = cbor::to_bytes(item).unwrap();
    assert_eq!(cbor::decode(&bytes).unwrap().to_string(), shown);
    assert_eq!(&cbor::from_slice::<T>(&bytes).unwrap(), item);
}

#[track_caller]
fn reads<T: DeserializeOwned + PartialEq + Debug>(value: Value, as_type: T) {
    let bytes = cbor::encode(&value).unwrap();
    assert_eq!(cbor::from_slice::<T>(&bytes).unwrap(), as_type);
}

#[track_caller]
fn fails<T: DeserializeOwned + Debug>(value: Value, offset: usize, message: &str) {
    let bytes = cbor::encode(&value).unwrap();
    let error = cbor::from_slice::<T>(&bytes).unwrap_err();
    let expected = format!("byte {offset}: {message}");
    assert!(error.to_string().starts_with(&expected), "{error}; expected {expected}");
}
