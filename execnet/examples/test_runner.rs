//! A parallel test runner: workers take one test after the other, a crash costs one test and not the run.
//!
//! ```text
//! $ cargo run -p execnet --example test_runner
//! test_adds … ok
//! test_breaks … AssertionError: 2 != 3
//! test_crashes … killed by SIGSEGV (signal 11)
//! test_sleeps … ok
//! 2 passed, 2 failed
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use execnet::{Channel, Gateway, Group, Output, ReceiveError, Source};
use tokio::sync::Mutex;

/// What a project would have in files of its own.
const TESTS: &str = "
import os, signal, time

def test_adds(): assert 1 + 1 == 2
def test_breaks(): assert 1 + 1 == 3, '2 != 3'
def test_crashes(): os.kill(os.getpid(), signal.SIGSEGV)
def test_sleeps(): time.sleep(0.05)

def collect(channel):
    channel.send([name for name in globals() if name.startswith('test_')])

def serve(channel):
    for name in channel:
        try:
            globals()[name]()
        except Exception as error:
            channel.send('%s: %s' % (type(error).__name__, error))
        else:
            channel.send(None)
";

fn tests() -> Source {
    Source::from(TESTS).named("tests.py")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::builder().output(Output::discard()).build();
    let first = group.make_gateway("popen").await?;
    let names: VecDeque<String> =
        first.remote_exec(tests().call("collect")).await?.receive().await?;

    let (queue, results) = (Mutex::new(names), Mutex::new(Vec::new()));
    tokio::try_join!(work(&group, &queue, &results), work(&group, &queue, &results))?;

    let mut results = results.into_inner();
    results.sort();
    let failed = results.iter().filter(|(_, failure)| failure.is_some()).count();
    for (name, failure) in &results {
        println!("{name} … {}", failure.as_deref().unwrap_or("ok"));
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    assert_eq!((results.len(), failed), (4, 2));
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}

type Results = Mutex<Vec<(String, Option<String>)>>;

/// Runs tests until none is left, on a worker that is replaced when it dies.
async fn work(
    group: &Group,
    queue: &Mutex<VecDeque<String>>,
    results: &Results,
) -> Result<(), Box<dyn Error>> {
    let mut worker: Option<(Gateway, Channel)> = None;
    loop {
        let Some(name) = queue.lock().await.pop_front() else { return Ok(()) };
        if worker.is_none() {
            let gateway = group.make_gateway("popen").await?;
            let channel = gateway.remote_exec(tests().call("serve")).await?;
            worker = Some((gateway, channel));
        }
        let Some((gateway, channel)) = &mut worker else { continue };
        channel.send(&name).await?;
        let failure = match channel.receive().await {
            Ok(failure) => failure,
            Err(ReceiveError::Lost(lost)) => {
                group.exit(gateway, Duration::ZERO).await;
                worker = None;
                Some(lost.ending().map_or(lost.to_string(), |ending| ending.to_string()))
            }
            Err(error) => return Err(error.into()),
        };
        results.lock().await.push((name, failure));
    }
}
