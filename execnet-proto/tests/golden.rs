//! The worked examples of PROTOCOL.md, as frames, as files, and as our own encoder writes them.
//!
//! Each block of the document stands as `golden/NAME.hex` too, for programs that would rather not
//! read Markdown. After a change to the document, this writes the files anew:
//! `cargo test -p execnet-proto --test golden -- --ignored`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use execnet_proto::{
    ChannelId, Decoder, Fault, Format, Frame, Hello, Limits, MAGIC, OutputStream, Terminate, Value,
    cbor, marshal,
};

const DOCUMENT: &str = include_str!("../PROTOCOL.md");

/// What each block of the document means.
fn frames() -> BTreeMap<&'static str, Frame> {
    let data = |format, more, payload: &'static [u8]| Frame::Data {
        channel: id(1),
        more,
        format,
        payload: Bytes::from_static(payload),
    };
    let value = Value::dict([
        ("a", Value::tuple([Value::Int(1), Value::Int(-1)])),
        ("b", Value::Complex(1.5, 0.0)),
    ]);
    let message = |format, payload| Frame::Data { channel: id(1), more: false, format, payload };
    let value_marshal = message(Format::Marshal, marshal::encode(&value).unwrap());
    let value = message(Format::Cbor, cbor::encode(&value).unwrap());
    let fault = Fault::new("ZeroDivisionError", "by zero!");
    let stderr = OutputStream::Stderr;
    BTreeMap::from([
        ("hello_minimal", Frame::Hello(Box::new(Hello::new(Limits::LEAST)))),
        ("open", Frame::Open(id(1))),
        ("exec", Frame::Exec(id(3))),
        ("eof", Frame::Eof(id(3))),
        ("close", Frame::Close { channel: Some(id(3)), fault: None }),
        ("interrupt", Frame::Interrupt(id(3))),
        ("data_bytes", data(Format::Bytes, false, b"hello")),
        ("data_cbor", data(Format::Cbor, false, &[0x18, 42])),
        ("data_more", data(Format::Bytes, true, b"he")),
        ("data_empty", data(Format::Bytes, false, b"")),
        ("credit_channel", Frame::Credit { channel: Some(id(1)), amount: 32 << 10 }),
        ("credit_connection", Frame::Credit { channel: None, amount: 1 << 20 }),
        ("close_error", Frame::Close { channel: Some(id(1)), fault: Some(fault) }),
        ("ping", Frame::Ping([1, 2, 3, 4, 5, 6, 7, 8])),
        ("pong", Frame::Pong([1, 2, 3, 4, 5, 6, 7, 8])),
        ("terminate", Frame::Terminate(Terminate { grace_ms: 5000, kill_ms: 1000 })),
        ("status_request", Frame::Status(Bytes::new())),
        ("status_reply", Frame::Status(cbor::encode(&Value::dict([("channels", 2)])).unwrap())),
        (
            "output",
            Frame::Output { channel: None, stream: stderr, bytes: Bytes::from_static(b"hi") },
        ),
        ("value_dict", value),
        ("value_marshal", value_marshal),
    ])
}

#[test]
fn every_block_is_in_the_table_and_every_row_in_the_document() {
    let document = document();
    assert!(document.len() > 10, "the document's blocks were not found");
    let frames = frames();
    assert_eq!(document.keys().collect::<Vec<_>>(), frames.keys().collect::<Vec<_>>());
}

#[test]
fn blocks_decode_to_the_frames() {
    let frames = frames();
    for (name, bytes) in document() {
        assert_eq!(decode(&bytes), frames[name], "{name}");
    }
}

#[test]
fn frames_encode_to_the_blocks() {
    let document = document();
    for (name, frame) in frames() {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        // Our HELLO says aloud what an absent key would mean: other bytes, the same frame.
        if name == "hello_minimal" {
            assert_eq!(decode(&bytes), frame, "{name}");
        } else {
            assert_eq!(hex(&bytes), hex(&document[name]), "{name}");
        }
    }
}

#[test]
fn files_and_document_agree() {
    let files = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, parse_hex(&fs::read_to_string(&path).unwrap()))
        })
        .collect::<BTreeMap<_, _>>();
    let document = document()
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect::<BTreeMap<_, _>>();
    assert_eq!(files, document);
}

#[test]
#[ignore = "writes the files from the document"]
fn write_files() {
    for (name, text) in blocks() {
        let text = format!("# {name}: a frame of PROTOCOL.md, in hexadecimal\n{text}");
        fs::write(directory().join(name).with_extension("hex"), text).unwrap();
    }
}

fn id(number: u32) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Name and text of each block.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    DOCUMENT.split("```golden ").skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        (name, rest.split_once("```").unwrap().0)
    })
}

fn document() -> BTreeMap<&'static str, Vec<u8>> {
    let mut document = BTreeMap::new();
    for (name, text) in blocks() {
        assert_eq!(document.insert(name, parse_hex(text)), None, "{name} stands there twice");
    }
    document
}

/// Bytes from hexadecimal digits, with spaces anywhere and comments from `#` to a line's end.
fn parse_hex(text: &str) -> Vec<u8> {
    let digits = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap_or_else(|| panic!("{c:?} is no hexadecimal digit")) as u8)
        .collect::<Vec<_>>();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte is left over");
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

/// The only frame in `bytes`.
fn decode(bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new(Limits::LEAST.max_frame);
    decoder.extend(&MAGIC);
    decoder.extend(bytes);
    let frame = decoder.next_frame().unwrap().expect("a whole frame").parse().unwrap();
    assert!(decoder.next_frame().unwrap().is_none() && decoder.at_boundary());
    frame
}
