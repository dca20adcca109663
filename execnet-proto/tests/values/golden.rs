//! `golden/values.json` and `golden/refused.json`, which other implementations read too.
//!
//! Each value is there as its bytes and as a Python expression; here it is as Rust sees it. A writer
//! must make exactly these bytes of it, and a reader exactly this value of them.

use std::collections::BTreeMap;
use std::fs;

use execnet_proto::cbor::{self, DecodeFault};
use execnet_proto::{BigInt, ChannelId, Value, marshal};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    cbor: String,
    /// Of what has no channel in it.
    #[serde(default)]
    marshal: Option<String>,
}

/// A name, CBOR, and marshal where there is such a form.
type Named = (String, Vec<u8>, Option<Vec<u8>>);

#[test]
fn values_are_written_and_read_as_given() {
    let table = values();
    let entries = read("values.json");
    assert_same_names(&entries, table.keys());
    for (name, bytes, _) in entries {
        let value = &table[&*name];
        assert_eq!(hex(&cbor::encode(value).unwrap()), hex(&bytes), "{name}");
        // Not by `==`, to which no NaN is equal and −0.0 is 0.0.
        assert_eq!(format!("{:?}", cbor::decode(&bytes).unwrap()), format!("{value:?}"), "{name}");
        let through_serde: Value = cbor::from_slice(&bytes).unwrap();
        assert_eq!(format!("{through_serde:?}"), format!("{value:?}"), "{name}");
    }
}

#[test]
fn values_are_written_and_read_as_marshal() {
    let table = values();
    for (name, _, bytes) in read("values.json") {
        let value = &table[&*name];
        let Some(bytes) = bytes else {
            marshal::encode(value).expect_err(&name);
            continue;
        };
        assert_eq!(hex(&marshal::encode(value).unwrap()), hex(&bytes), "{name}");
        assert_eq!(
            format!("{:?}", marshal::decode(&bytes).unwrap()),
            format!("{value:?}"),
            "{name}"
        );
    }
}

#[test]
fn refused_bytes_are_refused_for_the_reason_given() {
    let table = refused();
    let entries = read("refused.json");
    assert_same_names(&entries, table.keys());
    for (name, bytes, _) in entries {
        let (offset, fault) = &table[&*name];
        let error = cbor::decode(&bytes).expect_err(&name);
        assert_eq!((error.offset(), error.fault()), (*offset, fault), "{name}");
        // The same with all that serde makes of it.
        assert_eq!(cbor::from_slice::<Value>(&bytes).unwrap_err(), error, "{name}");
        assert_eq!(cbor::from_slice::<IgnoredAny>(&bytes).err(), Some(error), "{name}");
    }
}

pub(crate) fn values() -> BTreeMap<&'static str, Value> {
    use Value::{Complex, Float, Int};

    let big = |text: &str| Value::from(text.parse::<BigInt>().unwrap());
    let ten_199 = BigInt::from(10).pow(199);
    let channel = |number| Value::Channel(ChannelId::new(number).unwrap());
    let empty = Vec::<Value>::new;
    BTreeMap::from([
        ("none", Value::None),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("int_zero", Int(0)),
        ("int_minus_one", Int(-1)),
        ("int_23", Int(23)),
        ("int_24", Int(24)),
        ("int_255", Int(255)),
        ("int_256", Int(256)),
        ("int_65535", Int(65535)),
        ("int_65536", Int(65536)),
        ("int_minus_24", Int(-24)),
        ("int_minus_25", Int(-25)),
        ("int_minus_256", Int(-256)),
        ("int_minus_257", Int(-257)),
        ("int_below_2_31", Int(2_147_483_647)),
        ("int_2_31", Int(2_147_483_648)),
        ("int_minus_2_31", Int(-2_147_483_648)),
        ("int_below_minus_2_31", Int(-2_147_483_649)),
        ("int_below_2_32", Int(4_294_967_295)),
        ("int_2_32", Int(4_294_967_296)),
        ("int_minus_2_32", Int(-4_294_967_296)),
        ("int_below_minus_2_32", Int(-4_294_967_297)),
        ("int_below_2_63", Int(i64::MAX)),
        ("int_2_63", Value::BigInt(BigInt::from(9_223_372_036_854_775_808_u64))),
        ("int_minus_2_63", Int(i64::MIN)),
        ("int_below_minus_2_63", big("-9223372036854775809")),
        ("int_below_2_64", Value::from(u64::MAX)),
        ("int_2_64", big("18446744073709551616")),
        ("int_minus_2_64", big("-18446744073709551616")),
        ("int_below_minus_2_64", big("-18446744073709551617")),
        ("int_2_127", Value::from(1u128 << 127)),
        ("int_below_minus_2_127", Value::from(BigInt::from(i128::MIN) - 1)),
        ("int_200_digits", Value::from(ten_199.clone() + 7)),
        ("int_minus_200_digits", Value::from(-ten_199 - 7)),
        ("float_zero", Float(0.0)),
        ("float_minus_zero", Float(-0.0)),
        ("float_1_5", Float(1.5)),
        ("float_tenth", Float(0.1)),
        ("float_integral", Float(1e16)),
        ("float_smallest", Float(5e-324)),
        ("float_largest", Float(f64::MAX)),
        ("float_inf", Float(f64::INFINITY)),
        ("float_minus_inf", Float(f64::NEG_INFINITY)),
        ("float_nan", Float(f64::NAN)),
        ("complex", Complex(1.5, -2.0)),
        ("complex_zero", Complex(0.0, 0.0)),
        ("complex_minus_zero", Complex(-0.0, -0.0)),
        ("complex_not_finite", Complex(f64::NAN, f64::INFINITY)),
        ("bytes_empty", Value::from(&b""[..])),
        ("bytes_all", (0..=255).collect::<Vec<u8>>().into()),
        ("bytes_24", vec![0u8; 24].into()),
        ("str_empty", "".into()),
        ("str_ascii", "execnet".into()),
        ("str_quotes", "it's \"so\" \\\n\0".into()),
        ("str_latin", "été".into()),
        ("str_bmp", "你好".into()),
        ("str_beyond_bmp", "🐍 in 🦀".into()),
        ("str_combining", "e\u{301}\u{200d}\u{feff}".into()),
        ("str_300", "x".repeat(300).into()),
        ("list_empty", Value::list(empty())),
        ("list", Value::list([Int(1), "two".into(), Float(3.0)])),
        ("list_24", Value::list([0; 24])),
        ("list_nested", Value::list([Value::list([Value::list(empty())]), Value::list(empty())])),
        ("tuple_empty", Value::tuple(empty())),
        ("tuple_one", Value::tuple([1])),
        (
            "tuple_mixed",
            Value::tuple([Value::None, Value::Bool(true), "x".into(), (&b"y"[..]).into()]),
        ),
        (
            "tuple_in_tuple",
            Value::tuple([Value::tuple([1, 2]), Value::tuple([Int(3), Value::tuple([4])])]),
        ),
        ("set_empty", Value::set(empty())),
        ("set_one", Value::set([7])),
        ("set_of_tuple", Value::set([Value::tuple([Int(1), "a".into()])])),
        ("frozenset_empty", Value::frozenset(empty())),
        ("frozenset_one", Value::frozenset(["x"])),
        ("frozenset_in_set", Value::set([Value::frozenset([1])])),
        (
            "frozenset_in_frozenset",
            Value::frozenset([Value::frozenset([Value::tuple([&b"z"[..]])])]),
        ),
        ("dict_empty", Value::Dict(vec![])),
        ("dict_str", Value::dict([("b", 1), ("a", 2)])),
        ("dict_keys_of_every_type", {
            let keys = [
                Value::None,
                Value::Bool(false),
                Int(2),
                Int(-3),
                big("18446744073709551616"),
                Float(1.5),
                Complex(0.0, 2.0),
                (&b"k"[..]).into(),
                "k".into(),
                Value::tuple(empty()),
                Value::tuple([Int(1), Value::tuple(["x"])]),
                Value::frozenset(empty()),
                Value::frozenset([1]),
                channel(5),
            ];
            Value::dict(keys.into_iter().zip(0..))
        }),
        ("dict_in_dict", Value::dict([("a", Value::dict([("b", Value::Dict(vec![]))]))])),
        ("dict_24", Value::dict((0..24).map(|n| (n, ())))),
        ("channel", channel(7)),
        ("channel_one", channel(1)),
        ("channel_largest", channel(u32::MAX)),
        (
            "channel_in_structures",
            Value::list([
                channel(1),
                Value::tuple([channel(2)]),
                Value::dict([("c", channel(3))]),
                Value::set([channel(4)]),
            ]),
        ),
        (
            "every_type",
            Value::list([
                Value::None,
                Value::Bool(true),
                Int(1),
                big("18446744073709551616"),
                Float(0.5),
                Complex(0.0, 1.0),
                (&b""[..]).into(),
                "".into(),
                Value::list(empty()),
                Value::tuple(empty()),
                Value::set(empty()),
                Value::frozenset(empty()),
                Value::Dict(vec![]),
                channel(9),
            ]),
        ),
        ("deep_256", (0..cbor::MAX_DEPTH).fold(Int(0), |inner, _| Value::list([inner]))),
    ])
}

/// Where the fault is, and which.
fn refused() -> BTreeMap<&'static str, (usize, DecodeFault)> {
    use DecodeFault::{
        BadChannel, BadHead, BadSimple, BadTag, BadTagged, InvalidUtf8, LeftOver,
        LengthExceedsInput, NotHashable, TooDeep, Truncated,
    };

    let exceeds = |claimed, left| LengthExceedsInput { claimed, left };
    BTreeMap::from([
        ("empty", (0, Truncated)),
        ("int_cut_off", (0, Truncated)),
        ("float_cut_off", (0, Truncated)),
        ("tag_cut_off", (3, Truncated)),
        ("list_without_end", (2, Truncated)),
        ("two_values", (1, LeftOver { count: 1 })),
        ("break_behind", (1, LeftOver { count: 1 })),
        ("lone_break", (0, BadHead)),
        ("break_in_list", (2, BadHead)),
        ("break_for_a_value", (2, BadHead)),
        ("head_reserved", (0, BadHead)),
        ("int_indefinite", (0, BadHead)),
        ("tag_indefinite", (0, BadHead)),
        ("simple_of_two_bytes_below_32", (0, BadHead)),
        ("chunk_of_another_type", (1, BadHead)),
        ("chunk_indefinite", (1, BadHead)),
        ("undefined", (0, BadSimple(23))),
        ("simple_0", (0, BadSimple(0))),
        ("simple_255", (0, BadSimple(255))),
        ("tag_unknown", (0, BadTag(0))),
        ("tag_self_described", (0, BadTag(55799))),
        ("tag_unknown_64_bits", (0, BadTag(u64::MAX))),
        ("tuple_of_no_array", (3, BadTagged { tag: 45101, on: "an int" })),
        ("set_of_tuple_tag", (3, BadTagged { tag: 258, on: "another tag" })),
        ("bignum_of_text", (1, BadTagged { tag: 2, on: "a text string" })),
        ("complex_of_one", (3, BadTagged { tag: 43000, on: "an array of that length" })),
        ("complex_of_ints", (4, BadTagged { tag: 43000, on: "an array of something else" })),
        ("complex_of_three_indefinite", (22, BadTagged { tag: 43000, on: "more floats" })),
        ("channel_0", (3, BadChannel(0))),
        ("channel_beyond_32_bits", (3, BadChannel(1 << 32))),
        ("channel_negative", (3, BadTagged { tag: 45103, on: "an int" })),
        ("text_not_utf8", (0, InvalidUtf8)),
        ("text_surrogate", (0, InvalidUtf8)),
        ("text_overlong", (0, InvalidUtf8)),
        ("text_cut_between_chunks", (1, InvalidUtf8)),
        ("bytes_of_2_40", (0, exceeds(1 << 40, 0))),
        ("text_of_2_63", (0, exceeds(1 << 63, 0))),
        ("list_of_2_32", (0, exceeds(1 << 32, 0))),
        ("dict_of_2_32", (0, exceeds(1 << 33, 0))),
        ("dict_of_2_64", (0, exceeds(u64::MAX, 0))),
        ("tuple_of_2_64", (0, exceeds(u64::MAX, 0))),
        ("list_one_too_long", (0, exceeds(3, 2))),
        ("lists_that_claim_the_same_bytes", (1, exceeds(4, 1))),
        ("list_in_set", (4, NotHashable { what: "list" })),
        ("set_in_set", (4, NotHashable { what: "set" })),
        ("dict_in_frozenset", (4, NotHashable { what: "dict" })),
        ("list_as_key", (1, NotHashable { what: "list" })),
        ("list_in_tuple_as_key", (5, NotHashable { what: "list" })),
        ("dict_in_frozenset_as_key", (5, NotHashable { what: "dict" })),
        ("deep_257", (256, TooDeep)),
        ("deep_tuples", (4 * 256, TooDeep)),
        ("deep_dicts", (2 * 256, TooDeep)),
        ("deep_indefinite", (256, TooDeep)),
    ])
}

fn read(file: &str) -> Vec<Named> {
    let path = format!("{}/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&text).unwrap();
    let both = |entry: Entry| (entry.name, unhex(&entry.cbor), entry.marshal.as_deref().map(unhex));
    entries.into_iter().map(both).collect()
}

fn assert_same_names<'a>(entries: &[Named], table: impl Iterator<Item = &'a &'static str>) {
    let mut file: Vec<&str> = entries.iter().map(|(name, ..)| &**name).collect();
    file.sort_unstable();
    assert_eq!(file, table.copied().collect::<Vec<_>>(), "left: the file, right: the table here");
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
