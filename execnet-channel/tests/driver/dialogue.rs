//! A reader that comes back for each message stays registered and is polled only when it was woken: whatever happens
//! in between, it gets everything, and its end; and so does the other side with the answers, some of which their sender writes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use execnet_channel::{Channel, ReceiveError};
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::support::{Ends, Task, message, now};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many messages in one write.
    Send(usize),
    /// A message for another reader.
    Other,
    /// The bytes arrive.
    Run,
    /// The reader has its turn, if it was woken.
    Read,
    /// Another task reads from now on.
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send(1)),
        1 => (2..5usize).prop_map(Step::Send),
        2 => Just(Step::Other),
        6 => Just(Step::Run),
        6 => Just(Step::Read),
        1 => Just(Step::Move),
    ]
}

#[derive(Debug, Clone, Copy)]
enum How {
    Finish,
    Close,
    Broken,
}

type Reading = Pin<Box<dyn Future<Output = Result<(), ReceiveError>>>>;

/// Answers everything, and keeps what came where others see it.
async fn answer(mut far: Channel, got: Rc<RefCell<Vec<String>>>) -> Result<(), ReceiveError> {
    while let Some(message) = far.recv().await? {
        got.borrow_mut().push(String::from_utf8_lossy(&message.payload).into_owned());
        let _ = far.send(message).await;
    }
    Ok(())
}

/// Whatever the steps, and however much the link holds: the reader has got everything at the end, and the end.
fn play(buffer: usize, steps: &[Step], last: usize, how: How) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let _context = runtime.enter();
    let mut ends = Ends::new(buffer);
    let (mut near, far) = ends.open();
    let (mut other, other_far) = ends.open();
    let got = Rc::new(RefCell::new(Vec::new()));
    let reading: Reading = Box::pin(answer(far, got.clone()));
    let mut reader = Task::new(reading);
    let mut beside = Task::new(answer(other_far, Rc::default()));
    let mut sent = 0;
    let mut send = |near: &mut Channel, count: usize| {
        for _ in 0..count {
            now(near.send(message(sent))).unwrap();
            sent += 1;
        }
    };
    for step in steps {
        match *step {
            Step::Send(count) => send(&mut near, count),
            Step::Other => now(other.send(message(0))).unwrap(),
            Step::Run => {
                ends.run();
                beside.poll_if_woken();
            }
            Step::Read => {
                reader.poll_if_woken();
            }
            Step::Move => {
                let reading: Reading = Box::pin(reader.into_future());
                reader = Task::new(reading);
            }
        }
    }
    send(&mut near, last);
    match how {
        How::Finish => near.finish(),
        How::Close => near.close(),
        How::Broken => {
            ends.run();
            ends.a.mux.close(None);
        }
    }
    while ends.step() | reader.poll_if_woken() {}
    let expected: Vec<_> = (0..sent).map(|number| format!("{number:032}")).collect();
    assert_eq!(*got.borrow(), expected);
    match (reader.output.take().expect("it was not told of the end"), how) {
        (Ok(()), How::Finish | How::Close) | (Err(ReceiveError::Connection(_)), How::Broken) => {}
        (ended, how) => panic!("{ended:?} after {how:?}"),
    }
    if let How::Finish = how {
        while ends.step() | beside.poll_if_woken() {}
        for number in 0..sent {
            assert_eq!(now(near.recv()).unwrap(), Some(message(number)));
        }
        assert_eq!(now(near.recv()).unwrap(), None);
    }
}

proptest! {
    #[test]
    fn whoever_is_polled_only_when_woken_misses_nothing(
        buffer in prop_oneof![Just(1 << 20), 1..100usize],
        steps in prop::collection::vec(step(), 0..60),
        last in 0..3usize,
        how in prop_oneof![Just(How::Finish), Just(How::Close), Just(How::Broken)],
    ) {
        play(buffer, &steps, last, how);
    }
}

/// The third message finds a reader that stays, and comes with the end.
#[test]
fn the_end_may_come_with_the_last_answer() {
    let round = [Step::Send(1), Step::Run, Step::Read];
    for how in [How::Finish, How::Close, How::Broken] {
        play(1 << 20, &[&[Step::Read], &round[..], &round, &round].concat(), 1, how);
    }
}

#[tokio::test]
async fn a_reader_that_stays_is_woken_once_for_each_message_and_for_no_other() {
    let mut ends = Ends::new(1 << 20);
    let (mut near, far) = ends.open();
    let (mut other, mut other_far) = ends.open();
    let mut reader = Task::new(answer(far, Rc::default()));
    assert!(!reader.poll());
    for number in 0..10 {
        now(near.send(message(number))).unwrap();
        ends.run();
        assert_eq!(reader.wakes(), 1);
        assert!(!reader.poll());
        now(other.send(message(number))).unwrap();
        ends.run();
        assert_eq!(now(other_far.recv()).unwrap(), Some(message(number)));
        assert_eq!(reader.wakes(), 0);
    }
}
