//! What becomes of a writer that is lent to a sender, and of what it writes: whatever happens, the driver goes on with it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use execnet_channel::{Config, ConnectionError, Incoming, Mux, Request};
use execnet_proto::{OutputStream, Side};
use tokio::io::duplex;
use tokio::runtime::{Builder, Handle};

use super::support::{SHORT, Task, message, now, poll_times};
use super::talk::Talk;

#[tokio::test]
async fn what_the_writer_did_not_take_is_written_by_the_driver_before_all_else() {
    for room in 0..=SHORT {
        let mut talk = Talk::new();
        talk.tap.tell(|told| told.room = room);
        for number in 0..3 {
            now(talk.far.send(message(number))).unwrap();
        }
        talk.run();
        talk.tap.open();
        talk.expect(0..3);
    }
}

#[tokio::test]
async fn an_answer_that_could_not_be_flushed_is_flushed_by_the_driver() {
    let mut talk = Talk::new();
    talk.tap.tell(|told| told.flushes = false);
    now(talk.far.send(message(0))).unwrap();
    talk.run();
    let waits = talk.tap.0.lock().unwrap().waiting.is_some();
    assert!(waits, "nobody wants to flush");
    talk.tap.open();
    talk.expect(0..1);
    let waits = talk.tap.0.lock().unwrap().waiting.is_some();
    assert!(!waits);
    // And then answers are written at once again.
    talk.ask(1);
    now(talk.far.send(message(1))).unwrap();
    assert!(talk.a.driver.poll_if_woken(), "it is not there yet");
    talk.expect(1..2);
}

#[tokio::test]
async fn a_driver_that_moved_to_another_task_goes_on_with_what_a_sender_left() {
    let mut talk = Talk::new();
    talk.tap.tell(|told| told.room = 7);
    now(talk.far.send(message(0))).unwrap();
    let driver = talk.driver.lock().unwrap().take().unwrap();
    // The valve still knows the old one.
    let mut moved = Task::new(driver.into_future());
    moved.poll();
    talk.tap.open();
    while talk.a.driver.poll_if_woken() | moved.poll_if_woken() {}
    assert_eq!(now(talk.near.recv()).unwrap(), Some(message(0)));
}

#[tokio::test]
async fn a_write_or_flush_that_fails_ends_the_connection_as_one_of_the_drivers_does() {
    use io::ErrorKind::{Other, WriteZero};
    for (write, flush) in [(Some(Other), None), (Some(WriteZero), None), (None, Some(Other))] {
        let mut talk = Talk::new();
        let mux = talk.mux.clone();
        let mut closed = Task::new(mux.closed());
        assert!(!closed.poll());
        talk.tap.tell(|told| (told.write_fails, told.flush_fails) = (write, flush));
        now(talk.far.send(message(0))).unwrap();
        assert!(talk.poll_far_if_woken(), "the driver has not heard of it");
        assert!(closed.poll_if_woken(), "nobody is told");
        match mux.error() {
            Some(ConnectionError::Link(error)) => assert_eq!(Some(error.kind()), write.or(flush)),
            other => panic!("{other:?}"),
        }
        assert!(now(talk.far.recv()).is_err());
    }
}

#[tokio::test]
async fn a_pipe_that_broke_is_written_to_once() {
    let mut talk = Talk::new();
    talk.tap.tell(|told| told.write_fails = Some(io::ErrorKind::BrokenPipe));
    now(talk.far.send(message(3))).unwrap();
    for number in 4..6 {
        talk.ask(number);
        now(talk.far.send(message(number))).unwrap();
        talk.run();
    }
    assert_eq!(talk.tap.writes().len(), 1);
    assert!(talk.mux.error().is_none(), "the peer may still say why");
}

#[tokio::test]
async fn what_the_peer_says_before_it_goes_is_read_after_an_answer_that_failed() {
    let mut talk = Talk::new();
    now(talk.near.send(message(4))).unwrap();
    talk.a.driver.poll_if_woken();
    talk.tap.tell(|told| told.write_fails = Some(io::ErrorKind::BrokenPipe));
    now(talk.far.send(message(0))).unwrap();
    talk.a.mux.close(None);
    talk.run();
    assert_eq!(now(talk.far.recv()).unwrap(), Some(message(4)));
    assert!(matches!(talk.mux.error(), Some(ConnectionError::ClosedByPeer)));
}

#[tokio::test]
async fn others_may_send_meanwhile() {
    let mut talk = Talk::new();
    now(talk.far.send(message(3))).unwrap();
    talk.expect(3..4);
    let mut other = talk.mux.open().unwrap();
    talk.run();
    talk.ask(0);
    let other_stays = Arc::new(Mutex::new(None));
    let stays = other_stays.clone();
    talk.tap.then(move || {
        now(other.send(message(9))).unwrap();
        *stays.lock().unwrap() = Some(other);
    });
    now(talk.far.send(message(0))).unwrap();
    assert!(talk.tap.is_done(), "not written by its sender");
    talk.expect(0..1);
    let mut there = talk.a.accept();
    assert_eq!(now(there.recv()).unwrap(), Some(message(9)));
}

#[tokio::test]
async fn a_connection_that_is_closed_meanwhile_says_farewell_behind_the_answer() {
    for driven in [false, true] {
        let mut talk = Talk::new();
        let (mux, driver) = (talk.mux.clone(), talk.driver.clone());
        talk.tap.then(move || {
            mux.close(None);
            if driven {
                driver.lock().unwrap().as_mut().unwrap().poll();
            }
        });
        now(talk.far.send(message(1))).unwrap();
        assert!(talk.tap.is_done(), "not written by its sender");
        talk.run();
        assert_eq!(now(talk.near.recv()).unwrap(), Some(message(1)));
        assert!(matches!(talk.a.result(), Some(Ok(()))), "{:?}", talk.a.result());
        assert!(matches!(talk.driver.lock().unwrap().as_ref().unwrap().output, Some(Ok(()))));
    }
}

/// Reading stops while much waits to be taken; whoever takes it wakes the driver.
#[tokio::test]
async fn what_comes_in_may_be_taken_meanwhile_and_reading_goes_on() {
    const EACH: usize = 5_000;
    // Only a far end prints.
    let mut talk = Talk::with(Side::Connector, Config::default());
    for _ in 0..100 {
        now(talk.a.mux.output(None, OutputStream::Stdout, Bytes::from(vec![b'x'; EACH]))).unwrap();
        talk.run();
    }
    let taken = Arc::new(Mutex::new(0));
    let take = |mut incoming: Incoming, taken: Arc<Mutex<usize>>| {
        while let Some(Some(Request::Output { bytes, .. })) = poll_times(1, incoming.next()) {
            *taken.lock().unwrap() += bytes.len();
        }
        incoming
    };
    let Talk { a, incoming, driver, tap, far, mux: _mux, near: _near } = &mut talk;
    let (_, unused, _) = Mux::over(duplex(1).0, Side::Connector, Config::default()).unwrap();
    let incoming = std::mem::replace(incoming, unused);
    let back = Arc::new(Mutex::new(None));
    let (put, count) = (back.clone(), taken.clone());
    tap.then(move || *put.lock().unwrap() = Some(take(incoming, count)));
    now(far.send(message(0))).unwrap();
    assert!(tap.is_done(), "not written by its sender");
    let mut incoming = back.lock().unwrap().take().unwrap();
    loop {
        let before = *taken.lock().unwrap();
        while a.driver.poll_if_woken()
            | driver.lock().unwrap().as_mut().is_some_and(Task::poll_if_woken)
        {}
        incoming = take(incoming, taken.clone());
        if *taken.lock().unwrap() == before {
            break;
        }
    }
    assert_eq!(*taken.lock().unwrap(), 100 * EACH);
}

/// A writer that has to wait may make a timer or register with the system: in another runtime, which may end or stand still, it would wait for
/// ever, and without one panic.
#[tokio::test]
async fn the_writer_is_called_in_the_drivers_runtime_whoever_sends() {
    let mut talk = Talk::new();
    for number in 4..8 {
        thread::scope(|scope| {
            let far = &mut talk.far;
            scope.spawn(move || {
                let other = Builder::new_current_thread().build().unwrap();
                let _context = (number % 2 == 0).then(|| other.enter());
                now(far.send(message(number))).unwrap();
            });
        });
        assert_eq!(talk.tap.writes(), [Some(Handle::current().id())]);
        talk.expect(number..number + 1);
        talk.ask(number);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_puts_the_next_sign_of_life_off() {
    let second = Duration::from_secs(1);
    let keepalive = Config { keepalive: Some(10 * second), ..Config::default() };
    let mut talk = Talk::with(Side::FarEnd, keepalive);
    async fn writes_after(time: Duration, talk: &mut Talk) -> usize {
        tokio::time::advance(time).await;
        talk.run();
        talk.tap.writes().len()
    }
    now(talk.far.send(message(3))).unwrap();
    talk.expect(3..4);
    assert_eq!(writes_after(9 * second, &mut talk).await, 1);
    talk.ask(4);
    now(talk.far.send(message(4))).unwrap();
    assert_eq!(talk.tap.writes().len(), 1, "not written by its sender");
    assert_eq!(
        writes_after(9 * second, &mut talk).await,
        0,
        "eighteen seconds, but nine of silence"
    );
    assert_eq!(writes_after(2 * second, &mut talk).await, 1);
}

#[tokio::test]
async fn a_driver_that_is_dropped_meanwhile_takes_the_writer_along() {
    let mut talk = Talk::new();
    let driver = talk.driver.clone();
    talk.tap.then(move || drop(driver.lock().unwrap().take()));
    now(talk.far.send(message(0))).unwrap();
    assert!(matches!(talk.mux.error(), Some(ConnectionError::ClosedHere)));
    // The stream has ended: both of its halves are gone.
    talk.run();
    assert_eq!(now(talk.near.recv()).unwrap(), Some(message(0)));
    assert!(talk.a.result().is_some(), "the writer is still there");
    assert_eq!(Arc::strong_count(&talk.tap.0), 1);
}

#[tokio::test]
async fn a_writer_that_panics_is_still_the_drivers() {
    let mut talk = Talk::new();
    talk.tap.then(|| panic!("on purpose"));
    let sent = catch_unwind(AssertUnwindSafe(|| now(talk.far.send(message(0)))));
    assert!(sent.is_err());
    talk.expect(0..1);
}

#[tokio::test]
async fn a_driver_that_ran_meanwhile_is_not_woken_for_it() {
    let mut talk = Talk::new();
    let driver = talk.driver.clone();
    talk.tap.then(move || {
        driver.lock().unwrap().as_mut().unwrap().poll();
    });
    now(talk.far.send(message(0))).unwrap();
    assert!(talk.tap.is_done(), "not written by its sender");
    assert!(!talk.poll_far_if_woken());
}

#[tokio::test]
async fn a_driver_that_has_done_what_was_left_is_not_woken_for_it_again() {
    let mut talk = Talk::new();
    talk.tap.tell(|told| told.room = 0);
    now(talk.far.send(message(0))).unwrap();
    talk.run();
    talk.tap.open();
    talk.expect(0..1);
    // Gives the writer back.
    talk.ask(1);
    assert!(poll_times(1, talk.far.recv()).is_none());
    assert!(!talk.poll_far_if_woken());
}
