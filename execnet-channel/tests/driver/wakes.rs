//! Who is woken, and how often: everybody who can go on, and nobody else.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use execnet_channel::{Channel, Config, Request};
use tokio::task::coop::unconstrained;

use super::support::{Ends, Task, message, now, poll_times, taken, zeros};

#[tokio::test]
async fn many_sends_wake_the_driver_once() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, _far) = ends.open();
    ends.run();
    for number in 0..1_000 {
        now(channel.send(message(number))).unwrap();
    }
    assert_eq!(ends.a.driver.wakes(), 1);
    // It has written everything and is not woken by its own doing.
    ends.a.driver.poll();
    assert_eq!(ends.a.driver.wakes(), 0);
}

#[tokio::test]
async fn many_messages_wake_their_reader_once_and_no_other() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let (_idle, mut idle_far) = ends.open();
    let mut reader = Task::new(far.recv());
    let mut other = Task::new(idle_far.recv());
    assert!(!reader.poll() && !other.poll());
    for number in 0..1_000 {
        now(channel.send(message(number))).unwrap();
    }
    ends.run();
    assert_eq!((reader.wakes(), other.wakes()), (1, 0));
    assert!(reader.poll());
    drop(reader);
    for number in 1..1_000 {
        assert_eq!(now(far.recv()).unwrap(), Some(message(number)));
    }
    ends.run();
    assert_eq!(other.wakes(), 0);
}

#[tokio::test]
async fn a_blocked_sender_is_woken_once_by_credit_and_not_before() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let mut sent = 0;
    while taken(channel.send(zeros(992))) {
        sent += 1;
        ends.run();
    }
    assert_eq!(sent, (256 << 10) / 1_000);
    let mut sender = Task::new(channel.send(zeros(992)));
    assert!(!sender.poll());
    let mut read = 0;
    let wakes = loop {
        now(far.recv()).unwrap();
        read += 1;
        ends.run();
        match sender.wakes() {
            0 => assert!(read < sent, "everything was read, and nobody told the sender"),
            wakes => break wakes,
        }
    };
    // Half of the window; a reader gives credit back 64 KiB at a time.
    assert!(read * 1_000 >= 128 << 10 && read * 1_000 <= (128 << 10) + (64 << 10), "{read}");
    assert_eq!(wakes, 1);
    assert!(sender.poll(), "woken, and still blocked");
}

#[tokio::test]
async fn taking_what_needs_no_answer_does_not_wake_the_driver() {
    let mut ends = Ends::new(1 << 20);
    let mut channel = ends.a.mux.open().unwrap();
    now(channel.send(message(0))).unwrap();
    ends.run();
    let mut far = ends.b.accept();
    assert_eq!(ends.b.driver.wakes(), 0, "accepting sends nothing");
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    assert_eq!(ends.b.driver.wakes(), 0, "40 bytes of credit are not worth a frame");
    assert!(poll_times(1, far.recv()).is_none());
    assert_eq!(ends.b.driver.wakes(), 0);
}

#[tokio::test]
async fn a_driver_that_waits_for_the_link_is_not_woken_by_senders() {
    let mut ends = Ends::new(1 << 10);
    let (mut channel, _far) = ends.open();
    now(channel.send(zeros(4_000))).unwrap();
    ends.a.driver.poll_if_woken();
    for number in 0..100 {
        now(channel.send(message(number))).unwrap();
    }
    assert_eq!(ends.a.driver.wakes(), 0);
}

#[tokio::test]
async fn a_driver_without_credit_is_not_woken_by_senders() {
    let small = Config { connection_window: 256 << 10, ..Config::default() };
    let mut ends = Ends::with(1 << 20, Config::default(), small);
    let mut channels: Vec<_> = (0..30).map(|_| ends.a.mux.open().unwrap()).collect();
    for channel in &mut channels {
        now(channel.send(zeros(20_000))).unwrap();
    }
    ends.run();
    assert!(ends.a.mux.status().send_credit < 20_008, "the connection's credit is used up");
    for channel in &mut channels[20..] {
        poll_times(1, channel.send(zeros(20_000)));
    }
    assert_eq!(ends.a.driver.wakes(), 0);
}

#[tokio::test]
async fn both_halves_may_wait_for_the_close() {
    let mut ends = Ends::new(1 << 20);
    let (channel, mut far) = ends.open();
    let (sender, receiver) = channel.split();
    let mut first = Task::new(sender.wait_close());
    let mut second = Task::new(receiver.wait_close());
    assert!(!first.poll() && !second.poll());
    far.close();
    ends.run();
    assert_eq!((first.wakes(), second.wakes()), (1, 1));
    assert!(first.poll() && second.poll());
}

#[tokio::test]
async fn everybody_is_told_of_the_end() {
    let mut ends = Ends::new(1 << 20);
    let (channel, _far) = ends.open();
    let (mut sender, mut receiver) = channel.split();
    while taken(sender.send(zeros(10_000))) {
        ends.run();
    }
    let (mux, other) = (ends.a.mux.clone(), ends.a.mux.clone());
    let mut blocked = Task::new(sender.send(zeros(10_000)));
    let mut reader = Task::new(receiver.recv());
    let mut closed = Task::new(mux.closed());
    let mut again = Task::new(other.closed());
    let mut incoming = Task::new(ends.a.incoming.next());
    let mut ping = Task::new(mux.ping());
    let mut status = Task::new(mux.peer_status());
    let waiting = !blocked.poll()
        && !reader.poll()
        && !closed.poll()
        && !again.poll()
        && !incoming.poll()
        && !ping.poll()
        && !status.poll();
    assert!(waiting);
    // The peer's program ends, and its side of the stream with it.
    ends.a.driver.poll_if_woken();
    drop(ends.b);
    while ends.a.driver.poll_if_woken() {}
    assert!(blocked.poll_if_woken() && blocked.output.unwrap().is_err());
    assert!(reader.poll_if_woken() && reader.output.unwrap().is_err());
    assert!(closed.poll_if_woken() && closed.output.is_some());
    assert!(again.poll_if_woken() && again.output.is_some());
    assert!(incoming.poll_if_woken() && incoming.output.unwrap().is_none());
    assert!(ping.poll_if_woken() && ping.output.unwrap().is_err());
    assert!(status.poll_if_woken() && status.output.unwrap().is_err());
}

#[tokio::test]
async fn a_refused_channel_is_closed_without_anything_else_happening() {
    let ends = Ends::new(1 << 20);
    let Ends { mut a, b } = ends;
    drop(b.incoming);
    let mut driver = b.driver;
    let channel = a.mux.open().unwrap();
    let mut close = Task::new(channel.wait_close());
    assert!(!close.poll());
    while a.driver.poll_if_woken() | driver.poll_if_woken() {}
    assert!(close.poll_if_woken(), "nobody has sent the CLOSE");
    close.output.unwrap().unwrap();
}

#[tokio::test]
async fn a_question_is_told_to_whoever_reads_what_comes_in() {
    let mut ends = Ends::new(1 << 20);
    let mux = ends.a.mux.clone();
    let far = ends.b.mux.clone();
    let mut ask = Task::new(mux.peer_status());
    ask.poll();
    let mut next = Task::new(ends.b.incoming.next());
    next.poll();
    while ends.a.driver.poll_if_woken() | ends.b.driver.poll_if_woken() {}
    assert!(next.poll_if_woken());
    assert!(matches!(next.output, Some(Some(Request::Status))));
    far.answer_status(b"\xa0"[..].into());
    while ends.a.driver.poll_if_woken() | ends.b.driver.poll_if_woken() {}
    assert!(ask.poll_if_woken());
    assert_eq!(ask.output.unwrap().unwrap(), b"\xa0"[..]);
}

/// A waker that owns what its task owned, as those of some executors do: with the last one a channel goes.
#[expect(dead_code, reason = "owned, and not used")]
struct Owner(Mutex<Channel>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// Registers an [`Owner`], gives its last waker but that one up, and then registers another one in its place or drops what it was for.
type Displace = fn(&mut Ends, &mut Channel, Waker);

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "what locks the lock that it holds never comes back")]
async fn wakers_are_dropped_without_the_lock() {
    fn poll(future: impl Future, waker: &Waker) {
        let _ = pin!(unconstrained(future)).poll(&mut Context::from_waker(waker));
    }
    /// Polls one future with the owner, then with another waker.
    fn poll_twice(future: impl Future, owner: Waker) {
        let mut future = pin!(unconstrained(future));
        poll(future.as_mut(), &owner);
        drop(owner);
        poll(future, Waker::noop());
    }
    let ways: [(&str, Displace); 8] = [
        ("read once", |_, channel, owner| poll_twice(channel.recv(), owner)),
        ("read again", |_, channel, owner| {
            poll(channel.recv(), &owner);
            poll_twice(channel.recv(), owner);
        }),
        ("send", |_, channel, owner| {
            while taken(channel.send(zeros(10_000))) {}
            poll_twice(channel.send(zeros(10_000)), owner);
        }),
        ("halves", |ends, _, owner| {
            let (_sender, mut receiver) = ends.open().0.split();
            poll(receiver.recv(), &owner);
            drop(owner);
        }),
        ("close", |ends, _, owner| {
            let (channel, _far) = ends.open();
            poll(channel.wait_close(), &owner);
            drop(owner);
        }),
        ("incoming", |ends, _, owner| poll_twice(ends.a.incoming.next(), owner)),
        ("closed", |ends, _, owner| poll_twice(ends.a.mux.closed(), owner)),
        ("ping", |ends, _, owner| poll_twice(ends.a.mux.ping(), owner)),
    ];
    for (name, displace) in ways {
        let (done, is_done) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let play = move || {
            let _context = runtime.enter();
            let mut ends = Ends::new(1 << 20);
            let (mut channel, _far) = ends.open();
            let (owned, _its_far) = ends.open();
            let owner = Arc::new(Owner(Mutex::new(owned)));
            let gone = Arc::downgrade(&owner);
            displace(&mut ends, &mut channel, Waker::from(owner));
            drop(channel);
            assert!(gone.upgrade().is_none(), "{name}: somebody has it still");
            done.send(()).unwrap();
        };
        let thread = std::thread::spawn(play);
        let came = is_done.recv_timeout(Duration::from_secs(100));
        assert!(came.is_ok() || thread.is_finished(), "{name}: dropped under the lock");
        thread.join().unwrap();
    }
}
