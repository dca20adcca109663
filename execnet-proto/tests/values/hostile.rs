//! Bytes of a peer that means harm, or has a bug.

use execnet_proto::{Value, cbor};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Bytes that are CBOR more often than chance would have it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 1..4),
        2 => prop::sample::select(vec![0x80u8, 0x81, 0x82, 0x9f, 0xa0, 0xa1, 0xbf, 0xff, 0, 0xf6])
            .prop_map(|head| vec![head]),
        1 => prop::sample::select(vec![258u16, 43000, 45101, 45102, 45103])
            .prop_map(|tag| [&[0xd9][..], &tag.to_be_bytes()].concat()),
        1 => prop::sample::select(vec![&b"\x61a"[..], b"\x41a", b"\xc2\x41\x01", b"\x7f", b"\x5f"])
            .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in bytes()) {
        let result = cbor::decode(&bytes);
        // Whichever way they are read.
        match (&result, cbor::from_slice::<Value>(&bytes)) {
            (Ok(value), Ok(again)) => prop_assert_eq!(format!("{value:?}"), format!("{again:?}")),
            (Err(error), Err(again)) => prop_assert_eq!(error, &again),
            (one, other) => prop_assert!(false, "{one:?} but {other:?}"),
        }
        prop_assert_eq!(cbor::from_slice::<IgnoredAny>(&bytes).is_ok(), result.is_ok());
        if let Ok(value) = result {
            let again = cbor::decode(&cbor::encode(&value).unwrap()).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{value:?}"));
            prop_assert!(footprint(&value) <= 40 * bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_a_type_or_an_error(bytes in bytes()) {
        // These only must not panic; what they give is for `types` to test.
        let _ = cbor::from_slice::<Node>(&bytes);
        let _ = cbor::from_slice::<Vec<Node>>(&bytes);
        let _ = cbor::from_slice::<(u8, Option<String>, Flat)>(&bytes);
        let _ = cbor::from_slice::<Flat>(&bytes);
        let _ = cbor::from_slice::<&str>(&bytes);
        let _ = cbor::from_slice::<i128>(&bytes);
    }
}

/// A type that goes through most of serde.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read")]
pub(crate) enum Node {
    Unit,
    New(Box<Self>),
    Tuple(i64, f64),
    Struct { name: String, more: Option<Vec<Self>> },
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only read")]
pub(crate) struct Flat {
    a: Option<char>,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, Value>,
}

/// What a value takes, without what the allocator adds.
pub(crate) fn footprint(value: &Value) -> usize {
    let held = match value {
        Value::Str(text) => text.capacity(),
        Value::Bytes(bytes) => bytes.len(),
        Value::BigInt(int) => int.bits().div_ceil(64) as usize * 8,
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            let spare = (items.capacity() - items.len()) * size_of::<Value>();
            spare + items.iter().map(footprint).sum::<usize>()
        }
        Value::Dict(entries) => {
            let spare = (entries.capacity() - entries.len()) * 2 * size_of::<Value>();
            let of = |(key, value): &(Value, Value)| footprint(key) + footprint(value);
            spare + entries.iter().map(of).sum::<usize>()
        }
        _ => 0,
    };
    size_of::<Value>() + held
}

#[test]
fn dense_messages_grow_by_the_documented_factor_at_most() {
    let many = 10_000;
    let open = |len: u16| [&[0x99][..], &len.to_be_bytes()].concat();
    let dense: [&[u8]; 9] = [
        b"\xf6",
        b"\x80",
        b"\x81\0",
        b"\xa1\0\0",
        b"\x9f\0\xff",
        b"\xbf\0\0\xff",
        b"\x61a",
        b"\x40",
        b"\xc2\x49\x01\0\0\0\0\0\0\0\0",
    ];
    for piece in dense {
        let message = [open(many), piece.repeat(many.into())].concat();
        let value = cbor::decode(&message).unwrap();
        assert_eq!(value.as_items().unwrap().len(), usize::from(many));
        let factor = footprint(&value) as f64 / message.len() as f64;
        assert!(factor <= 40.0, "{piece:02x?}: {factor}");
        // The one that reaches it shows that the bound is not idle.
        assert!(piece != b"\xf6" || factor > 39.0);
    }
}

#[test]
fn claims_cost_nothing() {
    // Each would take more than there is, were it believed.
    for head in [0x5b, 0x7b, 0x9b, 0xbb_u8] {
        for claim in [1u64 << 32, 1 << 40, 1 << 60, 1 << 63, u64::MAX] {
            let bytes = [&[head][..], &claim.to_be_bytes(), &[0; 64]].concat();
            cbor::decode(&bytes).unwrap_err();
            cbor::from_slice::<Vec<u64>>(&bytes).unwrap_err();
            cbor::from_slice::<bytes::Bytes>(&bytes).unwrap_err();
            cbor::from_slice::<String>(&bytes).unwrap_err();
            cbor::from_slice::<std::collections::HashMap<u64, u64>>(&bytes).unwrap_err();
        }
    }
}

#[test]
fn depth_is_bounded_whatever_nests() {
    for piece in [&b"\x81"[..], b"\xd9\xb0\x2d\x81", b"\xa1\0", b"\x9f", b"\xa1\x61a"] {
        let bytes = piece.repeat(100_000);
        assert_eq!(cbor::decode(&bytes).unwrap_err().fault(), &cbor::DecodeFault::TooDeep);
        assert!(cbor::from_slice::<Value>(&bytes).is_err());
        assert!(cbor::from_slice::<IgnoredAny>(&bytes).is_err());
        assert!(cbor::from_slice::<Flat>(&bytes).is_err());
    }
}

#[test]
fn deep_types_end_before_the_stack_does() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Link {
        next: Option<Box<Self>>,
    }
    let chain = |depth: usize| [b"\xa1\x64next".repeat(depth), vec![0xf6]].concat();
    cbor::from_slice::<Link>(&chain(cbor::MAX_DEPTH)).unwrap();
    let error = cbor::from_slice::<Link>(&chain(100_000)).unwrap_err();
    assert_eq!(error.fault(), &cbor::DecodeFault::TooDeep);
}

#[test]
fn what_nests_too_deep_is_not_encoded() {
    let nest = |depth| (0..depth).fold(Value::None, |inner, _| Value::tuple([inner]));
    cbor::encode(&nest(cbor::MAX_DEPTH)).unwrap();
    let error = cbor::encode(&nest(cbor::MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.fault(), &cbor::EncodeFault::TooDeep);
    assert_eq!(error.path().matches("[0]").count(), cbor::MAX_DEPTH);
    // The message stays short.
    assert!(error.to_string().len() < 200, "{error}");
}
