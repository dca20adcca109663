//! Any value that may cross.

use execnet_proto::{BigInt, ChannelId, Value};
use proptest::prelude::*;

/// Any value, a few levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![scalar(), key()];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Value::List),
            items.prop_map(Value::Tuple),
            prop::collection::vec(key(), 0..4).prop_map(Value::Set),
            prop::collection::vec(key(), 0..4).prop_map(Value::FrozenSet),
            prop::collection::vec((key(), inner), 0..5).prop_map(Value::Dict),
        ]
    })
}

/// Any value that is hashable.
fn key() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 8, 4, |inner| {
        let items = prop::collection::vec(inner, 0..4);
        prop_oneof![items.clone().prop_map(Value::Tuple), items.prop_map(Value::FrozenSet)]
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300..300i64).prop_map(Value::Int),
        edge().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..60)
            .prop_map(|bytes| Value::from(BigInt::from_signed_bytes_be(&bytes))),
        float().prop_map(Value::Float),
        (float(), float()).prop_map(|(real, imaginary)| Value::Complex(real, imaginary)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        text().prop_map(Value::from),
        (1..u32::MAX).prop_map(|number| Value::Channel(ChannelId::new(number).unwrap())),
    ]
}

/// Ints around the powers of two.
fn edge() -> impl Strategy<Value = i128> {
    (0..126u32, -2..=2i128, any::<bool>()).prop_map(|(bits, near, negative)| {
        let int = (1i128 << bits) + near;
        if negative { -int } else { int }
    })
}

/// Any bits but those of a NaN with a payload, which not every machine hands on unchanged.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_map(|x| if x.is_nan() { f64::NAN } else { x }),
        any::<f32>().prop_map(f64::from),
        (-30..30i32, -1000..1000i32).prop_map(|(exponent, n)| f64::from(n) * 10f64.powi(exponent)),
        prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e16, 9e15, 1e-5]),
    ]
    .prop_map(|x| if x.is_nan() { f64::NAN } else { x })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "['\"\\\\\n\r\t\0a]{0,8}",
        prop::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect()),
    ]
}
