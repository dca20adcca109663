//! The blocking API: waiting, threads, time limits, and life inside of asynchronous programs.

mod common;

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::threads::{group, on_one, spec, watched};
use common::{Lifeline, WATCHDOG, bounded};
use execnet::blocking::{Channel, Gateway, Group, MultiChannel, TimedOut};
use execnet::{Ending, ExecError, GatewayError, Output, ReceiveError, SendError, Value, WaitError};

/// Long enough for anything but what is not to come at all.
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn items_go_there_and_back() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
        channel.send(&(1, "ä", [1.5])).unwrap();
        let item: (i64, String, Vec<f64>) = channel.receive().unwrap();
        assert_eq!(item, (1, "ä".to_owned(), vec![1.5]));
        channel.send_bytes(vec![7; 3 << 20]).unwrap();
        assert_eq!(channel.receive_value().unwrap(), Value::from(vec![7; 3 << 20]));
        channel.finish_sending();
        assert!(matches!(channel.receive_value(), Err(ReceiveError::End)));
        channel.wait_close().unwrap();
        assert!(channel.is_closed());

        assert_eq!(channel.gateway().id(), "gw0");
        assert!(gw.is_same(&channel.gateway()));
        assert!(gw.ping().unwrap() > Duration::ZERO);
        let Value::Dict(status) = gw.status().unwrap() else { panic!("a dict") };
        assert!(status.iter().any(|(key, _)| key.as_str() == Some("channels")), "{status:?}");
    });
}

#[test]
fn iteration_yields_items_then_at_most_one_error_then_ends() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("for n in range(3): channel.send(n)").unwrap();
        let mut items = Vec::new();
        for item in &mut channel {
            items.push(item.unwrap().as_i64().unwrap());
        }
        assert_eq!(items, [0, 1, 2]);
        assert!(channel.next().is_none(), "for ever");

        let mut failing = gw.remote_exec("channel.send(1); 1/0").unwrap();
        assert!(failing.next().unwrap().is_ok());
        let error = failing.next().unwrap().unwrap_err();
        assert!(
            matches!(&error, ReceiveError::Remote(error) if error.kind() == "ZeroDivisionError")
        );
        assert!(failing.next().is_none());

        let source = "channel.send(1); channel.send('two'); channel.send(3)";
        let typed = gw.remote_exec(source).unwrap().typed::<(), i64>();
        let items: Vec<_> = typed.map(|item| item.ok()).collect();
        assert_eq!(items, [Some(1), None, Some(3)], "an item of another type, and the others");
        let mut failing = gw.remote_exec("channel.send(1); 1/0").unwrap().typed::<(), i64>();
        assert_eq!(failing.next().unwrap().unwrap(), 1);
        assert!(matches!(failing.next(), Some(Err(ReceiveError::Remote(_)))));
        assert!(failing.next().is_none());

        let (_sender, receiver) =
            gw.remote_exec("channel.send(1)\nimport os; os._exit(9)").unwrap().split();
        let last = receiver.last().unwrap();
        let Err(ReceiveError::Lost(lost)) = last else { panic!("{last:?}") };
        assert_eq!(lost.ending(), Some(Ending::Exited(9)));
    });
}

#[test]
fn a_typed_channel_half_closes() {
    on_one(|gw| {
        let source = "channel.send(sum(channel))";
        let mut channel = gw.remote_exec(source).unwrap().typed::<i64, i64>();
        channel.send(&40).unwrap();
        channel.send_timeout(&2, WATCHDOG).unwrap();
        channel.finish_sending();
        assert_eq!(channel.receive_timeout(WATCHDOG).unwrap(), 42);
        channel.wait_close_timeout(WATCHDOG).unwrap();
        assert!(matches!(channel.receive(), Err(ReceiveError::End)));
    });
}

#[test]
fn a_dead_worker_is_told_to_every_waiting_thread() {
    on_one(|gw| {
        let mut channels: Vec<_> =
            (0..3).map(|_| gw.remote_exec("channel.receive()").unwrap()).collect();
        thread::scope(|scope| {
            let waiting: Vec<_> = channels
                .iter_mut()
                .map(|channel| scope.spawn(|| channel.receive_value()))
                .collect();
            gw.kill();
            for waiting in waiting {
                let result = waiting.join().unwrap();
                let Err(ReceiveError::Lost(lost)) = result else { panic!("{result:?}") };
                assert_eq!(lost.ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
            }
        });
        assert!(matches!(channels[0].send(&1), Err(SendError::Lost(_))));
        assert!(matches!(channels[0].wait_close(), Err(WaitError::Lost(_))));
        assert!(matches!(gw.remote_exec("1"), Err(ExecError::Lost(_))));
        assert!(gw.status().is_err() && gw.ping().is_err() && gw.is_lost());
        assert_eq!(gw.lost().ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
    });
}

// Threads.

#[test]
fn many_threads_use_one_gateway() {
    on_one(|gw| {
        thread::scope(|scope| {
            for n in 0..16i64 {
                let gw = gw.clone();
                scope.spawn(move || {
                    let mut channel =
                        gw.remote_exec("for x in channel: channel.send(x * 2)").unwrap();
                    for x in 0..200 {
                        channel.send(&(n * x)).unwrap();
                        assert_eq!(channel.receive::<i64>().unwrap(), n * x * 2);
                    }
                });
            }
        });
    });
}

#[test]
fn the_halves_of_a_channel_are_used_by_two_threads_and_a_third_interrupts() {
    on_one(|gw| {
        let source = "for x in channel: channel.send(x)\nchannel.send('end')\nwhile True: pass";
        let (mut sender, mut receiver) = gw.remote_exec(source).unwrap().split();
        let sending = thread::spawn(move || {
            for n in 0..20_000 {
                sender.send(&n).unwrap();
            }
            sender.finish_sending();
            sender
        });
        for n in 0..20_000 {
            assert_eq!(receiver.receive::<i64>().unwrap(), n);
        }
        let sender = sending.join().unwrap();
        assert_eq!(receiver.receive::<String>().unwrap(), "end");
        thread::spawn(move || sender.interrupt());
        let Err(ReceiveError::Remote(error)) = receiver.receive_value() else { panic!("an error") };
        assert_eq!(error.kind(), "KeyboardInterrupt");
    });
}

#[test]
fn groups_work_in_parallel() {
    let Some(spec) = spec() else { return };
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let spec = spec.clone();
            thread::spawn(move || {
                watched(move || {
                    let group = group();
                    let gateways = group.make_all([spec.as_str(); 2]).unwrap();
                    assert_eq!(gateways.len(), 2);
                    let channels = group.remote_exec("import os; channel.send(os.getpid())");
                    let pids = channels.unwrap().receive_each::<u64>();
                    let told: Vec<_> = group.gateways().iter().map(|gw| gw.info().pid).collect();
                    let pids: Vec<_> = pids.into_iter().map(Result::unwrap).collect();
                    assert_eq!(pids, told);
                    group.terminate(Duration::from_secs(5)).unwrap();
                    assert!(group.is_empty());
                    pids
                })
            })
        })
        .collect();
    let pids: HashSet<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    assert_eq!(pids.len(), 4);
}

#[test]
fn a_group_starts_names_and_ends() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = Group::builder()
            .default_spec(spec.clone())
            .output(Output::discard())
            .start_timeout(WATCHDOG)
            .build();
        assert_eq!(group.make_default_gateway().unwrap().id(), "gw0");
        let named = format!("{spec}//id=me");
        let results = group.make_gateways([named.as_str(), named.as_str(), "popen//pyhton=3"]);
        assert_eq!(results[0].as_ref().unwrap().id(), "me");
        assert!(matches!(&results[1], Err(GatewayError::DuplicateId(_))));
        assert!(matches!(&results[2], Err(GatewayError::Spec(_))));
        assert_eq!(group.len(), 2);
        let me = group.get("me").unwrap();
        group.exit(&me, Duration::from_secs(5));
        assert!(me.is_lost() && group.get("me").is_none());
        let errors = group.make_all([spec.as_str(), "popen//python=/nonexistent"]).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(group.len(), 1);
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}

// Time limits: nothing is lost.

#[test]
fn receiving_in_time_loses_nothing() {
    on_one(|gw| {
        let source = "for x in channel: channel.send(x)\nchannel.receive()";
        let mut channel = gw.remote_exec(source).unwrap();
        for limit in [Duration::ZERO, SHORT] {
            let nothing = channel.receive_timeout::<i64>(limit);
            assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
            let nothing = channel.receive_value_timeout(limit);
            assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
            let open = channel.wait_close_timeout(limit);
            assert!(matches!(open, Err(WaitError::TimedOut)), "{open:?}");
            assert!(gw.lost_timeout(limit).is_none());
        }
        // Asked again and again: every item once, in order.
        let (mut sender, mut receiver) = channel.split();
        let sending = thread::spawn(move || (0..2_000).try_for_each(|n| sender.send(&n)).unwrap());
        let mut items = Vec::new();
        while items.len() < 2_000 {
            match receiver.receive_timeout::<i64>(Duration::from_micros(20)) {
                Ok(item) => items.push(item),
                Err(error) => assert!(matches!(error, ReceiveError::TimedOut), "{error}"),
            }
        }
        assert!(items.iter().copied().eq(0..2_000));
        sending.join().unwrap();
        assert_eq!(
            receiver.receive_timeout::<i64>(Duration::MAX).ok(),
            None,
            "the end, not a wait"
        );
    });
}

#[test]
fn sending_in_time_sends_all_or_nothing() {
    on_one(|gw| {
        let source = "channel.gateway.go = channel\n\
             import threading; channel.gateway.event = threading.Event()\n\
             channel.send(1); channel.gateway.event.wait()\n\
             for item in channel: channel.send(item if isinstance(item, int) else item[0])";
        let mut channel = gw.remote_exec(source).unwrap();
        assert_eq!(channel.receive::<i64>().unwrap(), 1);
        // It does not read: after some items there is no room.
        let mut sent = 0u8;
        while sent < 255 {
            let result = match sent % 2 {
                0 => channel.send_bytes_timeout(vec![sent; 64 << 10], SHORT),
                _ => channel.send_timeout(&(sent, vec![0; 64 << 10]), SHORT),
            };
            match result {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert!(matches!(error, SendError::TimedOut), "{error}");
                    break;
                }
            }
        }
        assert!((1..255).contains(&sent), "{sent}");
        gw.remote_exec("channel.gateway.event.set()").unwrap().wait_close().unwrap();
        channel.send_timeout(&-1, WATCHDOG).unwrap();
        channel.finish_sending();
        let mut items = channel.typed::<(), i64>();
        for n in 0..sent {
            assert_eq!(items.next().unwrap().unwrap(), i64::from(n));
        }
        assert_eq!(items.next().unwrap().unwrap(), -1, "the one that timed out was not sent");
        assert!(items.next().is_none());
    });
}

#[test]
fn a_far_end_that_stands_still_holds_nobody_up_who_has_a_limit() {
    on_one(|gw| {
        let signal = |signal: &str| {
            let pid = gw.info().pid.to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        };
        signal("-STOP");
        // Its threads do not all stop at once.
        while gw.ping_timeout(SHORT).unwrap().is_some() {}
        assert_eq!(gw.status_timeout(SHORT).unwrap(), None);
        // A request is never waited for, however long.
        let long = format!("#{}\nchannel.send('ran')", "x".repeat(1 << 20));
        let mut channel = gw.remote_exec(long).unwrap();
        let nothing = channel.receive_timeout::<String>(SHORT);
        assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
        signal("-CONT");
        assert!(gw.ping_timeout(WATCHDOG).unwrap().is_some());
        assert!(gw.status_timeout(WATCHDOG).unwrap().is_some());
        assert_eq!(channel.receive::<String>().unwrap(), "ran");
    });
}

#[test]
fn many_channels_with_a_limit() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        group.make_all([spec.as_str(); 2]).unwrap();
        let source = "if channel.gateway.id == 'gw1': channel.receive()\n\
             channel.send(channel.gateway.id); channel.receive()";
        let mut channels = group.remote_exec(source).unwrap();
        assert_eq!(channels.channels_mut()[0].receive::<String>().unwrap(), "gw0");
        for item in channels.receive_each_within::<String>(SHORT) {
            assert!(matches!(item, Err(ReceiveError::TimedOut)), "{item:?}");
        }
        for closed in channels.wait_close_timeout(SHORT) {
            assert!(matches!(closed, Err(WaitError::TimedOut)), "{closed:?}");
        }
        for sent in channels.send_each_timeout(&1, WATCHDOG) {
            sent.unwrap();
        }
        let (mut senders, mut queue) = channels.receive_queue();
        let (index, end) = queue.next().unwrap();
        let mut seen = vec![(index, end.map_err(|error| error.to_string()))];
        let (index, item) = queue.next_timeout(WATCHDOG).unwrap().unwrap();
        seen.push((index, item.map_err(|error| error.to_string())));
        seen.sort_by_key(|(index, _)| *index);
        assert!(matches!(&seen[0], (0, Err(end)) if end.contains("end of channel")), "{seen:?}");
        assert!(matches!(&seen[1], (1, Ok(item)) if item.as_str() == Some("gw1")), "{seen:?}");
        assert_eq!(queue.next_timeout(SHORT).unwrap_err(), TimedOut);
        senders[1].send(&2).unwrap();
        let end = queue.next_timeout(WATCHDOG).unwrap();
        assert!(matches!(end, Some((1, Err(ReceiveError::End)))), "{end:?}");
        assert!(matches!(queue.next_timeout(WATCHDOG), Ok(None)));
        assert!(queue.next().is_none());

        let mut channels = group.remote_exec("channel.send(1)\nwhile True: pass").unwrap();
        assert!(channels.receive_each::<i64>().iter().all(Result::is_ok));
        channels.interrupt();
        for closed in channels.wait_close() {
            assert!(matches!(closed, Err(WaitError::Remote(_))), "{closed:?}");
        }
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}

// Inside of asynchronous programs.

/// What would panic, starve or hang if waiting were done by a runtime's own means.
fn use_all(spec: &str) {
    let group = group();
    group.make_all([spec, spec]).unwrap();
    let gw = group.get("gw0").unwrap();
    let mut channel = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
    let timed_out = channel.receive_timeout::<i64>(SHORT);
    assert!(matches!(timed_out, Err(ReceiveError::TimedOut)), "{timed_out:?}");
    channel.send(&1).unwrap();
    assert_eq!(channel.receive::<i64>().unwrap(), 1);
    drop(channel);
    // More than a task's budget.
    let many = gw.remote_exec("for n in range(5000): channel.send(n)").unwrap();
    assert_eq!(many.map(Result::unwrap).count(), 5_000);
    let mut many = gw.remote_exec("for n in range(5000): channel.receive()").unwrap();
    (0..5_000).for_each(|n| many.send(&n).unwrap());
    many.wait_close().unwrap();

    let (_sender, receiver) = gw.remote_exec("channel.send(1)").unwrap().split();
    receiver.set_callback(|_| Ok(())).join();
    for item in group.remote_exec("channel.send(1)").unwrap().receive_each::<i64>() {
        item.unwrap();
    }
    group.exit(&gw, Duration::from_secs(5));
    group.terminate(Duration::from_secs(5)).unwrap();
}

#[test]
fn inside_of_a_current_thread_runtime() {
    let Some(spec) = spec() else { return };
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            use_all(&spec);
            let other = spec.clone();
            tokio::spawn(async move { use_all(&other) }).await.unwrap();
            let other = spec.clone();
            tokio::task::spawn_blocking(move || use_all(&other)).await.unwrap();
            let local = tokio::task::LocalSet::new();
            local.run_until(async move { use_all(&spec) }).await;
        });
    });
}

#[test]
fn inside_of_a_multi_thread_runtime() {
    let Some(spec) = spec() else { return };
    watched(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async move {
            let other = spec.clone();
            tokio::spawn(async move { use_all(&other) }).await.unwrap();
            tokio::task::spawn_blocking(move || use_all(&spec)).await.unwrap();
        });
    });
}

#[tokio::test]
async fn both_apis_in_one_program() {
    let Some(spec) = spec() else { return };
    let there = common::group();
    let gw = there.make_gateway(spec.as_str()).await.unwrap();
    let mut one = gw.remote_exec("channel.send(1)").await.unwrap();
    let two = tokio::task::spawn_blocking(move || {
        let group = group();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        gw.remote_exec("channel.send(2)").unwrap().receive::<i64>().unwrap()
    });
    assert_eq!((bounded(one.receive::<i64>()).await.unwrap(), bounded(two).await.unwrap()), (1, 2));
}

// Callbacks.

#[test]
fn a_callback_is_told_every_item_and_one_end() {
    on_one(|gw| {
        let told = |source| {
            let (tell, told) = mpsc::channel();
            let (_sender, receiver) = gw.remote_exec(source).unwrap().split();
            let mut handle = receiver.set_callback(move |item| {
                tell.send(match item {
                    Ok(value) => value.to_string(),
                    Err(ReceiveError::End) => "end".to_owned(),
                    Err(ReceiveError::Remote(error)) => error.kind().to_owned(),
                    Err(other) => other.to_string(),
                })?;
                Ok(())
            });
            assert!(handle.join_timeout(WATCHDOG) && handle.join_timeout(WATCHDOG));
            assert!(handle.is_finished());
            handle.join();
            told.iter().collect::<Vec<_>>()
        };
        assert_eq!(told("for n in range(3): channel.send(n)"), ["0", "1", "2", "end"]);
        assert_eq!(told("channel.send('x'); 1/0"), ["'x'", "ZeroDivisionError"]);
    });
}

#[test]
fn callbacks_may_wait_and_hold_nobody_up() {
    on_one(|gw| {
        let (go, wait) = mpsc::channel::<()>();
        let (_sender, receiver) = gw.remote_exec("channel.send(1)").unwrap().split();
        let mut held = receiver.set_callback(move |item| {
            if item.is_ok() {
                wait.recv()?;
            }
            Ok(())
        });
        // Another one, which waits for execnet: more goes through it than fits into any buffer.
        let mut echo = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
        let (_other, receiver) =
            gw.remote_exec("for n in range(100): channel.send(bytes(200000))").unwrap().split();
        let total = Arc::new(Mutex::new(0));
        let counted = total.clone();
        let other = gw.clone();
        let echoing = receiver.set_callback(move |item| {
            if let Ok(item) = item {
                echo.send(&item)?;
                let Value::Bytes(bytes) = echo.receive_value()? else { panic!("bytes") };
                *counted.lock().unwrap() += bytes.len();
                other.ping()?;
            }
            Ok(())
        });
        echoing.join();
        assert_eq!(*total.lock().unwrap(), 20_000_000);
        assert!(!held.is_finished() && !held.join_timeout(SHORT));
        go.send(()).unwrap();
        held.join();
    });
}

#[test]
fn a_callback_that_fails_closes_its_channel() {
    on_one(|gw| {
        for panics in [false, true] {
            let source = "import threading; channel.gateway.done = threading.Event()\n\
                 channel.send(1)\n\
                 try: channel.receive()\n\
                 except channel.RemoteError as e: channel.gateway.told = e.type\n\
                 channel.gateway.done.set()";
            let (sender, receiver) = gw.remote_exec(source).unwrap().split();
            let handle = receiver.set_callback(move |_| {
                assert!(!panics, "a bug");
                Err("no more of this".into())
            });
            handle.join();
            sender.wait_close().unwrap();
            let source = "gw = channel.gateway; gw.done.wait(); channel.send(gw.told)";
            let mut told = gw.remote_exec(source).unwrap();
            let expected = if panics { "CallbackPanicked" } else { "CallbackError" };
            assert_eq!(told.receive::<String>().unwrap(), expected);
        }
    });
}

#[test]
fn an_output_handler_may_wait_for_execnet() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let (tell, told) = mpsc::channel();
        let quiet = group();
        let other = quiet.make_gateway(spec.as_str()).unwrap();
        let handler = move |line: execnet::OutputLine<'_>| {
            let mut channel = other.remote_exec("channel.send(channel.receive().upper())").unwrap();
            channel.send(line.line).unwrap();
            let _ = tell.send(channel.receive::<String>().unwrap());
        };
        let group = Group::builder().output(Output::handler(handler)).build();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        gw.remote_exec("print('hello')").unwrap().wait_close().unwrap();
        assert_eq!(told.recv().unwrap(), "HELLO");
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}

// Files.

#[test]
fn a_reader_and_a_writer_are_files_at_the_other_end() {
    on_one(|gw| {
        let source = "source, sink = channel.makefile('r'), channel.makefile('w')\n\
             for line in source: sink.write(line.upper())\n\
             print('the end', file=sink)";
        let (sender, receiver) = gw.remote_exec(source).unwrap().split();
        let (mut writer, mut reader) = (sender.into_writer(), receiver.into_reader());
        reader.set_timeout(Some(SHORT));
        let nothing = reader.fill_buf().unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::TimedOut);
        let nothing = reader.read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::TimedOut);
        reader.set_timeout(None);

        write!(writer, "a line\nanother\nand half").unwrap();
        writer.write_all(b" of one").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "A LINE\n");
        writer.shutdown().unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "ANOTHER\nAND HALF OF ONEthe end\n");
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

/// Reads when it is told to.
const READ_LATER: &str = "
    import threading
    event = channel.gateway.event = threading.Event()
    event.wait()
    channel.send(b''.join(channel))
";

#[test]
fn writing_in_time_loses_nothing_and_what_was_written_needs_no_flush() {
    on_one(|gw| {
        let read_now = || {
            let source = "channel.gateway.event.set()";
            gw.remote_exec(source).unwrap().wait_close().unwrap();
        };
        let chunk = |n: usize| vec![n as u8; 64 << 10];

        let (sender, mut receiver) = gw.remote_exec(READ_LATER).unwrap().split();
        let mut writer = sender.into_writer();
        writer.set_timeout(Some(SHORT));
        let mut chunks = 0;
        let error = loop {
            match writer.write_all(&chunk(chunks)) {
                Ok(()) => chunks += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Nothing of the last one was taken, so nothing waits.
        writer.flush().unwrap();
        read_now();
        writer.set_timeout(None);
        writer.write_all(b"the end").unwrap();
        drop(writer);
        let mut written: Vec<u8> = (0..chunks).flat_map(chunk).collect();
        written.extend(b"the end");
        assert!(receiver.receive_value().unwrap() == Value::from(written));

        // One more than there is room for: writing the last one waits, and nothing is left behind.
        let (sender, mut receiver) = gw.remote_exec(READ_LATER).unwrap().split();
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let mut writer = sender.into_writer();
            (0..=chunks).for_each(|n| writer.write_all(&chunk(n)).unwrap());
            drop(writer);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(SHORT).is_err());
        read_now();
        let written: Vec<u8> = (0..=chunks).flat_map(chunk).collect();
        assert!(receiver.receive_value().unwrap() == Value::from(written));
        is_done.recv().unwrap();
    });
}

#[test]
fn a_reader_tells_what_is_no_text_and_how_it_ended() {
    on_one(|gw| {
        for (source, kind, words) in [
            ("channel.send(1)", io::ErrorKind::InvalidData, "received 1"),
            ("channel.send(b'ab'); 1/0", io::ErrorKind::Other, "ZeroDivisionError"),
            ("import os; os._exit(4)", io::ErrorKind::ConnectionAborted, "exit status 4"),
        ] {
            let (_sender, receiver) = gw.remote_exec(source).unwrap().split();
            let error = receiver.into_reader().read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}

// Channels in items.

#[test]
fn channels_cross_in_both_directions() {
    #[derive(serde::Deserialize)]
    struct Offer {
        price: f64,
        buy: Channel,
    }
    on_one(|gw| {
        let source = "buy = channel.gateway.newchannel()\n\
             channel.send({'price': 1.5, 'buy': buy})\n\
             buy.send('sold for %s' % buy.receive())\n\
             made = channel.gateway.newchannel()\n\
             channel.send(made); made.send(7)";
        let mut channel = gw.remote_exec(source).unwrap();
        let mut offer: Offer = channel.receive().unwrap();
        offer.buy.send(&offer.price).unwrap();
        assert_eq!(offer.buy.receive::<String>().unwrap(), "sold for 1.5");
        let Value::Channel(id) = channel.receive_value().unwrap() else { panic!("a channel") };
        assert_eq!(gw.channel(id).unwrap().receive::<i64>().unwrap(), 7);

        let (sender, mut receiver) = gw.new_channel().unwrap().split();
        let mut channel = gw.remote_exec("channel.receive()['to'].send('here')").unwrap();
        channel.send(&std::collections::BTreeMap::from([("to", &receiver)])).unwrap();
        assert_eq!(receiver.receive::<String>().unwrap(), "here");
        drop(sender);
        let mut channel = gw.remote_exec("channel.receive()").unwrap();
        channel.close_with_error("not wanted");
        assert!(channel.is_closed());
    });
}

// Ends.

#[test]
fn dropping_the_last_handle_kills_the_worker() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let lifeline = Lifeline::new();
        let source = format!("{}while True: pass", lifeline.source());
        let group = group();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        let channel = gw.remote_exec(source).unwrap();
        let life = lifeline.accept();
        drop((group, gw));
        assert!(!channel.is_closed(), "a channel is a handle");
        drop(MultiChannel::new(vec![channel]));
        life.wait_for_death();
    });
}

/// However a process ends: its workers do as well, busy ones too.
#[test]
fn the_end_of_the_process_leaves_no_worker() {
    let Some(spec) = spec() else { return };
    for way in ["return", "exit", "panic", "-TERM", "-KILL"] {
        let (spec, lifeline) = (spec.clone(), Lifeline::new());
        watched(move || {
            let mut process = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_program_that_forgets_its_workers", "--ignored", "--nocapture"])
                .envs([("SPEC", &spec), ("SOURCE", &lifeline.source()), ("WAY", &way.to_owned())])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let lives = [lifeline.accept(), lifeline.accept()];
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("at work")), "{way}");
            if way.starts_with('-') {
                let pid = process.id().to_string();
                assert!(Command::new("kill").args([way, &pid]).status().unwrap().success());
            }
            lives.into_iter().for_each(common::Life::wait_for_death);
            process.wait().unwrap();
        });
    }
}

#[test]
#[ignore = "is run by the_end_of_the_process_leaves_no_worker"]
fn a_program_that_forgets_its_workers() {
    static HANDLES: Mutex<Vec<(Group, Gateway, Channel)>> = Mutex::new(vec![]);
    let var = |name| std::env::var(name).expect("run by the other test");
    let busy = var("SOURCE") + "channel.send(1)\nwhile True: pass";
    for _ in 0..2 {
        let group = group();
        let gw = group.make_gateway(var("SPEC").as_str()).unwrap();
        let mut channel = gw.remote_exec(busy.as_str()).unwrap();
        channel.receive::<i64>().unwrap();
        HANDLES.lock().unwrap().push((group, gw, channel));
    }
    println!("at work");
    match var("WAY").as_str() {
        "return" => {}
        "exit" => std::process::exit(3),
        "panic" => panic!("as asked"),
        _ => {
            let mut handles = HANDLES.lock().unwrap();
            let _ = handles[0].2.receive_value();
        }
    }
}

#[test]
fn programs_on_the_gateways_machine() {
    on_one(|gw| {
        let output = gw.command(["sh", "-c", "echo out; exit 3"]).output().unwrap();
        assert_eq!((&*output.stdout, output.status.code()), (&b"out\n"[..], Some(3)));
        let mut cat = gw.command(["cat"]).spawn().unwrap();
        Write::write_all(cat.stdin.as_mut().unwrap(), b"there and back").unwrap();
        assert!(cat.wait().unwrap().success());
        let text = io::read_to_string(cat.stdout.take().unwrap()).unwrap();
        assert_eq!(text, "there and back");
        assert_eq!(
            gw.command(["sleep", "1000"]).spawn().unwrap().kill().unwrap().signal(),
            Some(9)
        );
    });
}
