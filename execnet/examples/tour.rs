//! The whole API once; [`blocking_tour`](blocking_tour.rs) is the same without `async`, and prints the same.
//!
//! ```text
//! $ cargo run -p execnet --example tour
//! items: 42, and exactly: (1, None, 'two', b'\x03')
//! …
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use execnet::{Channel, Gateway, Group, ReceiveError, SendError, Source, Value};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::time::timeout;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const SOON: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    tour("popen", &mut io::stdout()).await
}

/// Shows everything on interpreters of this specification.
pub(crate) async fn tour(spec: &str, out: &mut dyn Write) -> Result {
    let group = Group::new();
    let gw = group.make_gateway(spec).await?;
    items(&gw, out).await?;
    functions(&gw, out).await?;
    iteration(&gw, out).await?;
    errors(&gw, out).await?;
    limits(&gw, out).await?;
    both_directions(&gw, out).await?;
    callbacks(&gw, out).await?;
    channels_in_items(&gw, out).await?;
    files(&gw, out).await?;
    interrupts(&gw, out).await?;
    many(&group, spec, out).await?;
    group.terminate(PATIENCE).await?;
    writeln!(out, "after terminate: {} gateways", group.len())?;
    Ok(())
}

async fn items(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)").await?;
    channel.send(&21).await?;
    let n: i64 = channel.receive().await?;
    let mut channel = gw.remote_exec("channel.send((1, None, 'two', b'\\x03'))").await?;
    let value: Value = channel.receive_value().await?;
    writeln!(out, "items: {n}, and exactly: {value}")?;
    Ok(())
}

async fn functions(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = Source::from("def power(channel, base, exponent): channel.send(base ** exponent)");
    let source = source.call("power").arg("base", 2).arg("exponent", 100);
    let value = gw.remote_exec(source).await?.receive_value().await?;
    writeln!(out, "a function with arguments: {value}")?;
    Ok(())
}

async fn iteration(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("for n in range(3): channel.send(n)").await?;
    while let Some(item) = channel.next().await {
        writeln!(out, "iteration: {}", item?)?;
    }
    let mut channel = gw.remote_exec("channel.send(sum(channel))").await?.typed::<i64, i64>();
    for n in 1..=10 {
        channel.send(&n).await?;
    }
    channel.finish_sending();
    writeln!(out, "typed, and half-closed: {}", channel.receive().await?)?;
    channel.wait_close().await?;
    Ok(())
}

async fn errors(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send('before')\n1 / 0").await?;
    let before: String = channel.receive().await?;
    let Err(ReceiveError::Remote(error)) = channel.receive_value().await else {
        return Err("expected the remote exception".into());
    };
    writeln!(out, "{before} the error: {}: {}", error.kind(), error.message())?;
    let error = channel.send(&1).await.unwrap_err();
    writeln!(out, "sending to it: {error}")?;
    Ok(())
}

async fn limits(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send(channel.receive())").await?;
    let timed_out = timeout(SOON, channel.receive::<String>()).await.is_err();
    channel.send("late, not lost").await?;
    let item: String = channel.receive().await?;
    writeln!(out, "limits: timed out: {timed_out}; {item}")?;
    Ok(())
}

async fn both_directions(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = "for x in channel: channel.send(-x)";
    let (mut sender, mut receiver) = gw.remote_exec(source).await?.split();
    let sending = tokio::spawn(async move {
        for n in 0..1000 {
            sender.send(&n).await?;
        }
        Ok::<_, SendError>(())
    });
    let mut sum = 0;
    while let Some(item) = receiver.next().await {
        sum += item?.as_i64().unwrap_or_default();
    }
    sending.await??;
    writeln!(out, "both directions: {sum}")?;
    Ok(())
}

async fn callbacks(gw: &Gateway, out: &mut dyn Write) -> Result {
    let (_sender, receiver) = gw.remote_exec("for n in range(3): channel.send(n)").await?.split();
    let (tell, told) = mpsc::channel();
    let done = receiver.set_callback(move |item| {
        tell.send(item.map_or_else(|end| end.to_string(), |value| value.to_string()))?;
        Ok(())
    });
    done.await?;
    for text in told.try_iter() {
        writeln!(out, "callback: {text}")?;
    }
    Ok(())
}

async fn channels_in_items(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut answers = gw.new_channel()?;
    let source = "job = channel.receive(); job['answers'].send('answered elsewhere')\n\
         made = channel.gateway.newchannel(); channel.send(made); made.send('made there')";
    let mut channel = gw.remote_exec(source).await?;
    channel.send(&BTreeMap::from([("answers", &answers)])).await?;
    let answer: String = answers.receive().await?;
    let mut made: Channel = channel.receive().await?;
    writeln!(out, "channels in items: {answer}, {}", made.receive::<String>().await?)?;
    Ok(())
}

async fn files(gw: &Gateway, out: &mut dyn Write) -> Result {
    let source = "sink = channel.makefile('w')\n\
         for line in channel.makefile('r'): sink.write(line.upper())";
    let (sender, receiver) = gw.remote_exec(source).await?.split();
    let mut writer = sender.into_writer();
    writer.write_all(b"a line\nand another\n").await?;
    writer.shutdown().await?;
    let mut lines = receiver.into_reader().lines();
    while let Some(line) = lines.next_line().await? {
        writeln!(out, "files: {line}")?;
    }
    Ok(())
}

async fn interrupts(gw: &Gateway, out: &mut dyn Write) -> Result {
    let mut channel = gw.remote_exec("channel.send('busy')\nwhile True: pass").await?;
    let busy: String = channel.receive().await?;
    channel.interrupt();
    let error = channel.wait_close().await.unwrap_err().to_string();
    writeln!(out, "{busy}: {}", error.lines().last().unwrap_or_default())?;
    Ok(())
}

async fn many(group: &Group, spec: &str, out: &mut dyn Write) -> Result {
    for gateway in group.make_gateways([spec, spec, "popen//pyhton=3"]).await {
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
    let mut channels = group.remote_exec(source).await?;
    for sent in channels.send_each(&7).await {
        sent?;
    }
    for item in channels.receive_each::<(String, i64)>().await {
        match item {
            Ok((id, x)) => writeln!(out, "from {id}: {x}")?,
            Err(ReceiveError::Lost(lost)) => {
                let ending = lost.ending().ok_or("its process has ended")?;
                writeln!(out, "{} is gone: {ending}", lost.id())?;
            }
            Err(error) => return Err(error.into()),
        }
    }

    group.exit(&group.get("gw2").ok_or("it is a member until then")?, PATIENCE).await;
    let (mut senders, mut queue) =
        group.remote_exec("channel.send(channel.receive())").await?.receive_queue();
    for (n, sender) in senders.iter_mut().enumerate() {
        sender.send(&n).await?;
    }
    let mut seen = Vec::new();
    while let Some((index, item)) = queue.next().await {
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
