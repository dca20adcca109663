//! Any frames, in any cutting of their bytes, arrive as they were sent; anything else is an error
//! that stays, and never a panic.

use bytes::{BufMut, Bytes, BytesMut};
use execnet_proto::{
    ChannelId, Decoder, Fault, Format, Frame, FrameError, HEADER_LEN, Hello, Kind, Limits, MAGIC,
    MAX_FRAME, MAX_WINDOW, NOISE_LIMIT, OutputStream, Terminate, Value, Versions,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const MAX: u32 = Limits::LEAST.max_frame;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cutting_gives_the_same_frames(frames in vec(any_frame(), 0..12), cuts in any_cuts()) {
        prop_assert_eq!(decode(Decoder::new(MAX), &stream(&frames), &cuts), (frames, None));
    }

    #[test]
    fn noise_in_front_does_not_matter(
        noise in any_noise(),
        frames in vec(any_frame(), 0..4),
        cuts in any_cuts(),
    ) {
        let bytes = [&noise[..], &stream(&frames)].concat();
        prop_assert_eq!(decode(Decoder::new(MAX).skip_noise(), &bytes, &cuts), (frames, None));
    }

    #[test]
    fn unknown_kinds_that_may_be_ignored_are_skipped(
        frames in vec(prop_oneof![any_frame().prop_map(Ok), any_unknown().prop_map(Err)], 0..12),
        cuts in any_cuts(),
    ) {
        let mut bytes = BytesMut::from(&MAGIC[..]);
        for frame in &frames {
            match frame {
                Ok(frame) => drop(frame.encode(&mut bytes)),
                Err(unknown) => bytes.put_slice(unknown),
            }
        }
        let known = frames.into_iter().flatten().collect();
        prop_assert_eq!(decode(Decoder::new(MAX), &bytes, &cuts), (known, None));
    }

    #[test]
    fn arbitrary_bytes_give_frames_or_an_error_that_stays(
        bytes in vec(any::<u8>(), 0..200),
        cuts in any_cuts(),
        started in any::<bool>(),
    ) {
        let bytes = if started { [&MAGIC[..], &bytes].concat() } else { bytes };
        let (frames, error) = decode(Decoder::new(MAX), &bytes, &cuts);
        let (same_frames, same_error) = decode(Decoder::new(MAX), &bytes, &WHOLE);
        prop_assert_eq!(frames, same_frames);
        prop_assert_eq!(error.map(kind_of), same_error.map(kind_of));
    }

    #[test]
    fn a_payload_cut_short_is_an_error_or_another_frame(frame in any_frame(), cut in 1..40usize) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let len = bytes.len() - HEADER_LEN;
        bytes.truncate(HEADER_LEN + len.saturating_sub(cut));
        let shorter = (len.saturating_sub(cut) as u32).to_be_bytes();
        bytes[1..4].copy_from_slice(&shorter[1..]);
        let bytes = [&MAGIC[..], &bytes].concat();
        let (frames, error) = decode(Decoder::new(MAX), &bytes, &WHOLE);
        prop_assert_eq!(frames.len() + usize::from(error.is_some()), 1);
        prop_assert!(len == 0 || !frames.contains(&frame));
    }
}

#[test]
fn byte_by_byte() {
    let frames = vec![
        Frame::Hello(Box::new(Hello::new(Limits::LEAST))),
        Frame::Open(id(1)),
        data(b"hello"),
        data(b""),
        Frame::Close { channel: None, fault: None },
    ];
    for by in [By::Extend, By::ReadBuf] {
        let found = decode(Decoder::new(MAX), &stream(&frames), &Cuts { sizes: vec![1], by });
        assert_eq!(found, (frames.clone(), None));
    }
}

#[test]
fn a_header_with_too_long_a_payload_is_refused_at_once_and_takes_no_memory() {
    for (kind, len, refused) in
        [(0x10, MAX, false), (0x10, MAX + 1, true), (0x10, MAX_FRAME, true), (0xff, MAX + 1, true)]
    {
        let mut decoder = Decoder::new(MAX);
        decoder.extend(&MAGIC);
        let [_, l0, l1, l2] = len.to_be_bytes();
        decoder.extend(&[kind, l0, l1, l2, 0, 0, 0, 1]);
        let result = decoder.next_frame().map(|frame| frame.is_some());
        assert_eq!(result.is_err(), refused, "{kind:#04x}, {len} bytes: {result:?}");
        if refused {
            let room = decoder.read_buf().capacity();
            assert!(
                room <= HEADER_LEN + (64 << 10),
                "{room} bytes taken for a frame that was refused"
            );
            assert_eq!(decoder.next_frame().map(drop), result.map(drop), "the error stays");
        }
    }
}

#[test]
fn the_buffer_has_room_for_the_frame_that_is_expected_and_no_more() {
    let mut decoder = Decoder::new(1 << 20);
    decoder.extend(&MAGIC);
    decoder.extend(&[0x10, 0x10, 0, 0, 0, 0, 0, 1]);
    assert!(decoder.next_frame().unwrap().is_none());
    let buf = decoder.read_buf();
    let room = buf.capacity() - buf.len();
    assert!(((1 << 20)..=(2 << 20)).contains(&room), "{room}");
}

#[test]
fn noise_is_kept_for_the_error_and_bounded() {
    for (len, found) in [(NOISE_LIMIT, true), (NOISE_LIMIT + 1, false)] {
        for sizes in [vec![usize::MAX], vec![1000], vec![NOISE_LIMIT]] {
            let noise = vec![b'x'; len];
            let mut decoder = Decoder::new(MAX).skip_noise();
            let mut rest = &[&noise[..], &MAGIC].concat()[..];
            for size in sizes.iter().cycle() {
                let (part, more) = rest.split_at(rest.len().min(*size));
                decoder.extend(part);
                rest = more;
                if decoder.next_frame().is_err() || rest.is_empty() {
                    break;
                }
            }
            assert_eq!(decoder.started(), found, "{len} bytes of noise in parts of {sizes:?}");
            assert_eq!(decoder.noise().starts_with(&noise[..1000]), !found);
        }
    }
}

#[test]
fn without_noise_allowed_the_first_wrong_byte_is_an_error() {
    let mut decoder = Decoder::new(MAX);
    decoder.extend(&MAGIC[..4]);
    assert!(decoder.next_frame().unwrap().is_none());
    decoder.extend(b"?");
    assert!(matches!(decoder.next_frame(), Err(FrameError::NoPreamble { skipped: 5 })));
}

#[test]
fn a_damaged_preamble_is_named_in_any_cutting() {
    for (bytes, word) in [
        (&b"\x09EXN\r\n\x1a\n"[..], "eighth"),
        (b"\x89EXN\n\x1a\n", "CR LF into LF"),
        (b"\x89EXN\r\r\n\x1a\r\n", "LF into CR LF"),
        (b"\xc2\x89EXN\r\n\x1a\n", "UTF-8"),
    ] {
        for sizes in [vec![1], vec![3], vec![100]] {
            for decoder in [Decoder::new(MAX), Decoder::new(MAX).skip_noise()] {
                let (_, error) =
                    decode(decoder, bytes, &Cuts { sizes: sizes.clone(), by: By::Extend });
                let text = error.map(|error| error.to_string()).unwrap_or_default();
                assert!(text.contains(word), "{bytes:?} by {sizes:?}: {text:?}");
            }
        }
    }
}

#[test]
fn a_payload_may_look_like_a_damaged_preamble() {
    let frames = vec![data(b"\x89EXN\n\x1a\n"), data(b"\xc2\x89EXN\r\n\x1a\n")];
    for decoder in [Decoder::new(MAX), Decoder::new(MAX).skip_noise()] {
        assert_eq!(decode(decoder, &stream(&frames), &WHOLE), (frames.clone(), None));
    }
}

#[test]
fn the_boundary_is_where_the_stream_may_end() {
    let mut decoder = Decoder::new(MAX);
    let mut at = Vec::new();
    for (index, byte) in stream(&[Frame::Eof(id(1)), data(b"ab")]).iter().enumerate() {
        decoder.extend(&[*byte]);
        while decoder.next_frame().unwrap().is_some() {}
        if decoder.at_boundary() {
            at.push(index + 1);
        }
    }
    assert_eq!(at, [8, 16, 26]);
}

#[test]
fn payloads_stay_when_the_decoder_moves_on() {
    let mut decoder = Decoder::new(MAX);
    decoder.extend(&stream(&[data(b"first"), data(b"second")]));
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(frame.payload(), b"first");
    assert_eq!(frame.header().kind, Kind::Data { more: false, format: Format::Bytes });
    let first = frame.into_payload();
    decoder.extend(&[0xff; 100]);
    assert_eq!(decoder.next_frame().unwrap().unwrap().into_payload(), "second");
    decoder.read_buf().put_slice(&[0xff; 100]);
    assert_eq!(first, "first");
}

fn id(number: u32) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn data(payload: &'static [u8]) -> Frame {
    let payload = Bytes::from_static(payload);
    Frame::Data { channel: id(1), more: false, format: Format::Bytes, payload }
}

/// The preamble and the frames.
fn stream(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = BytesMut::from(&MAGIC[..]);
    for frame in frames {
        frame.encode(&mut bytes);
    }
    bytes.to_vec()
}

/// How bytes reach the decoder: in parts of these sizes, over and over.
#[derive(Clone, Debug)]
struct Cuts {
    sizes: Vec<usize>,
    by: By,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Extend,
    ReadBuf,
}

static WHOLE: Cuts = Cuts { sizes: Vec::new(), by: By::Extend };

/// All frames in `bytes`, up to an error.
fn decode(mut decoder: Decoder, bytes: &[u8], cuts: &Cuts) -> (Vec<Frame>, Option<FrameError>) {
    let mut frames = Vec::new();
    let mut rest = bytes;
    let mut sizes = cuts.sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| rest.len().min(*size));
        let (part, more) = rest.split_at(size);
        rest = more;
        match cuts.by {
            By::Extend => decoder.extend(part),
            By::ReadBuf => decoder.read_buf().put_slice(part),
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => match frame.parse() {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return (frames, Some(error)),
                },
                Ok(None) => break,
                Err(error) => {
                    decoder.extend(rest);
                    let again = decoder.next_frame().map(drop).unwrap_err();
                    assert_eq!(error, again, "the error stays");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

/// What an error is about. How much had arrived by then depends on the cutting.
fn kind_of(error: FrameError) -> FrameError {
    match error {
        FrameError::NoPreamble { .. } => FrameError::NoPreamble { skipped: 0 },
        other => other,
    }
}

fn any_cuts() -> impl Strategy<Value = Cuts> {
    (vec(prop_oneof![1..20usize, 1..5000usize], 1..6), select(vec![By::Extend, By::ReadBuf]))
        .prop_map(|(sizes, by)| Cuts { sizes, by })
}

/// What a login shell might say, and beginnings of a preamble that does not follow.
fn any_noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ -~]{0,80}".prop_map(String::into_bytes),
        (1..MAGIC.len()).prop_map(|len| [&MAGIC[..len], b"."].concat()),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// A frame of a kind that this version does not know and may skip.
fn any_unknown() -> impl Strategy<Value = Vec<u8>> {
    (0x83..=0xffu8, any::<u32>(), vec(any::<u8>(), 0..50)).prop_map(|(kind, channel, payload)| {
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes[0] = kind;
        bytes.extend_from_slice(&channel.to_be_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    })
}

fn any_id() -> impl Strategy<Value = ChannelId> {
    prop_oneof![1..10u32, 1..=u32::MAX].prop_map(id)
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    let short = vec(any::<u8>(), 0..100);
    let long = (any::<u8>(), 0..=MAX as usize - 1).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![9 => short.boxed(), 1 => long.boxed()].prop_map(Bytes::from)
}

fn any_fault() -> impl Strategy<Value = Fault> {
    ("\\PC{0,20}", "\\PC{0,100}", option::of("\\PC{0,500}"))
        .prop_map(|(kind, message, traceback)| Fault { kind, message, traceback })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let least = Limits::LEAST;
    (
        least.max_frame..=MAX_FRAME,
        least.max_message..=u64::MAX,
        least.max_channels..=u32::MAX / 2,
        least.channel_window..=MAX_WINDOW,
        least.connection_window..=MAX_WINDOW,
    )
        .prop_map(
            |(max_frame, max_message, max_channels, channel_window, connection_window)| Limits {
                max_frame,
                max_message,
                max_channels,
                channel_window,
                connection_window,
            },
        )
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let texts = || vec("[a-z]{1,8}", 0..4);
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u128>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        vec(any::<i64>(), 0..4).prop_map(Value::tuple),
    ];
    let values = btree_map("[a-z]{1,8}", value, 0..4);
    let versions = (any::<u32>(), any::<u32>());
    (any_limits(), versions, texts(), texts(), any::<u64>(), "\\PC{0,20}", values.clone(), values)
        .prop_map(
            |(limits, (low, high), formats, features, keepalive_ms, software, facts, settings)| {
                Hello {
                    versions: Versions(low, high),
                    limits,
                    formats,
                    features,
                    keepalive_ms,
                    software,
                    facts,
                    settings,
                }
            },
        )
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let format = select(vec![Format::Bytes, Format::Cbor, Format::Marshal]);
    let stream = select(vec![OutputStream::Stdout, OutputStream::Stderr]);
    let close = (option::of(any_id()), option::of(any_fault()));
    let terminate = |(grace_ms, kill_ms)| Frame::Terminate(Terminate { grace_ms, kill_ms });
    prop_oneof![
        1 => any_hello().prop_map(|hello| Frame::Hello(Box::new(hello))),
        1 => any_id().prop_map(Frame::Open),
        1 => any_id().prop_map(Frame::Exec),
        1 => (option::of(any_id()), 1..=u32::MAX)
            .prop_map(|(channel, amount)| Frame::Credit { channel, amount }),
        1 => any_id().prop_map(Frame::Eof),
        1 => close.prop_map(|(channel, fault)| Frame::Close { channel, fault }),
        1 => any_id().prop_map(Frame::Interrupt),
        1 => any::<(u32, u32)>().prop_map(terminate),
        1 => any::<[u8; 8]>().prop_map(Frame::Ping),
        1 => any::<[u8; 8]>().prop_map(Frame::Pong),
        5 => (any_id(), any::<bool>(), format, any_bytes())
            .prop_map(|(channel, more, format, payload)| Frame::Data {
                channel,
                more,
                format,
                payload
            }),
        1 => any_bytes().prop_map(Frame::Status),
        1 => (option::of(any_id()), stream, any_bytes())
            .prop_map(|(channel, stream, bytes)| Frame::Output { channel, stream, bytes }),
    ]
}
