//! A peer that breaks the rules, one by one: each is found, named exactly, and ends the connection.

mod common;

use bytes::Bytes;
use common::peer::Peer;
use common::world::costing;
use common::{id, least};
use execnet_channel::core::{Event, Received, TrySendError};
use execnet_channel::{Config, ConnectionError, Message, PeerMisbehaved, ReceiveError, SendError};
use execnet_proto::{
    Fault, Format, Frame, FrameError, Hello, Kind, Limits, MAGIC, MAX_WINDOW, OutputStream, Side,
    Terminate, VERSIONS, Versions,
};

const DATA: Kind = Kind::Data { more: false, format: Format::Bytes };
const MORE: Kind = Kind::Data { more: true, format: Format::Bytes };

fn farend() -> Peer {
    Peer::greeted(Side::FarEnd, least())
}

fn connector() -> Peer {
    Peer::greeted(Side::Connector, least())
}

/// With channel 1 opened by the peer.
fn with_channel() -> Peer {
    let mut peer = farend();
    peer.open(id(1));
    peer.core.accept(id(1));
    peer
}

/// The error that ended the connection, which is told to the peer and to every channel.
#[track_caller]
fn ended(peer: &mut Peer, kind: &str) -> ConnectionError {
    let error = peer.core.error().expect("the connection goes on").clone();
    assert!(error.is_peer_fault() && !error.is_clean() && !error.is_link_fault());
    let fault = Fault::new(kind, error.to_string());
    assert_eq!(peer.said().pop(), Some(Frame::Close { channel: None, fault: Some(fault) }));
    assert_eq!(peer.events().pop(), Some(Event::Ended));
    for number in peer.core.diagnostics().channels.into_keys() {
        // What ended well before stays so.
        let end = loop {
            match peer.core.recv(number) {
                Ok(Received::Message(_)) => {}
                end => break end,
            }
        };
        let told = matches!(end, Ok(Received::End) | Err(ReceiveError::Connection(_)));
        assert!(told, "channel {number}: {end:?}");
    }
    // Nothing more is listened to, kept or said.
    peer.raw(&[0xff; 64]).open(id(99));
    assert_eq!(peer.core.error().unwrap().to_string(), error.to_string());
    assert_eq!((peer.said(), peer.events()), (vec![], vec![]));
    error
}

#[track_caller]
fn misbehaved(peer: &mut Peer, expected: PeerMisbehaved) {
    match ended(peer, "ProtocolError") {
        ConnectionError::Misbehaved(found) => assert_eq!(found, expected),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wrong_frame(peer: &mut Peer, expected: FrameError) {
    match ended(peer, expected.fault_kind()) {
        ConnectionError::Frame(found) => assert_eq!(found, expected),
        other => panic!("{other:?}"),
    }
}

// The start.

#[test]
fn no_preamble() {
    let mut peer = Peer::silent(Side::FarEnd, least());
    peer.raw(b"GET / HTTP/1.1\r\n");
    wrong_frame(&mut peer, FrameError::NoPreamble { skipped: 16 });
}

#[test]
fn more_noise_than_is_skipped() {
    let mut peer = Peer::silent(Side::Connector, Config { skip_noise: true, ..least() });
    peer.raw(&[b'.'; 64 << 10]).assert_alive();
    assert_eq!(peer.core.noise().len(), 64 << 10);
    peer.raw(&[b'.'; 8]);
    let error = ended(&mut peer, "ProtocolError");
    assert!(matches!(error, ConnectionError::Frame(FrameError::NoPreamble { .. })), "{error:?}");
}

#[test]
fn a_preamble_that_the_link_has_changed() {
    for (bytes, how) in [
        (&b"\x09EXN\r\n\x1a\n"[..], "strips the eighth bit"),
        (b"\x89EXN\n\x1a\n", "turns CR LF into LF"),
        (b"\x89EXN\r\r\n\x1a\r\n", "turns LF into CR LF"),
        (b"\xc2\x89EXN\r\n\x1a\n", "encodes bytes as UTF-8 text"),
    ] {
        let mut peer = Peer::silent(Side::FarEnd, least());
        peer.raw(bytes);
        wrong_frame(&mut peer, FrameError::Damaged { how });
    }
}

#[test]
fn anything_before_hello() {
    let mut peer = Peer::silent(Side::FarEnd, least());
    peer.raw(&MAGIC).open(id(1));
    misbehaved(&mut peer, PeerMisbehaved::BeforeHello(Kind::Open));
    let mut peer = Peer::silent(Side::FarEnd, least());
    peer.raw(&MAGIC).data(id(1), false, 9);
    misbehaved(&mut peer, PeerMisbehaved::BeforeHello(DATA));
}

#[test]
fn a_close_before_hello_is_a_refusal() {
    let mut peer = Peer::silent(Side::Connector, least());
    let fault = Fault::new("VersionMismatch", "1–1 against 2–3");
    peer.raw(&MAGIC).frame(Frame::Close { channel: None, fault: Some(fault.clone()) });
    match peer.core.error() {
        Some(ConnectionError::Refused(found)) => assert_eq!(*found, fault),
        other => panic!("{other:?}"),
    }
    // Nobody is told what he said himself.
    assert!(!peer.said().iter().any(|frame| matches!(frame, Frame::Close { .. })));
}

#[test]
fn a_second_hello() {
    let mut peer = farend();
    peer.frame(Frame::Hello(Box::new(Hello::new(Limits::LEAST))));
    misbehaved(&mut peer, PeerMisbehaved::SecondHello);
}

#[test]
fn a_hello_with_limits_out_of_range() {
    let mut peer = Peer::silent(Side::FarEnd, least());
    let limits = Limits { max_channels: 255, ..Limits::LEAST };
    peer.raw(&MAGIC).frame(Frame::Hello(Box::new(Hello::new(limits))));
    let most = u64::from(u32::MAX / 2);
    let (name, least) = ("max_channels", 256);
    wrong_frame(&mut peer, FrameError::LimitOutOfRange { name, found: 255, least, most });
}

#[test]
fn a_hello_in_another_version() {
    let mut peer = Peer::silent(Side::FarEnd, least());
    let theirs = Versions(2, 3);
    let hello = Hello { versions: theirs, ..Hello::new(Limits::LEAST) };
    peer.raw(&MAGIC).frame(Frame::Hello(Box::new(hello)));
    wrong_frame(&mut peer, FrameError::VersionMismatch { ours: VERSIONS, theirs });
}

#[test]
fn a_hello_or_a_fault_that_is_no_cbor_map() {
    let mut peer = Peer::silent(Side::FarEnd, least());
    peer.raw(&MAGIC).framed(Kind::Hello, 0, b"\xff");
    let error = ended(&mut peer, "ProtocolError");
    let what = "HELLO";
    assert!(
        matches!(&error, ConnectionError::Frame(FrameError::Cbor { what: found, .. }) if *found == what),
        "{error:?}"
    );
    let mut peer = with_channel();
    peer.framed(Kind::Close, 1, b"\x01");
    let error = ended(&mut peer, "ProtocolError");
    let what = "the fault in a CLOSE";
    assert!(
        matches!(&error, ConnectionError::Frame(FrameError::Cbor { what: found, .. }) if *found == what),
        "{error:?}"
    );
}

#[test]
fn a_promise_of_a_sign_of_life_in_half_a_billion_years_is_harmless() {
    let hello = Hello { keepalive_ms: u64::MAX, ..Hello::new(Limits::LEAST) };
    let mut peer = Peer::greeted_with(Side::FarEnd, least(), hello);
    let _ = peer.core.next_deadline();
    peer.core.handle_timeout(peer.now);
    peer.assert_alive();
}

// Frames.

#[test]
fn kinds_and_formats_that_nobody_knows() {
    let mut peer = farend();
    peer.raw(&[0x0b, 0, 0, 0, 0, 0, 0, 7]);
    wrong_frame(&mut peer, FrameError::UnknownKind { kind: 0x0b, channel: 7 });
    let mut peer = with_channel();
    peer.raw(&[0x13, 0, 0, 0, 0, 0, 0, 1]);
    wrong_frame(&mut peer, FrameError::UnknownFormat { format: 3, channel: 1 });
    // These may be ignored.
    let mut peer = farend();
    peer.raw(&[0xff, 0, 0, 2, 0, 0, 0, 7, 1, 2]).open(id(1)).assert_alive();
}

#[test]
fn frames_longer_than_announced_are_refused_by_their_header() {
    let most = least().max_frame;
    let found = most + 1;
    let [_, l0, l1, l2] = found.to_be_bytes();
    let mut peer = with_channel();
    peer.raw(&[0x10, l0, l1, l2, 0, 0, 0, 1]);
    wrong_frame(&mut peer, FrameError::TooLong { kind: DATA, found, most });
    let mut peer = farend();
    peer.raw(&[0xff, l0, l1, l2, 0, 0, 0, 1]);
    wrong_frame(&mut peer, FrameError::UnknownTooLong { found, most });
    let mut peer = with_channel();
    peer.data(id(1), false, most as usize + 8).assert_alive();
}

#[test]
fn payloads_of_a_size_that_the_kind_cannot_have() {
    let none = "none";
    for (kind, channel, payload, expected) in [
        (Kind::Open, 1, &[0][..], none),
        (Kind::Exec, 1, &[0], none),
        (Kind::Eof, 1, &[0], none),
        (Kind::Interrupt, 1, &[0], none),
        (Kind::Credit, 1, &[0, 0, 1], "4 bytes"),
        (Kind::Credit, 0, &[0; 5], "4 bytes"),
        (Kind::Ping, 0, &[0; 7], "8 bytes"),
        (Kind::Pong, 0, &[0; 9], "8 bytes"),
        (Kind::Terminate, 0, &[0; 4], "8 bytes"),
    ] {
        let mut peer = farend();
        peer.framed(kind, channel, payload);
        let found = payload.len();
        wrong_frame(&mut peer, FrameError::PayloadSize { kind, found, expected });
    }
    let mut peer = connector();
    peer.framed(Kind::Output, 0, &[]);
    let (kind, expected) = (Kind::Output, "a stream number and bytes");
    wrong_frame(&mut peer, FrameError::PayloadSize { kind, found: 0, expected });
}

#[test]
fn zero_where_a_channel_belongs_and_the_other_way_round() {
    for kind in [Kind::Open, Kind::Exec, Kind::Eof, Kind::Interrupt, DATA, MORE] {
        let mut peer = farend();
        peer.framed(kind, 0, &[]);
        let expected = "a channel's number";
        wrong_frame(&mut peer, FrameError::ChannelNumber { kind, found: 0, expected });
    }
    for (kind, len) in [(Kind::Terminate, 8), (Kind::Ping, 8), (Kind::Pong, 8), (Kind::Status, 0)] {
        let mut peer = with_channel();
        peer.framed(kind, 1, &vec![0; len]);
        wrong_frame(&mut peer, FrameError::ChannelNumber { kind, found: 1, expected: "0" });
    }
    let mut peer = Peer::silent(Side::FarEnd, least());
    peer.raw(&MAGIC).framed(Kind::Hello, 1, &[]);
    let kind = Kind::Hello;
    wrong_frame(&mut peer, FrameError::ChannelNumber { kind, found: 1, expected: "0" });
}

#[test]
fn credit_of_nothing_and_output_from_nowhere() {
    let mut peer = farend();
    peer.credit(None, 0);
    wrong_frame(&mut peer, FrameError::NoCredit);
    let mut peer = connector();
    peer.framed(Kind::Output, 0, &[3, b'x']);
    wrong_frame(&mut peer, FrameError::OutputStream { found: 3 });
}

#[test]
fn frames_that_only_the_other_side_may_send() {
    for (kind, frame) in [
        (Kind::Exec, Frame::Exec(id(2))),
        (Kind::Interrupt, Frame::Interrupt(id(2))),
        (Kind::Terminate, Frame::Terminate(Terminate { grace_ms: 0, kill_ms: 0 })),
    ] {
        let mut peer = connector();
        peer.frame(frame);
        misbehaved(&mut peer, PeerMisbehaved::WrongSide(kind));
    }
    let mut peer = farend();
    let bytes = Bytes::from_static(b"x");
    peer.frame(Frame::Output { channel: None, stream: OutputStream::Stdout, bytes });
    misbehaved(&mut peer, PeerMisbehaved::WrongSide(Kind::Output));
}

// Numbers.

#[test]
fn numbers_out_of_order() {
    for (before, found, expected) in
        [(0, 3, 1), (0, 2, 1), (1, 1, 3), (1, 5, 3), (3, 1, 5), (3, u32::MAX, 5)]
    {
        let mut peer = farend();
        for number in (1..=before).step_by(2) {
            peer.open(id(number));
        }
        peer.assert_alive().open(id(found));
        let (found, expected) = (id(found), Some(id(expected)));
        misbehaved(&mut peer, PeerMisbehaved::WrongNumber { found, expected });
    }
}

#[test]
fn a_number_is_never_used_twice() {
    let mut peer = farend();
    peer.open(id(1)).close(id(1));
    peer.core.forget(id(1));
    assert_eq!(peer.core.channels_kept(), 0);
    peer.open(id(1));
    let expected = Some(id(3));
    misbehaved(&mut peer, PeerMisbehaved::WrongNumber { found: id(1), expected });
}

#[test]
fn more_channels_than_announced() {
    let mut peer = farend();
    for nth in 0..256 {
        peer.open(id(2 * nth + 1));
    }
    peer.assert_alive().open(id(513));
    misbehaved(&mut peer, PeerMisbehaved::TooManyChannels(256));
}

#[test]
fn a_flood_of_opened_and_closed_channels_is_bounded_while_nobody_accepts() {
    let mut peer = farend();
    for nth in 0..256 {
        peer.open(id(2 * nth + 1)).close(id(2 * nth + 1));
    }
    peer.assert_alive();
    assert_eq!((peer.core.channels_kept(), peer.said()), (256, vec![]));
    // Each one that is taken notice of makes room for one more.
    peer.core.accept(id(1));
    assert_eq!(peer.said(), [Frame::Close { channel: Some(id(1)), fault: None }]);
    peer.open(id(513)).assert_alive().open(id(515));
    misbehaved(&mut peer, PeerMisbehaved::TooManyChannels(256));
}

#[test]
fn frames_on_channels_that_were_never_opened() {
    type Send = fn(&mut Peer) -> &mut Peer;
    let table: [(Kind, Send); 6] = [
        (DATA, |peer| peer.data(id(1), false, 8)),
        (MORE, |peer| peer.data(id(1), true, 9)),
        (Kind::Eof, |peer| peer.frame(Frame::Eof(id(1)))),
        (Kind::Close, |peer| peer.close(id(1))),
        (Kind::Credit, |peer| peer.credit(Some(id(1)), 1)),
        (Kind::Interrupt, |peer| peer.frame(Frame::Interrupt(id(1)))),
    ];
    for (kind, send) in table {
        let mut peer = farend();
        send(&mut peer);
        misbehaved(&mut peer, PeerMisbehaved::NotOpen { kind, channel: id(1) });

        // Over, and still in the hands of the application.
        let mut peer = with_channel();
        peer.close(id(1));
        assert_eq!(peer.core.channels_kept(), 1);
        send(&mut peer);
        misbehaved(&mut peer, PeerMisbehaved::NotOpen { kind, channel: id(1) });

        // Closed by the peer alone: we have not taken notice of it.
        let mut peer = farend();
        peer.open(id(1)).close(id(1)).assert_alive();
        send(&mut peer);
        misbehaved(&mut peer, PeerMisbehaved::AfterClose { kind, channel: id(1) });
    }
    // A number of ours that we have not given out.
    let mut peer = farend();
    peer.data(id(2), false, 8);
    misbehaved(&mut peer, PeerMisbehaved::NotOpen { kind: DATA, channel: id(2) });
}

#[test]
fn data_or_a_second_eof_after_eof() {
    let mut peer = with_channel();
    peer.frame(Frame::Eof(id(1))).data(id(1), false, 8);
    misbehaved(&mut peer, PeerMisbehaved::AfterEof { kind: DATA, channel: id(1) });
    let mut peer = with_channel();
    peer.frame(Frame::Eof(id(1))).frame(Frame::Eof(id(1)));
    misbehaved(&mut peer, PeerMisbehaved::AfterEof { kind: Kind::Eof, channel: id(1) });
    // Credit and the CLOSE still belong there.
    let mut peer = with_channel();
    peer.frame(Frame::Eof(id(1))).credit(Some(id(1)), 1).close(id(1)).assert_alive();
}

// Messages.

#[test]
fn eof_inside_a_message() {
    let mut peer = with_channel();
    peer.data(id(1), true, 9).frame(Frame::Eof(id(1)));
    misbehaved(&mut peer, PeerMisbehaved::EofInsideMessage(id(1)));
}

#[test]
fn empty_fragments() {
    let mut peer = with_channel();
    peer.data(id(1), true, 8);
    misbehaved(&mut peer, PeerMisbehaved::EmptyFragment(id(1)));
    let mut peer = with_channel();
    peer.data(id(1), true, 9).data(id(1), true, 8);
    misbehaved(&mut peer, PeerMisbehaved::EmptyFragment(id(1)));
}

#[test]
fn formats_not_announced_or_changed_on_the_way() {
    let payload = Bytes::from_static(b"x");
    let data =
        |more, format| Frame::Data { channel: id(1), more, format, payload: payload.clone() };
    let mut peer = with_channel();
    peer.frame(data(false, Format::Marshal));
    let (channel, format) = (id(1), Format::Marshal);
    misbehaved(&mut peer, PeerMisbehaved::FormatNotAnnounced { channel, format });
    let mut peer = with_channel();
    peer.frame(data(true, Format::Bytes)).frame(data(false, Format::Cbor));
    misbehaved(&mut peer, PeerMisbehaved::FormatChanged(id(1)));
    let mut config = least();
    config.hello.formats.push("marshal".into());
    let mut peer = Peer::greeted(Side::FarEnd, config);
    peer.open(id(1)).frame(data(false, Format::Marshal)).assert_alive();
}

#[test]
fn a_message_longer_than_announced_by_one_byte() {
    let mut peer = with_channel();
    // Its credit comes back while it arrives: 64 fragments of 16 KiB are the 1 MiB allowed.
    for _ in 0..64 {
        peer.data(id(1), true, 8 + (16 << 10)).assert_alive();
    }
    let most = 1 << 20;
    assert_eq!(peer.core.diagnostics().unread, most);
    peer.data(id(1), false, 9);
    let most = most as u64;
    misbehaved(&mut peer, PeerMisbehaved::MessageTooLong { channel: id(1), most });
    let mut peer = with_channel();
    for _ in 0..64 {
        peer.data(id(1), true, 8 + (16 << 10));
    }
    peer.data(id(1), false, 8).assert_alive();
    assert_eq!(common::recv_one(&mut peer.core, id(1)).payload.len(), 1 << 20);
}

// Credit.

#[test]
fn overspending_a_channel_by_one_byte() {
    for last in [8, 9, 5_000] {
        let mut peer = with_channel();
        let credit = least().channel_window as usize;
        let first = credit - (last - 1);
        for cost in [first / 8; 7].into_iter().chain([first - first / 8 * 7]) {
            peer.data(id(1), false, cost).assert_alive();
        }
        peer.data(id(1), false, last);
        let (channel, cost, credit) = (id(1), last as u32, last as u32 - 1);
        misbehaved(&mut peer, PeerMisbehaved::Overspent { channel, cost, credit });
    }
}

#[test]
fn what_was_read_and_not_given_back_yet_is_no_credit() {
    let mut peer = with_channel();
    for _ in 0..4 {
        peer.data(id(1), false, 10_000);
    }
    assert_eq!(peer.said(), []);
    common::recv_one(&mut peer.core, id(1));
    assert_eq!(peer.said(), [], "10,000 of 65,536 are not worth a frame");
    peer.data(id(1), false, 15_537).assert_alive().data(id(1), false, 10_000);
    let credit = 65_536 - 40_000 - 15_537;
    let expected = PeerMisbehaved::Overspent { channel: id(1), cost: 10_000, credit };
    misbehaved(&mut peer, expected);
}

#[test]
fn overspending_the_connection_by_one_byte() {
    let mut peer = farend();
    for number in [1, 3, 5, 7, 9] {
        peer.open(id(number));
    }
    for number in [1, 3, 5] {
        for _ in 0..8 {
            peer.data(id(number), false, 8 << 10);
        }
    }
    for _ in 0..7 {
        peer.data(id(7), false, 8 << 10);
    }
    peer.data(id(7), false, (8 << 10) - 99).assert_alive().data(id(9), false, 100);
    misbehaved(&mut peer, PeerMisbehaved::ConnectionOverspent { cost: 100, credit: 99 });
}

#[test]
fn credit_beyond_the_largest_window() {
    for (channel, window) in [(None, 256 << 10), (Some(id(1)), 64 << 10)] {
        let mut peer = with_channel();
        peer.credit(channel, MAX_WINDOW - window).assert_alive().credit(channel, 1);
        misbehaved(&mut peer, PeerMisbehaved::TooMuchCredit(channel));
        let mut peer = with_channel();
        peer.credit(channel, u32::MAX);
        misbehaved(&mut peer, PeerMisbehaved::TooMuchCredit(channel));
    }
}

#[test]
fn a_peer_that_never_gives_credit_blocks_the_sender_in_bounded_memory() {
    let mut peer = with_channel();
    let mut sent = 0;
    let message = loop {
        match peer.core.try_send(id(1), costing(1_000)) {
            Ok(()) => sent += 1,
            Err(TrySendError::Blocked(message)) => break message,
            Err(TrySendError::Failed(error)) => panic!("{error}"),
        }
        peer.said();
    };
    assert_eq!((sent, &message), (65, &costing(1_000)), "64 KiB of credit and not a byte more");
    assert_eq!(peer.core.diagnostics().unsent, 0);
    assert_eq!(peer.core.status().waiting_for_credit, [id(1)]);
    assert_eq!(peer.events(), [Event::Opened { channel: id(1), exec: false }]);
    // One byte short of what is missing, then the last one.
    peer.credit(Some(id(1)), 1_000 - (65_536 - 65_000) - 1);
    let result = peer.core.try_send(id(1), message);
    let Err(TrySendError::Blocked(message)) = result else { panic!("{result:?}") };
    peer.events();
    peer.credit(Some(id(1)), 1);
    assert_eq!(peer.events(), [Event::Writable(id(1))]);
    peer.core.try_send(id(1), message).unwrap();
    peer.assert_alive();
}

#[test]
fn a_long_message_to_a_peer_that_never_gives_credit_is_kept_once() {
    let mut peer = with_channel();
    peer.core.try_send(id(1), Message::bytes(vec![7; 1 << 20])).unwrap();
    let blocked = peer.core.try_send(id(1), Message::bytes("x"));
    assert!(matches!(blocked, Err(TrySendError::Blocked(_))));
    peer.said();
    let diagnostics = peer.core.diagnostics();
    assert!(diagnostics.unsent < 1 << 20, "{diagnostics:?}");
    assert!(diagnostics.channels[&id(1)].send < 16 << 10, "all credit is used");
    peer.core.check().unwrap();
}

// Floods.

#[test]
fn a_flood_of_pings_and_questions() {
    let mut peer = farend();
    for _ in 0..64 {
        peer.frame(Frame::Ping([0; 8])).frame(Frame::Status(Bytes::new()));
    }
    peer.assert_alive().frame(Frame::Ping([0; 8]));
    misbehaved(&mut peer, PeerMisbehaved::Flood { kind: Kind::Ping, most: 64 });
    let mut peer = farend();
    for _ in 0..64 {
        peer.frame(Frame::Status(Bytes::new()));
        peer.said();
    }
    peer.assert_alive().frame(Frame::Status(Bytes::new()));
    misbehaved(&mut peer, PeerMisbehaved::Flood { kind: Kind::Status, most: 64 });
}

#[test]
fn pings_that_are_answered_are_no_flood() {
    let mut peer = farend();
    for round in 0..100u64 {
        for nth in 0..64 {
            peer.frame(Frame::Ping((64 * round + nth).to_be_bytes()));
        }
        let answers = (0..64).map(|nth| Frame::Pong((64 * round + nth).to_be_bytes()));
        assert_eq!(peer.said(), answers.collect::<Vec<_>>());
    }
    peer.assert_alive();
}

#[test]
fn answers_that_nobody_asked_for() {
    let mut peer = farend();
    peer.frame(Frame::Pong([0; 8]));
    misbehaved(&mut peer, PeerMisbehaved::WrongPong { token: 0, awaited: None });
    let mut peer = farend();
    let now = peer.now;
    peer.core.ping(now, 5);
    peer.frame(Frame::Pong(6u64.to_be_bytes()));
    misbehaved(&mut peer, PeerMisbehaved::WrongPong { token: 6, awaited: Some(5) });
    let mut peer = farend();
    peer.frame(Frame::Status(Bytes::from_static(b"\xa0")));
    misbehaved(&mut peer, PeerMisbehaved::Unasked(Kind::Status));
}

// Afterwards.

#[test]
fn every_verb_after_the_end_tells_the_reason_and_says_nothing() {
    let mut peer = with_channel();
    peer.open(id(3)).close(id(3)).open(id(5)).credit(None, 0);
    wrong_frame(&mut peer, FrameError::NoCredit);
    assert!(peer.core.open(false).is_err());
    let failed = peer.core.try_send(id(1), Message::bytes("x"));
    assert!(matches!(failed, Err(TrySendError::Failed(SendError::Connection(_)))));
    assert!(matches!(peer.core.closed(id(1)), Some(Err(ReceiveError::Connection(_)))));
    let now = peer.now;
    assert!(!peer.core.ping(now, 1) && !peer.core.ask_status());
    assert!(peer.core.is_closed(id(1)) && peer.core.next_deadline().is_none());
    peer.core.accept(id(3));
    peer.core.finish(id(1));
    peer.core.interrupt(id(1));
    peer.core.terminate(Terminate { grace_ms: 0, kill_ms: 0 });
    peer.core.answer_status(Bytes::from_static(b"\xa0"));
    peer.core.output(None, OutputStream::Stdout, Bytes::from_static(b"x"));
    peer.core.drain_connection();
    peer.core.close_connection(None);
    for number in [1, 3, 5] {
        peer.core.close(id(number), None);
        peer.core.discard(id(number));
        peer.core.forget(id(number));
    }
    assert_eq!((peer.said(), peer.events()), (vec![], vec![]));
    assert_eq!(peer.core.channels_kept(), 0);
}

#[test]
fn bytes_after_the_end_are_not_kept() {
    let mut peer = farend();
    peer.credit(None, 0);
    for _ in 0..100 {
        peer.raw(&[0; 10_000]);
    }
    assert!(peer.core.noise().is_empty());
    assert!(peer.core.take_read_buf().len() < 10_000, "what nobody will read has piled up");
}
