//! What py.execnet's documentation shows, with the blocking API, in its order.

mod common;

use std::collections::HashSet;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::threads::{group, on_one, spec, watched};
use execnet::blocking::{Group, MultiChannel};
use execnet::{Output, ReceiveError, Source, Value, WaitError, XSpec};

/// A program in a file of its own, as one is sent that is too long to be quoted.
fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program.py");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

// Basic communication.

#[test]
fn code_in_a_process_of_its_own_is_talked_with_over_a_channel() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("channel.send(channel.receive() + 1)").unwrap();
        channel.send(&1).unwrap();
        assert_eq!(channel.receive::<i64>().unwrap(), 2);
    });
}

#[test]
fn the_process_is_another_one() {
    on_one(|gw| {
        let mut channel = gw.remote_exec("import os; channel.send(os.getpid())").unwrap();
        let pid: u64 = channel.receive().unwrap();
        assert_eq!(pid, gw.info().pid);
        assert_ne!(pid, u64::from(std::process::id()));
    });
}

#[test]
fn a_function_with_arguments_runs_there() {
    on_one(|gw| {
        let source = "
            def multiply(channel, factor):
                for n in channel:
                    channel.send(n * factor)
        ";
        let source = Source::from(source).call("multiply").arg("factor", 10);
        let mut channel = gw.remote_exec(source).unwrap().typed::<i64, i64>();
        for n in 0..10 {
            channel.send(&n).unwrap();
            assert_eq!(channel.receive().unwrap(), n * 10);
        }
        channel.finish_sending();
        channel.wait_close().unwrap();
    });
}

#[test]
fn a_file_runs_there_and_knows_it() {
    on_one(|gw| {
        let program = "if __name__ == '__channelexec__':\n    channel.send('ready')\n";
        let (_dir, path) = file(program);
        let mut channel = gw.remote_exec(Source::file(&path)).unwrap();
        assert_eq!(channel.receive::<String>().unwrap(), "ready");
        let mut channel = gw.remote_exec(Source::from(program).named("program.py")).unwrap();
        assert_eq!(channel.receive::<String>().unwrap(), "ready");
    });
}

#[test]
fn the_working_directory_is_ours_unless_another_is_asked_for() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let elsewhere = XSpec::try_from(spec.as_str()).unwrap();
        let elsewhere = format!("{elsewhere}//chdir={}", dir.display());
        let group = group();
        let here = std::env::current_dir().unwrap();
        for (spec, expected) in [(&spec, &here), (&elsewhere, &dir)] {
            let gw = group.make_gateway(spec.as_str()).unwrap();
            let mut channel = gw.remote_exec("import os; channel.send(os.getcwd())").unwrap();
            let cwd: String = channel.receive().unwrap();
            assert_eq!(Path::new(&cwd), expected);
            assert_eq!(gw.info().cwd, cwd);
        }
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn the_far_end_is_asked_for_facts() {
    on_one(|gw| {
        let source = "
            import sys, os
            channel.send((sys.platform, tuple(sys.version_info), os.getpid()))
        ";
        type Facts = (String, (u8, u8, u8, String, u8), u64);
        let (platform, version, pid): Facts = gw.remote_exec(source).unwrap().receive().unwrap();
        // It had told the same unasked.
        assert_eq!(platform, gw.info().platform);
        let told = format!("{}.{}.{}", version.0, version.1, version.2);
        assert!(gw.info().version.starts_with(&told), "{told}, {}", gw.info().version);
        assert_eq!(pid, gw.info().pid);
    });
}

#[test]
fn a_callback_collects_and_its_end_is_waited_for() {
    on_one(|gw| {
        let (_sender, receiver) =
            gw.remote_exec("for n in range(10): channel.send(n)").unwrap().split();
        let (tell, told) = mpsc::channel();
        let done = receiver.set_callback(move |item| {
            tell.send(item.ok().and_then(|value| value.as_i64()))?;
            Ok(())
        });
        done.join();
        let collected: Vec<_> = told.try_iter().collect();
        let expected: Vec<_> = (0..10).map(Some).chain([None]).collect();
        assert_eq!(collected, expected);
    });
}

#[test]
fn channels_are_sent_over_channels() {
    on_one(|gw| {
        let source = "
            first, second = channel.receive()
            second.send('world')
            first.send('hello')
        ";
        let mut channel = gw.remote_exec(source).unwrap();
        let (mut first, mut second) = (gw.new_channel().unwrap(), gw.new_channel().unwrap());
        channel.send(&(&first, &second)).unwrap();
        assert_eq!(first.receive::<String>().unwrap(), "hello");
        assert_eq!(second.receive::<String>().unwrap(), "world");
    });
}

#[test]
fn a_loop_over_there_serves_calls() {
    on_one(|gw| {
        let (_dir, path) = file(
            "def simple(x):\n    return x + 1\n\n\
             for call in channel:\n    channel.send(eval(call))\n",
        );
        let mut channel = gw.remote_exec(Source::file(path)).unwrap();
        for (call, answer) in [("simple(10)", 11), ("simple(simple(1))", 3)] {
            channel.send(call).unwrap();
            assert_eq!(channel.receive::<i64>().unwrap(), answer);
        }
        channel.finish_sending();
        channel.wait_close().unwrap();
    });
}

#[test]
fn files_are_fetched_by_name() {
    on_one(|gw| {
        let source = "
            for name in channel:
                with open(name, 'rb') as file:
                    channel.send(file.read())
        ";
        let dir = tempfile::tempdir().unwrap();
        let mut channel = gw.remote_exec(source).unwrap();
        for (name, contents) in [("text", b"root:x:0\n".to_vec()), ("bytes", vec![0xff; 1 << 20])] {
            let path = dir.path().join(name);
            std::fs::write(&path, &contents).unwrap();
            channel.send(&path).unwrap();
            assert_eq!(channel.receive_value().unwrap(), Value::from(contents));
        }
    });
}

#[test]
fn a_file_is_written_and_read_over_a_channel() {
    on_one(|gw| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        let source = "
            def copy(channel, path):
                with open(path, 'wb') as file:
                    for chunk in channel: file.write(chunk)
                with open(path, 'rb') as file:
                    for chunk in iter(lambda: file.read(100000), b''): channel.send(chunk)
        ";
        let source = Source::from(source).call("copy").arg("path", path.to_str().unwrap());
        let (sender, receiver) = gw.remote_exec(source).unwrap().split();
        let mut writer = BufWriter::new(sender.into_writer());
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        for piece in data.chunks(777) {
            writer.write_all(piece).unwrap();
        }
        drop(writer);
        let mut back = Vec::new();
        receiver.into_reader().read_to_end(&mut back).unwrap();
        assert!(back == data && std::fs::read(path).unwrap() == data);
    });
}

// Many channels.

/// A group of that many, and what they run.
fn with_many(count: usize, scenario: impl FnOnce(Group) + Send + 'static) {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        group.make_all(vec![spec.as_str(); count]).unwrap();
        scenario(group);
    });
}

#[test]
fn channels_are_put_together() {
    with_many(2, |group| {
        let channels = group.gateways().into_iter().zip(1..);
        let channels =
            channels.map(|(gw, n)| gw.remote_exec(format!("channel.send({n})")).unwrap());
        let mut channels = MultiChannel::new(channels.collect());
        assert_eq!(channels.channels().len(), 2);
        assert_eq!(channels.channels()[1].gateway().id(), "gw1");
        let sum: i64 = channels.receive_each::<i64>().into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn results_are_taken_from_one_queue() {
    with_many(2, |group| {
        let source = "channel.send(1 if channel.gateway.id == 'gw0' else 2)";
        let (_senders, queue) = group.remote_exec(source).unwrap().receive_queue();
        let items: Vec<_> = queue.filter_map(|(_, item)| item.ok()?.as_i64()).collect();
        assert_eq!(items.iter().sum::<i64>(), 3);
    });
}

#[test]
fn sending_goes_on_beside_a_callback() {
    on_one(|gw| {
        let (mut sender, receiver) =
            gw.remote_exec("channel.receive(); channel.send(42)").unwrap().split();
        let (tell, told) = mpsc::channel();
        let done = receiver.set_callback(move |item| Ok(tell.send(item.map_err(drop))?));
        sender.send(&1).unwrap();
        sender.wait_close().unwrap();
        done.join();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Ok(Value::Int(42)), Err(())]);
    });
}

#[test]
fn a_queue_tells_every_end_also_of_those_that_are_terminated() {
    with_many(3, |group| {
        let channels = group.remote_exec("channel.send(channel.receive() + 1)").unwrap();
        let (mut senders, mut queue) = channels.receive_queue();
        senders[0].send(&1).unwrap();
        let Some((0, Ok(item))) = queue.next() else { panic!("an item of the first") };
        assert_eq!(item.as_i64(), Some(2));
        // Two still wait to receive.
        group.terminate(Duration::from_secs(1)).unwrap();
        assert!(group.is_empty());
        let ends: Vec<_> = queue.collect();
        assert!(ends.iter().all(|(_, end)| end.is_err()), "{ends:?}");
        let members: HashSet<_> = ends.iter().map(|(index, _)| *index).collect();
        assert_eq!((ends.len(), members.len()), (3, 3), "{ends:?}");
    });
}

#[test]
fn tasks_saturate_the_workers_and_no_result_is_lost() {
    with_many(3, |group| {
        let source = "
            channel.send('ready')
            for task in channel: channel.send(task * task)
        ";
        let channels = group.remote_exec(source).unwrap();
        let (mut senders, queue) = channels.receive_queue();
        let (mut tasks, mut results, mut ended) = (0..100i64, Vec::new(), 0);
        for (index, item) in queue {
            match item {
                Ok(Value::Str(_)) => {}
                Ok(result) => results.push(result.as_i64().unwrap()),
                Err(ReceiveError::End) => {
                    ended += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            // It is idle: it gets the next task, or is told that there is none.
            match tasks.next() {
                Some(task) => senders[index].send(&task).unwrap(),
                None => senders[index].finish_sending(),
            }
        }
        results.sort_unstable();
        assert!(results.into_iter().eq((0..100).map(|n| n * n)));
        assert_eq!(ended, 3);
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}

// Groups.

#[test]
fn a_group_knows_its_members() {
    with_many(2, |group| {
        assert_eq!(group.len(), 2);
        let ids: Vec<_> = group.gateways().iter().map(|gw| gw.id().to_owned()).collect();
        assert_eq!(ids, ["gw0", "gw1"]);
        assert!(group.get("gw1").unwrap().is_same(&group.gateways()[1]));
        assert!(group.get("gw2").is_none());
        group.terminate(Duration::from_secs(5)).unwrap();
        assert!(group.is_empty() && group.gateways().is_empty());
    });
}

#[test]
fn ids_are_given_in_specifications() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        let gw = group.make_gateway(format!("{spec}//id=sub1")).unwrap();
        assert_eq!(gw.id(), "sub1");
        assert!(group.get("sub1").unwrap().is_same(&gw));
    });
}

#[test]
fn a_sleeper_is_terminated_in_time() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        let gw = group.make_gateway(format!("{spec}//id=sleeper")).unwrap();
        let mut channel = gw.remote_exec("import time; channel.send(1); time.sleep(1000)").unwrap();
        channel.receive::<i64>().unwrap();
        group.terminate(Duration::from_secs(1)).unwrap();
        assert!(group.is_empty() && gw.is_lost());
        assert!(channel.wait_close().is_err());
    });
}

#[test]
fn a_group_makes_gateways_of_one_kind() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let dir = tempfile::tempdir().unwrap();
        let spec = format!("{spec}//chdir={}/mytmp//nice=19", dir.path().display());
        let group = Group::builder().default_spec(spec).output(Output::discard()).build();
        let gw = group.make_default_gateway().unwrap();
        let source = "import os; channel.send((os.path.basename(os.getcwd()), os.nice(0)))";
        let mut channel = gw.remote_exec(source).unwrap();
        let (name, nice): (String, i64) = channel.receive().unwrap();
        assert_eq!((name.as_str(), nice), ("mytmp", 19));
    });
}

#[test]
fn a_worker_is_asked_how_it_is() {
    on_one(|gw| {
        let number = |key: &str| {
            let Value::Dict(status) = gw.status().unwrap() else { panic!("a dict") };
            let found = status.into_iter().find(|(name, _)| name.as_str() == Some(key));
            found.and_then(|(_, value)| value.as_i64()).unwrap()
        };
        assert_eq!((number("executing"), number("channels")), (0, 0));
        let mut channel = gw.remote_exec("channel.send(1); channel.receive()").unwrap();
        channel.receive::<i64>().unwrap();
        assert_eq!((number("executing"), number("channels")), (1, 1));
        channel.send(&1).unwrap();
        channel.wait_close().unwrap();
    });
}

#[test]
fn remote_errors_are_told_with_their_traceback() {
    on_one(|gw| {
        let source =
            Source::from("def fail():\n    raise KeyError('here')\nfail()").named("job.py");
        let channel = gw.remote_exec(source).unwrap();
        let Err(WaitError::Remote(error)) = channel.wait_close() else { panic!("an error") };
        assert_eq!(error.kind(), "KeyError");
        let traceback = error.traceback().unwrap();
        assert!(traceback.contains("\"job.py\", line 2, in fail"), "{traceback}");
        assert!(traceback.contains("raise KeyError('here')"), "{traceback}");
    });
}

#[test]
fn threads_share_the_workers() {
    with_many(2, |group| {
        let pids = thread::scope(|scope| {
            let asking = group.gateways().into_iter().cycle().take(8).map(|gw| {
                scope.spawn(move || {
                    let mut channel = gw.remote_exec("import os; channel.send(os.getpid())");
                    channel.as_mut().unwrap().receive::<u64>().unwrap()
                })
            });
            let asking: Vec<_> = asking.collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect::<HashSet<_>>()
        });
        assert_eq!(pids.len(), 2);
    });
}
