//! Every way to read, mixed, from several tasks, given up at any time: a poll that had to wait is woken when there is
//! something, what comes is in order, and its credit goes back once.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use execnet_channel::{Channel, Message, ReceiveError};
use execnet_proto::Fault;
use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::support::{Ends, message, now, taken};

#[derive(Debug, Clone, Copy)]
enum How {
    Recv,
    Stream,
    Readable,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Finish,
    Close,
    Fault,
    /// By the reader's own side.
    Here,
    Broken,
    BrokenHere,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A message of such a length.
    Send(usize),
    /// A message for another reader.
    Other,
    /// The bytes arrive.
    Run,
    /// One of the tasks polls once.
    Poll(How, usize),
    Try,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![4 => Just(How::Recv), 1 => Just(How::Stream), 1 => Just(How::Readable)];
    prop_oneof![
        4 => Just(Step::Send(32)),
        1 => prop_oneof![Just(0), Just(10_000), Just(70_000), Just(1 << 20)].prop_map(Step::Send),
        1 => Just(Step::Other),
        6 => Just(Step::Run),
        10 => (how, prop_oneof![4 => Just(0), 1 => Just(1usize)]).prop_map(|(how, task)| Step::Poll(how, task)),
        1 => Just(Step::Try),
    ]
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn numbered(number: usize, len: usize) -> Message {
    let mut payload = vec![number as u8; len];
    if let Some(first) = payload.first_chunk_mut() {
        *first = (number as u64).to_be_bytes();
    }
    Message::bytes(payload)
}

/// What is read, beside what was sent.
struct Reading {
    ends: Ends,
    far: Channel,
    tasks: [Arc<Wakes>; 2],
    /// Who was told to wait, and has not been polled since.
    waits: Option<usize>,
    sent: Vec<Message>,
    /// How many of these have arrived at least, and have been read.
    arrived: usize,
    read: usize,
    ended: bool,
}

type Got = Result<Option<Message>, ReceiveError>;

impl Reading {
    /// The bytes arrive. What is long may have to wait for the reader.
    fn run(&mut self) -> bool {
        self.ends.run();
        let all = self.ends.a.mux.status().waiting_for_credit.is_empty();
        if all && !self.ended {
            self.arrived = self.sent.len();
        }
        all
    }

    fn take(&mut self, got: Got) {
        match got {
            Ok(Some(message)) => {
                assert_eq!(message, self.sent[self.read]);
                self.read += 1;
            }
            Ok(None) | Err(_) => {
                assert!(self.read >= self.arrived, "{got:?}");
                self.ended = true;
            }
        }
    }

    fn poll(&mut self, how: How, task: usize) {
        let wakes = self.tasks[task].clone();
        wakes.0.store(0, Ordering::Relaxed);
        let waker = Waker::from(wakes);
        let cx = &mut Context::from_waker(&waker);
        self.waits = None;
        let got = match how {
            How::Recv => pin!(self.far.recv()).poll(cx),
            How::Stream => self.far.poll_next_unpin(cx).map(Option::transpose),
            How::Readable => {
                let ready = pin!(self.far.readable()).poll(cx);
                ready.map(|_| self.far.try_recv().expect("it was to be readable"))
            }
        };
        match got {
            Poll::Ready(got) => self.take(got),
            Poll::Pending => {
                assert!(self.read >= self.arrived && !self.ended, "it waits for nothing");
                self.waits = Some(task);
            }
        }
    }

    fn try_recv(&mut self) {
        match self.far.try_recv() {
            Some(got) => self.take(got),
            None => assert!(self.read >= self.arrived && !self.ended),
        }
    }

    fn woken(&self) -> bool {
        let wakes = |task: usize| self.tasks[task].0.load(Ordering::Relaxed);
        self.waits.is_none_or(|task| wakes(task) > 0)
    }

    fn check(&self) {
        assert!(self.woken() || self.read >= self.arrived && !self.ended, "it was not woken");
    }
}

fn play(steps: &[Step], end: End, after: &[Step]) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let _context = runtime.enter();
    let mut ends = Ends::new(1 << 20);
    let (mut near, far) = ends.open();
    let (mut other, mut other_far) = ends.open();
    let mut reading = Reading {
        ends,
        far,
        tasks: Default::default(),
        waits: None,
        sent: Vec::new(),
        arrived: 0,
        read: 0,
        ended: false,
    };
    for step in steps {
        match *step {
            Step::Send(len) => {
                let message = numbered(reading.sent.len(), len);
                if taken(near.send(message.clone())) {
                    reading.sent.push(message);
                }
            }
            Step::Other => {
                now(other.send(message(0))).unwrap();
                reading.run();
                now(other_far.recv()).unwrap().unwrap();
            }
            Step::Run => {
                reading.run();
            }
            Step::Poll(how, task) => reading.poll(how, task),
            Step::Try => reading.try_recv(),
        }
        reading.check();
    }
    let fault = Fault::new("Oops", "");
    let mut all = true;
    match end {
        End::Finish => near.finish(),
        End::Close => near.close(),
        End::Fault => near.close_with_error(fault),
        End::Here => {
            reading.far.close();
            all = false;
        }
        End::Broken => {
            all = reading.run();
            reading.ends.a.mux.close(None);
        }
        End::BrokenHere => {
            reading.ends.b.mux.close(None);
            all = false;
        }
    }
    reading.ended = !all;
    reading.ended |= reading.run();
    reading.check();
    for step in after {
        match *step {
            Step::Run => {
                reading.run();
            }
            Step::Poll(how, task) => reading.poll(how, task),
            Step::Try => reading.try_recv(),
            Step::Send(_) | Step::Other => {}
        }
        reading.check();
    }
    // From now on only when it is woken.
    reading.ended = false;
    reading.ends.run();
    while reading.woken() && !reading.ended {
        reading.poll(How::Recv, 0);
        reading.ends.run();
    }
    assert!(reading.ended, "it was not told of the end");
    if all {
        assert_eq!(reading.read, reading.sent.len());
    }
    let Reading { mut ends, far, tasks, .. } = reading;
    drop((other, other_far));
    ends.run();
    if ends.b.mux.error().is_none() {
        assert_eq!(ends.b.mux.status().unread_total, 0);
        assert!(format!("{:?}", ends.b.mux).contains(" advanced: 0,"));
    }
    drop((near, far));
    ends.run();
    for task in tasks {
        assert_eq!(Arc::strong_count(&task), 1, "it is kept");
    }
}

proptest! {
    #[test]
    fn whoever_waits_is_woken_and_everything_is_read_in_order(
        steps in prop::collection::vec(step(), 0..80),
        end in prop_oneof![
            Just(End::Finish),
            Just(End::Close),
            Just(End::Fault),
            Just(End::Here),
            Just(End::Broken),
            Just(End::BrokenHere),
        ],
        after in prop::collection::vec(step(), 0..8),
    ) {
        play(&steps, end, &after);
    }
}
