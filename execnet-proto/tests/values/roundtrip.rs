//! Whatever goes in comes out.

use bytes::{Bytes, BytesMut};
use execnet_proto::{Value, cbor};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::strategy;

#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    first: Value,
    rest: Vec<(u8, Value)>,
}

/// Tells `0.0` from `-0.0`, and takes a NaN for a NaN.
fn shown(value: &Value) -> String {
    format!("{value:?}")
}

proptest! {
    #[test]
    fn any_value_survives(value in strategy::value()) {
        let bytes = cbor::encode(&value).unwrap();
        prop_assert_eq!(shown(&cbor::decode(&bytes).unwrap()), shown(&value));
        prop_assert_eq!(shown(&cbor::decode_shared(&bytes).unwrap()), shown(&value));
    }

    #[test]
    fn any_value_survives_in_a_struct(value in strategy::value()) {
        let holder = Holder { first: value.clone(), rest: vec![(1, value.clone())] };
        let bytes = cbor::to_bytes(&holder).unwrap();
        let again: Holder = cbor::from_slice(&bytes).unwrap();
        prop_assert_eq!(shown(&again.first), shown(&value));
        prop_assert_eq!(shown(&again.rest[0].1), shown(&value));
    }

    #[test]
    fn ciborium_reads_the_same_structure(value in strategy::value()) {
        let bytes = cbor::encode(&value).unwrap();
        let theirs: ciborium::Value = match ciborium::from_reader(&bytes[..]) {
            Ok(theirs) => theirs,
            // It reads ints of 128 bits at most.
            Err(error) => {
                prop_assert!(error.to_string().contains("integer too large"), "{error}");
                return Ok(());
            }
        };
        let mut written = Vec::new();
        ciborium::into_writer(&theirs, &mut written).unwrap();
        // It writes the shortest floats, which we must read.
        prop_assert_eq!(shown(&cbor::decode(&written).unwrap()), shown(&value));
    }

    #[test]
    fn a_cut_or_lengthened_value_is_refused(value in strategy::value(), at in any::<prop::sample::Index>()) {
        let bytes = cbor::encode(&value).unwrap();
        prop_assert!(cbor::decode(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(cbor::decode(&[&bytes[..], b"\0"].concat()).is_err());
    }
}

#[test]
fn ints_made_by_hand_are_written_in_the_shortest_form() {
    let by_hand = Value::BigInt(5.into());
    assert_eq!(&cbor::encode(&by_hand).unwrap()[..], b"\x05");
    // And bignums that need not be, or have zeros in front, are read.
    assert_eq!(cbor::decode(b"\xc2\x43\0\0\x05").unwrap(), Value::Int(5));
    assert_eq!(cbor::decode(b"\xc3\x40").unwrap(), Value::Int(-1));
}

#[test]
fn indefinite_lengths_are_read() {
    let cases: [(&[u8], Value); 6] = [
        (b"\x9f\x01\x9f\xff\xff", Value::list([Value::Int(1), Value::List(vec![])])),
        (b"\xd9\xb0\x2d\x9f\x01\xff", Value::tuple([1])),
        (b"\xbf\x01\x02\x03\x04\xff", Value::dict([(1, 2), (3, 4)])),
        (b"\x5f\x42ab\x40\x41c\xff", Value::from(&b"abc"[..])),
        (b"\x7f\x62\xc3\xa9\x60\x61c\xff", "éc".into()),
        (b"\xd9\xa7\xf8\x9f\xf9\x3c\x00\xfa\x3f\x80\x00\x00\xff", Value::Complex(1.0, 1.0)),
    ];
    for (bytes, value) in cases {
        assert_eq!(cbor::decode(bytes).unwrap(), value);
        assert_eq!(cbor::from_slice::<Value>(bytes).unwrap(), value);
    }
}

#[test]
fn encoding_appends() {
    let mut out = BytesMut::from(&b"head"[..]);
    cbor::encode_into(&Value::Int(7), &mut out).unwrap();
    assert_eq!(&out[..], b"head\x07");
    let bad = Value::list([Value::set([Value::List(vec![])])]);
    cbor::encode_into(&bad, &mut out).unwrap_err();
    assert_eq!(&out[..], b"head\x07");
}

#[test]
fn long_bytes_share_the_memory_of_their_message() {
    let content = Bytes::from(vec![1u8; 1000]);
    let value = Value::tuple([Value::from("name"), Value::Bytes(content)]);
    let message = cbor::encode(&value).unwrap();
    let shared = cbor::decode_shared(&message).unwrap();
    assert_eq!(shared, value);
    let within = |bytes: &Bytes| message.as_ptr_range().contains(&bytes.as_ptr());
    let second = |value: &Value| value.as_items().unwrap()[1].as_bytes().unwrap().clone();
    assert!(within(&second(&shared)));
    assert!(!within(&second(&cbor::decode(&message).unwrap())));

    // A short one would keep the whole message alive.
    let value = Value::tuple([Value::Bytes(Bytes::from_static(b"id")), "x".repeat(100).into()]);
    let message = cbor::encode(&value).unwrap();
    let shared = cbor::decode_shared(&message).unwrap();
    let short = shared.as_items().unwrap()[0].as_bytes().unwrap();
    assert!(!message.as_ptr_range().contains(&short.as_ptr()));
}
