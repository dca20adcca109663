//! Values from any bytes that might be CPython's marshal.

use bytes::Bytes;
use execnet_proto::{Value, marshal};

use crate::value::{PER_BYTE, memory};

/// What can be decoded can be encoded, and decodes to the same again. The three ways to decode
/// agree, on what they refuse as well, and none takes more memory than it may.
pub fn marshal(data: &[u8]) {
    let shared = marshal::decode_shared(&Bytes::copy_from_slice(data));
    let serde = marshal::from_slice::<Value>(data);
    // A type that does not take everything.
    let _ = marshal::from_slice::<Vec<(u64, Option<String>)>>(data);
    let Ok(value) = marshal::decode(data) else {
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
    let bytes = marshal::encode(&value).expect("what was decoded can be encoded");
    let again = marshal::decode(&bytes).expect("what was encoded can be decoded");
    assert_eq!(format!("{again:?}"), text);
    assert_eq!(marshal::encode(&again).expect("again"), bytes, "one form for one value");
}
