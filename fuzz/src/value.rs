//! Values from any bytes.

use bytes::Bytes;
use execnet_proto::{Value, cbor};

/// What takes no more bytes than this for each byte of CBOR is bounded by the message's length.
pub(crate) const PER_BYTE: usize = 40;

/// What can be decoded can be encoded, and decodes to the same again. The three ways to decode
/// agree, on what they refuse as well, and none takes more memory than it may.
pub fn value(data: &[u8]) {
    let shared = cbor::decode_shared(&Bytes::copy_from_slice(data));
    let serde = cbor::from_slice::<Value>(data);
    // A type that does not take everything.
    let _ = cbor::from_slice::<Vec<(u64, Option<String>)>>(data);
    let Ok(value) = cbor::decode(data) else {
        assert!(shared.is_err(), "the shared way takes {shared:?}");
        assert!(serde.is_err(), "serde's way takes {serde:?}");
        return;
    };
    // By their text: NaN is not equal to itself.
    let text = format!("{value:?}");
    for other in [shared, serde] {
        let other = other.expect("all ways agree");
        assert_eq!(format!("{other:?}"), text);
        assert!(memory(&other) <= PER_BYTE * data.len(), "{} bytes", memory(&other));
    }
    assert!(memory(&value) <= PER_BYTE * data.len(), "{} bytes", memory(&value));
    let bytes = cbor::encode(&value).expect("what was decoded can be encoded");
    let again = cbor::decode(&bytes).expect("what was encoded can be decoded");
    assert_eq!(format!("{again:?}"), text);
    assert_eq!(cbor::encode(&again).expect("again"), bytes, "one form for one value");
    assert!(!value.to_string().is_empty());
}

/// What a value takes, its own place included.
pub(crate) fn memory(value: &Value) -> usize {
    size_of::<Value>() + heap(value)
}

fn heap(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Str(text) => text.capacity(),
        Value::BigInt(int) => int.bits().div_ceil(8) as usize,
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            items.capacity() * size_of::<Value>() + items.iter().map(heap).sum::<usize>()
        }
        Value::Dict(entries) => {
            let each = entries.iter().map(|(key, value)| heap(key) + heap(value));
            entries.capacity() * size_of::<(Value, Value)>() + each.sum::<usize>()
        }
        _ => 0,
    }
}
