//! A certificate around a key that was derived from a token.
//!
//! Only for peers whose TLS knows no raw public keys, such as Python's `ssl`. Both sides make it from the same
//! key, byte by byte the same, and compare it as a whole: what it says of names and dates means nothing.

use ring::signature::Ed25519KeyPair;

const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// The certificate of a key, signed with itself.
pub(super) fn certificate(key: &Ed25519KeyPair, spki: &[u8]) -> Vec<u8> {
    let body = [
        // Version 3, serial number 1.
        &[0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01][..],
        &ED25519,
        &name(),
        &validity(),
        &name(),
        spki,
    ];
    let body = tagged(0x30, &body.concat());
    let signature = key.sign(&body);
    let bits = tagged(0x03, &[&[0], signature.as_ref()].concat());
    tagged(0x30, &[&body, &ED25519[..], &bits].concat())
}

/// CN=execnet.
fn name() -> Vec<u8> {
    let common_name = [0x06, 0x03, 0x55, 0x04, 0x03];
    let pair = [&common_name[..], &tagged(0x0c, b"execnet")].concat();
    tagged(0x30, &tagged(0x31, &tagged(0x30, &pair)))
}

/// For ever, as X.509 writes it.
fn validity() -> Vec<u8> {
    let from = tagged(0x17, b"700101000000Z");
    let to = tagged(0x18, b"99991231235959Z");
    tagged(0x30, &[from, to].concat())
}

/// Of DER's lengths, those that are needed here: up to 65535.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head, content].concat()
}
