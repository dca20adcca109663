//! What passes by the messages: pings, questions, interrupts, what programs print.

use std::collections::VecDeque;

use bytes::Bytes;
use execnet_channel::core::Event;
use execnet_proto::{ChannelId, OutputStream, Side, Terminate};

use super::{LENGTHS, World};

/// What one application has sent and the other has not been told of, or not answered.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Signals {
    /// Tokens, and the next one.
    pings: VecDeque<u64>,
    next: u64,
    /// Questions for the status without an answer, and those of the peer that are to be answered.
    asked: usize,
    to_answer: usize,
    /// Contents of the answers given.
    answers: VecDeque<u8>,
    terminates: VecDeque<Terminate>,
    /// Where from, how many bytes, and what they are filled with.
    printed: VecDeque<(ChannelId, OutputStream, usize, u8)>,
}

impl Signals {
    /// Whether all has come, and all that asks for an answer has one.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self { next: self.next, ..Self::default() }
    }
}

impl World {
    pub(super) fn signal(&mut self, side: Side, id: ChannelId, which: u8, arg: u8) {
        let connector = side == Side::Connector;
        match which {
            0 => self.ping(side),
            1 => {
                let asked = self.sim.side(side).ask_status();
                self.app(side).signals.asked += usize::from(asked);
            }
            2 => drop(self.answer(side)),
            3 if connector => {
                self.sim.a().interrupt(id);
                self.known(side, id).interrupts += 1;
            }
            4 if connector && !self.has_ended(side) => {
                let terminate = Terminate { grace_ms: arg.into(), kill_ms: 7 };
                self.sim.a().terminate(terminate);
                self.connector.signals.terminates.push_back(terminate);
            }
            3 | 4 => self.print(id, LENGTHS[usize::from(arg)]),
            5 if self.may_drain => self.drain(side),
            _ => self.ask_for_close(side, id),
        }
    }

    fn ping(&mut self, side: Side) {
        let signals = &mut self.app(side).signals;
        signals.next += 1;
        let token = signals.next;
        let now = self.sim.now();
        if self.sim.side(side).ping(now, token) {
            self.app(side).signals.pings.push_back(token);
        }
    }

    /// Answers the oldest question of the peer, if there is one.
    pub(super) fn answer(&mut self, side: Side) -> bool {
        if self.app(side).signals.to_answer == 0 {
            return false;
        }
        self.next = self.next.wrapping_add(1);
        let content = self.next;
        self.sim.side(side).answer_status(Bytes::from(vec![content]));
        let signals = &mut self.app(side).signals;
        signals.to_answer -= 1;
        signals.answers.push_back(content);
        true
    }

    /// The far end prints, for its program on a channel; as far as there is room for it.
    fn print(&mut self, id: ChannelId, len: usize) {
        if len == 0 || self.has_ended(Side::FarEnd) || !self.sim.b().wants_output() {
            return;
        }
        self.next = self.next.wrapping_add(1);
        let (filling, stream) = (self.next, OutputStream::Stderr);
        self.sim.b().output(Some(id), stream, vec![filling; len].into());
        self.far_end.signals.printed.push_back((id, stream, len, filling));
    }

    pub(super) fn take_signal(&mut self, side: Side, event: Event) {
        let peer = side.peer();
        match event {
            Event::Pong { token, .. } => {
                let expected = self.app(side).signals.pings.pop_front();
                assert_eq!(expected, Some(token), "{side:?}: not the answer to its oldest ping");
            }
            Event::StatusAsked => {
                self.app(side).signals.to_answer += 1;
                let (open, asked) = (self.open_questions(side), self.app(peer).signals.asked);
                assert!(open <= asked, "{side:?}: a question that nobody asked");
            }
            Event::Status(answer) => {
                let expected = self.app(peer).signals.answers.pop_front();
                assert_eq!(expected.as_ref().map(std::slice::from_ref), Some(&answer[..]));
                self.app(side).signals.asked -= 1;
            }
            Event::Interrupt(id) => {
                let sent = &mut self.known(peer, id).interrupts;
                *sent = sent.checked_sub(1).expect("an interrupt that was sent");
            }
            Event::Terminate(terminate) => {
                let expected = self.app(peer).signals.terminates.pop_front();
                assert_eq!(expected, Some(terminate), "{side:?}: not what was asked of it");
            }
            Event::Output { channel, stream, bytes } => self.take_output(channel, stream, &bytes),
            other => panic!("{other:?}"),
        }
    }

    /// Questions of the peer that have come, and whose answers have not come back.
    fn open_questions(&mut self, side: Side) -> usize {
        let signals = &self.app(side).signals;
        signals.to_answer + signals.answers.len()
    }

    fn take_output(&mut self, id: Option<ChannelId>, stream: OutputStream, bytes: &[u8]) {
        let front = self.far_end.signals.printed.front_mut().expect("output that was printed");
        assert_eq!((id, stream), (Some(front.0), front.1), "output from elsewhere");
        assert!(bytes.iter().all(|&byte| byte == front.3), "output has changed");
        front.2 = front.2.checked_sub(bytes.len()).expect("no more output than was printed");
        if front.2 == 0 {
            self.far_end.signals.printed.pop_front();
        }
    }
}
