//! What a value says of itself; and a bytes message as a type.

use bytes::Bytes;
use execnet_proto::{BigInt, ChannelId, Value, from_bytes_message};
use serde::Deserialize;

#[test]
fn each_type_gives_itself_and_nothing_else() {
    let channel = ChannelId::new(7).unwrap();
    let huge = BigInt::from(u64::MAX) + 1;
    let dict = Value::dict([("a", 1), ("b", 2), ("a", 3)]);
    let all = [
        (Value::None, "NoneType"),
        (Value::Bool(true), "bool"),
        (Value::Int(-1), "int"),
        (Value::BigInt(u64::MAX.into()), "int"),
        (Value::BigInt(huge), "int"),
        (Value::Float(0.5), "float"),
        (Value::Complex(1.0, 2.0), "complex"),
        (Value::Bytes(Bytes::from_static(b"x")), "bytes"),
        (Value::from("x"), "str"),
        (Value::list([1]), "list"),
        (Value::tuple([1]), "tuple"),
        (Value::set([1]), "set"),
        (Value::frozenset([1]), "frozenset"),
        (dict.clone(), "dict"),
        (Value::Channel(channel), "Channel"),
    ];
    for (value, name) in &all {
        let is = |others: &[&str]| others.contains(name);
        assert_eq!(value.type_name(), *name);
        assert_eq!(value.is_none(), is(&["NoneType"]), "{value}");
        assert_eq!(value.as_bool(), is(&["bool"]).then_some(true), "{value}");
        assert_eq!(value.as_str(), is(&["str"]).then_some("x"), "{value}");
        assert_eq!(
            value.as_bytes().map(|bytes| &bytes[..]),
            is(&["bytes"]).then_some(&b"x"[..]),
            "{value}"
        );
        assert_eq!(value.as_channel(), is(&["Channel"]).then_some(channel), "{value}");
        assert_eq!(value.as_dict().is_some(), is(&["dict"]), "{value}");
        let one = is(&["list", "tuple", "set", "frozenset"]).then_some(&[Value::Int(1)][..]);
        assert_eq!(value.as_items(), one, "{value}");
        assert_eq!(value.is_hashable(), !is(&["list", "set", "dict"]), "{value}");
    }
    let numbers =
        |read: fn(&Value) -> bool| all.iter().map(|(value, _)| read(value)).collect::<Vec<_>>();
    let at =
        |places: &[usize]| (0..all.len()).map(|place| places.contains(&place)).collect::<Vec<_>>();
    assert_eq!(numbers(|value| value.as_i64() == Some(-1)), at(&[2]));
    assert_eq!(numbers(|value| value.as_i64().is_some()), at(&[2]), "it does not fit");
    assert_eq!(numbers(|value| value.as_u64() == Some(u64::MAX)), at(&[3]));
    assert_eq!(numbers(|value| value.as_u64().is_some()), at(&[3]), "nor does what is below 0");
    assert_eq!(numbers(|value| value.as_f64().is_some()), at(&[2, 5]));

    assert_eq!((dict.get("a"), dict.get("c")), (Some(&Value::Int(3)), None), "the last one counts");
    assert_eq!(Value::Int(1).get("a"), None);
    assert!(!Value::tuple([Value::list([1])]).is_hashable());
}

#[test]
fn a_bytes_message_is_bytes_in_many_a_type() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Bytes);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(u8, u8);

    let message = || Bytes::from_static(b"hi");
    assert_eq!(from_bytes_message::<Bytes>(message()).unwrap(), message());
    assert_eq!(from_bytes_message::<Value>(message()).unwrap(), Value::Bytes(message()));
    assert_eq!(from_bytes_message::<Vec<u8>>(message()).unwrap(), b"hi");
    assert_eq!(from_bytes_message::<[u8; 2]>(message()).unwrap(), *b"hi");
    assert_eq!(from_bytes_message::<Pair>(message()).unwrap(), Pair(b'h', b'i'));
    assert_eq!(from_bytes_message::<Option<Wrapped>>(message()).unwrap(), Some(Wrapped(message())));

    // Text is another type, however well it looks.
    #[derive(Debug, Deserialize)]
    enum Greeting {
        #[serde(rename = "hi")]
        Hi,
    }
    let refused = [
        from_bytes_message::<String>(message()).unwrap_err(),
        from_bytes_message::<char>(message()).unwrap_err(),
        from_bytes_message::<u64>(message()).unwrap_err(),
        from_bytes_message::<Greeting>(message()).unwrap_err(),
        from_bytes_message::<[u8; 3]>(message()).unwrap_err(),
    ];
    for error in &refused[..4] {
        assert!(error.to_string().contains("invalid type: byte"), "{error}");
    }
}
