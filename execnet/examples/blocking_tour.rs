//! The whole API once, without `async`; [`tour`](tour.rs) is the same with it, and prints the same.
//!
//! ```text
//! $ cargo run -p execnet --example blocking_tour
//! items: 42, and exactly: (1, None, 'two', b'\x03')
//! …
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use execnet::blocking::{Channel, Gateway, Group};
use execnet::{ReceiveError, SendError, Source, Value};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const SOON: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result {
    tour("popen", &mut io::stdout())
}

/// Shows everything on interpreters of this specification.
pub(crate) fn tour(spec: &str, out: &mut dyn Write) -> Result {
    let group = Group::new();
    let gw = group.make_gateway(spec)?;
    items(&gw, out)?;
    functions(&gw, out)?;
    iteration(&gw, out)?;
    errors(&gw, out)?;
    limits(&gw, out)?;
    both_directions(&gw, out)?;
    callbacks(&gw, out)?;
    channels_in_items(&gw, out)?;
    files(&gw, out)?;
    interrupts(&gw, out)?;
    many(&group, spec, out)?;
    group.terminate(PATIENCE)?;
    writeln!(out, "after terminate: {} gateways", group.len())?;
    Ok(())
}

fn items(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)")?;
    channel.send(&21)?;
    let n: i64 = channel.receive()?;
    let mut channel = gw.remote_exec("channel.send((1, None, 'two', b'\\x03'))")?;
    let value: Value = channel.receive_value()?;
    writeln!(out, "items: {n}, and exactly: {value}")?;
    Ok(())
}

fn functions(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = Source::from("def power(channel, base, exponent): channel.send(base ** exponent)");
    let source = source.call("power").arg("base", 2).arg("exponent", 100);
    let value = gw.remote_exec(source)?.receive_value()?;
    writeln!(out, "a function with arguments: {value}")?;
    Ok(())
}

fn iteration(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("for n in range(3): channel.send(n)")?;
    for item in &mut channel {
        writeln!(out, "iteration: {}", item?)?;
    }
    let mut channel = gw.remote_exec("channel.send(sum(channel))")?.typed::<i64, i64>();
    for n in 1..=10 {
        channel.send(&n)?;
    }
    channel.finish_sending();
    writeln!(out, "typed, and half-closed: {}", channel.receive()?)?;
    channel.wait_close()?;
    Ok(())
}

fn errors(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send('before')\n1 / 0")?;
    let before: String = channel.receive()?;
    let Err(ReceiveError::Remote(error)) = channel.receive_value() else {
        return Err("expected the remote exception".into());
    };
    writeln!(out, "{before} the error: {}: {}", error.kind(), error.message())?;
    let error = channel.send(&1).unwrap_err();
    writeln!(out, "sending to it: {error}")?;
    Ok(())
}

fn limits(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send(channel.receive())")?;
    let timed_out = channel.receive_timeout::<String>(SOON).is_err();
    channel.send("late, not lost")?;
    let item: String = channel.receive()?;
    writeln!(out, "limits: timed out: {timed_out}; {item}")?;
    Ok(())
}

fn both_directions(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = "for x in channel: channel.send(-x)";
    let (mut sender, mut receiver) = gw.remote_exec(source)?.split();
    let sending = thread::spawn(move || {
        for n in 0..1000 {
            sender.send(&n)?;
        }
        Ok::<_, SendError>(())
    });
    let mut sum = 0;
    for item in &mut receiver {
        sum += item?.as_i64().unwrap_or_default();
    }
    sending.join().expect("no panic")?;
    writeln!(out, "both directions: {sum}")?;
    Ok(())
}

fn callbacks(gw: &Gateway, out: &mut dyn Write) -> Result {
    let (_sender, receiver) = gw.remote_exec("for n in range(3): channel.send(n)")?.split();
    let (tell, told) = mpsc::channel();
    let done = receiver.set_callback(move |item| {
        tell.send(item.map_or_else(|end| end.to_string(), |value| value.to_string()))?;
        Ok(())
    });
    done.join();
    for text in told.try_iter() {
        writeln!(out, "callback: {text}")?;
    }
    Ok(())
}

fn channels_in_items(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut answers = gw.new_channel()?;
    let source = "job = channel.receive(); job['answers'].send('answered elsewhere')\n\
         made = channel.gateway.newchannel(); channel.send(made); made.send('made there')";
    let mut channel = gw.remote_exec(source)?;
    channel.send(&BTreeMap::from([("answers", &answers)]))?;
    let answer: String = answers.receive()?;
    let mut made: Channel = channel.receive()?;
    writeln!(out, "channels in items: {answer}, {}", made.receive::<String>()?)?;
    Ok(())
}

fn files(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = "sink = channel.makefile('w')\n\
         for line in channel.makefile('r'): sink.write(line.upper())";
    let (sender, receiver) = gw.remote_exec(source)?.split();
    let mut writer = sender.into_writer();
    writer.write_all(b"a line\nand another\n")?;
    writer.shutdown()?;
    for line in receiver.into_reader().lines() {
        writeln!(out, "files: {}", line?)?;
    }
    Ok(())
}

fn interrupts(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send('busy')\nwhile True: pass")?;
    let busy: String = channel.receive()?;
    channel.interrupt();
    let error = channel.wait_close().unwrap_err().to_string();
    writeln!(out, "{busy}: {}", error.lines().last().unwrap_or_default())?;
    Ok(())
}

fn many(group: &Group, spec: &str, out: &mut dyn Write) -> Result {
    for gateway in group.make_gateways([spec, spec, "popen//pyhton=3"]) {
        match gateway {
            Ok(gateway) => writeln!(out, "started {}", gateway.id())?,
            Err(error) => writeln!(out, "not started: {error}")?,
        }
    }
    let source = "
        import os
        for x in channel:
            if channel.gateway.id == 'gw2': os._exit(x)
            channel.send([channel.gateway.id, x])
    ";
    let mut channels = group.remote_exec(source)?;
    for sent in channels.send_each(&7) {
        sent?;
    }
    for item in channels.receive_each::<(String, i64)>() {
        match item {
            Ok((id, x)) => writeln!(out, "from {id}: {x}")?,
            Err(ReceiveError::Lost(lost)) => {
                let ending = lost.ending().ok_or("its process has ended")?;
                writeln!(out, "{} is gone: {ending}", lost.id())?;
            }
            Err(error) => return Err(error.into()),
        }
    }

    group.exit(&group.get("gw2").ok_or("it is a member until then")?, PATIENCE);
    let (mut senders, queue) =
        group.remote_exec("channel.send(channel.receive())")?.receive_queue();
    for (n, sender) in senders.iter_mut().enumerate() {
        sender.send(&n)?;
    }
    let mut seen = Vec::new();
    for (index, item) in queue {
        seen.push(match item {
            Ok(item) => format!("queue: member {index}: {item}"),
            Err(end) => format!("queue: member {index}: {end}"),
        });
    }
    // They come as they come.
    seen.sort();
    seen.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(())
}
