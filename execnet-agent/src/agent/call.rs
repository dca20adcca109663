//! Native tasks: one call from its request to its end.

use std::sync::Arc;

use execnet_channel::{Channel, Message};
use execnet_proto::Fault;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connection::Connection;
use super::context::{BlockingContext, Call, Context};
use super::request::{self, CallHead};
use super::task::{Outcome, Task};

/// Runs the task that the request names, and tells how it ended.
pub(super) async fn run(
    connection: Arc<Connection>,
    mut channel: Channel,
    request: Message,
    interrupts: watch::Receiver<u32>,
) {
    let (name, task) = match find(&connection, &request) {
        Ok(found) => found,
        Err(fault) => return channel.close_with_error(fault),
    };
    let (sender, receiver) = channel.split();
    let call = Call::new(sender, interrupts);
    let context = Context::new(connection.clone(), call.clone(), receiver);
    let executing = connection.executing();
    let outcome = match task {
        Task::Async(task) => match task(&name, context, &request) {
            Ok(future) => until_cancelled(&connection, &call, future).await,
            Err(fault) => Err(fault),
        },
        Task::Blocking(task) => {
            let context = BlockingContext::new(context, Handle::current());
            let blocking = connection.blocking();
            let thread = tokio::task::spawn_blocking(move || {
                let outcome = task(&name, context, &request);
                drop(blocking);
                outcome
            });
            let outcome = async { thread.await.unwrap_or_else(|_| Err(cancelled())) };
            until_cancelled(&connection, &call, outcome).await
        }
    };
    drop(executing);
    let mut sender = call.sender.lock().await;
    let fault = match outcome {
        // A caller that has closed the channel wants nothing more.
        Ok(result) => {
            let _ = sender.send(Message::cbor(result)).await;
            None
        }
        Err(fault) => Some(fault),
    };
    sender.close(fault);
}

fn find(connection: &Connection, request: &Message) -> Result<(String, Task), Fault> {
    let CallHead { task: name } = request::parse(request)?;
    let tasks = connection.tasks();
    match tasks.get(&name) {
        Some(task) => Ok((name, task.clone())),
        None => Err(Fault::new("UnknownTask", unknown(&name, tasks.keys().map(String::as_str)))),
    }
}

/// The task's outcome; after an interrupt it has the grace to come, if it looks for interrupts at all.
async fn until_cancelled(
    connection: &Connection,
    call: &Call,
    outcome: impl Future<Output = Outcome>,
) -> Outcome {
    let mut outcome = std::pin::pin!(outcome);
    tokio::select! {
        biased;
        outcome = &mut outcome => return outcome,
        () = call.interrupted() => {}
    }
    if call.watches() {
        timeout(connection.cancel_grace(), outcome).await.unwrap_or_else(|_| Err(cancelled()))
    } else {
        Err(cancelled())
    }
}

fn cancelled() -> Fault {
    Fault::new("Cancelled", "the task was interrupted")
}

/// Says that there is no such task, which one may be meant, and which ones there are.
fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut text = format!("no task {name:?}");
    let nearest = known.clone().map(|known| (distance(name, known), known)).min();
    if let Some((distance, nearest)) = nearest
        && distance <= name.chars().count().div_ceil(3)
    {
        text.push_str(&format!("; did you mean {nearest:?}?"));
    }
    let known: Vec<&str> = known.collect();
    match known.is_empty() {
        true => text.push_str("; this agent has none"),
        false => text.push_str(&format!("; known are: {}", known.join(", "))),
    }
    text
}

/// How many characters must change for one word to become the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in to.iter().zip(row.iter().skip(1)) {
            left = (corner + usize::from(a != *b)).min(left + 1).min(above + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("sum", "sum", 0),
            ("smu", "sum", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn the_nearest_is_suggested_and_all_are_listed() {
        let known = ["parse", "sum"];
        assert_eq!(
            unknown("sun", known.into_iter()),
            "no task \"sun\"; did you mean \"sum\"?; known are: parse, sum"
        );
        assert_eq!(unknown("tar", known.into_iter()), "no task \"tar\"; known are: parse, sum");
        assert_eq!(unknown("x", [].into_iter()), "no task \"x\"; this agent has none");
    }
}
