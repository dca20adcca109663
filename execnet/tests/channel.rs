//! Channels: inside items, by callback, as streams of bytes.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{WATCHDOG, bounded, group, popen};
use execnet::{Channel, ChannelId, Gateway, ReceiveError, Value, WaitError};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Runs a scenario on one interpreter; what is Python's part runs on all of them elsewhere.
async fn on_one<F: Future<Output = ()>>(scenario: impl FnOnce(Gateway) -> F) {
    let group = group();
    let Some(gateway) = popen(&group).await else { return };
    bounded(scenario(gateway)).await;
    bounded(group.terminate(Duration::from_secs(5))).await.expect("it ends");
}

// Channels inside items.

#[tokio::test]
async fn a_channel_crosses_in_any_structure_and_back() {
    #[derive(Serialize)]
    struct Job<'a> {
        name: &'a str,
        answers: [&'a Channel; 2],
    }
    on_one(|gw| async move {
        let [mut first, mut second] = [(); 2].map(|()| gw.new_channel().unwrap());
        let source = "job = channel.receive()\n\
             for n, answers in enumerate(job['answers']): answers.send((job['name'], n))\n\
             channel.send({answers: [answers.id] for answers in job['answers']})\n\
             channel.gateway.kept = job['answers'][0]";
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&Job { name: "x", answers: [&first, &second] }).await.unwrap();
        assert_eq!(first.receive::<(String, i64)>().await.unwrap(), ("x".into(), 0));
        assert_eq!(second.receive::<(String, i64)>().await.unwrap(), ("x".into(), 1));
        // They come back as what they are, and are still the ones that we have.
        let back = channel.receive::<BTreeMap<ChannelId, Vec<u64>>>().await.unwrap();
        let ids = [&first, &second].map(|channel| (channel.id(), vec![channel.id().get().into()]));
        assert_eq!(back, BTreeMap::from(ids));
        channel.wait_close().await.unwrap();

        // What the remote side keeps outlives the task, what it drops is closed.
        assert!(matches!(second.receive_value().await, Err(ReceiveError::End)));
        first.send("again").await.unwrap();
        let source = "c = channel.receive(); c.send((c.receive(), c is channel.gateway.kept))";
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&first).await.unwrap();
        assert_eq!(first.receive::<(String, bool)>().await.unwrap(), ("again".into(), true));
    })
    .await;
}

#[tokio::test]
async fn a_channel_made_there_is_received_once() {
    on_one(|gw| async move {
        let source = "made = [channel.gateway.newchannel() for _ in range(3)]\n\
             channel.send((made[0], 'named'))\n\
             made[0].send(1)\n\
             channel.send(made[1])\n\
             channel.send(made[1])\n\
             channel.send({'late': made[2]})\n\
             made[2].send(3)\n\
             channel.send(made[0].receive())";
        let mut channel = gw.remote_exec(source).await.unwrap();
        let (mut first, name) = channel.receive::<(Channel, String)>().await.unwrap();
        assert_eq!((first.receive::<i64>().await.unwrap(), name.as_str()), (1, "named"));
        let second = channel.receive::<Channel>().await.unwrap();
        let error = channel.receive::<Channel>().await.unwrap_err();
        assert!(error.to_string().contains("in use already"), "{error}");

        let late = channel.receive_value().await.unwrap();
        let id = late.get("late").and_then(Value::as_channel).expect("a channel");
        assert!(gw.channel(second.id()).is_none() && gw.channel(channel.id()).is_none());
        let mut late = gw.channel(id).expect("nobody has taken it");
        assert_eq!(late.receive::<i64>().await.unwrap(), 3);

        first.send("to there").await.unwrap();
        assert_eq!(channel.receive::<String>().await.unwrap(), "to there");
    })
    .await;
}

#[tokio::test]
async fn a_channel_of_another_gateway_is_refused_where_it_is_sent() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let other = popen(&group).await.unwrap();
    let foreign = other.new_channel().unwrap();
    let mut channel = gw.remote_exec("channel.send(channel.receive())").await.unwrap();
    let error = bounded(channel.send(&[&foreign])).await.unwrap_err().to_string();
    assert!(error.contains("belongs to gateway gw1") && error.contains("gw0"), "{error}");
    assert!(serde_json::to_string(&foreign).is_err(), "it means nothing anywhere else");
    // Nothing was sent.
    channel.send(&1).await.unwrap();
    assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
    group.terminate(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_type_that_holds_a_channel_can_be_received() {
    #[derive(Deserialize)]
    struct Offer {
        price: f64,
        buy: Channel,
    }
    on_one(|gw| async move {
        let source = "buy = channel.gateway.newchannel()\n\
             channel.send({'price': 1.5, 'buy': buy})\n\
             buy.send('sold for %s' % buy.receive())";
        let mut channel = gw.remote_exec(source).await.unwrap();
        let mut offer: Offer = channel.receive().await.unwrap();
        offer.buy.send(&offer.price).await.unwrap();
        assert_eq!(offer.buy.receive::<String>().await.unwrap(), "sold for 1.5");
    })
    .await;
}

// By callback.

/// What a callback was called with, until its end.
async fn told(channel: Channel) -> Vec<String> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (_sender, receiver) = channel.split();
    let done = receiver.set_callback(move |item| {
        tell.send(match item {
            Ok(value) => value.to_string(),
            Err(ReceiveError::End) => "end".to_owned(),
            Err(ReceiveError::Remote(error)) => error.kind().to_owned(),
            Err(ReceiveError::Lost(_)) => "lost".to_owned(),
            Err(other) => other.to_string(),
        })?;
        Ok(())
    });
    done.await.unwrap();
    let mut all = Vec::new();
    told.recv_many(&mut all, 100).await;
    all
}

#[tokio::test]
async fn a_callback_is_told_every_item_and_one_end() {
    on_one(|gw| async move {
        let run = |source: &'static str| {
            let gw = gw.clone();
            async move { told(gw.remote_exec(source).await.unwrap()).await }
        };
        assert_eq!(run("for n in range(3): channel.send(n)").await, ["0", "1", "2", "end"]);
        assert_eq!(run("channel.send('x'); 1/0").await, ["'x'", "ZeroDivisionError"]);
        assert_eq!(run("channel.close()").await, ["end"]);
        assert_eq!(run("channel.send(1)\nimport os; os._exit(3)").await.last().unwrap(), "lost");
    })
    .await;
}

#[tokio::test]
async fn a_callback_that_fails_closes_its_channel_and_no_other() {
    on_one(|gw| async move {
        let source = "channel.send(1)\ntry: channel.receive()\n\
             except channel.RemoteError as e: channel.gateway.told.put((e.type, e.message))\n";
        let setup = "import queue; channel.gateway.told = queue.Queue()";
        gw.remote_exec(setup).await.unwrap().wait_close().await.unwrap();
        for panics in [false, true] {
            let calls = Arc::new(Mutex::new(0));
            let count = calls.clone();
            let (sender, receiver) = gw.remote_exec(source).await.unwrap().split();
            let done = receiver.set_callback(move |_| {
                *count.lock().unwrap() += 1;
                assert!(!panics, "a bug");
                Err("no more of this".into())
            });
            done.await.unwrap();
            drop(sender);
            assert_eq!(*calls.lock().unwrap(), 1, "it is not called again");

            let mut other =
                gw.remote_exec("channel.send(channel.gateway.told.get())").await.unwrap();
            let (kind, message): (String, String) = other.receive().await.unwrap();
            let expected = match panics {
                false => ("CallbackError", "no more of this"),
                true => ("CallbackPanicked", "a bug"),
            };
            assert_eq!((kind.as_str(), message.as_str()), expected);
        }
    })
    .await;
}

// As streams of bytes, of values.

#[tokio::test]
async fn a_reader_and_a_writer_are_files_at_the_other_end() {
    on_one(|gw| async move {
        let source = "source, sink = channel.makefile('r'), channel.makefile('w')\n\
             for line in source: sink.write(line.upper())\n\
             print('the end', file=sink)";
        let (sender, receiver) = gw.remote_exec(source).await.unwrap().split();
        let mut writer = sender.into_writer();
        let mut lines = receiver.into_reader().lines();
        for line in ["a line\n", "", "another\n", "and half of one"] {
            writer.write_all(line.as_bytes()).await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "A LINE");
        writer.shutdown().await.unwrap();
        let mut rest = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            rest.push(line);
        }
        assert_eq!(rest, ["ANOTHER", "AND HALF OF ONEthe end"]);
    })
    .await;
}

#[tokio::test]
async fn much_data_passes_through_a_writer_and_a_reader() {
    on_one(|gw| async move {
        let source = "for chunk in channel: channel.send(chunk)";
        let (sender, receiver) = gw.remote_exec(source).await.unwrap().split();
        let data: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
        let expected = data.clone();
        let writing = tokio::spawn(async move {
            let mut writer = sender.into_writer();
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        receiver.into_reader().read_to_end(&mut back).await.unwrap();
        assert!(back == expected, "{} bytes came back", back.len());
        writing.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_reader_tells_what_is_no_text_and_how_it_ended() {
    on_one(|gw| async move {
        for (source, kind, words) in [
            ("channel.send(1)", std::io::ErrorKind::InvalidData, "received 1"),
            ("channel.send(b'ab'); 1/0", std::io::ErrorKind::Other, "ZeroDivisionError"),
            ("import os; os._exit(4)", std::io::ErrorKind::ConnectionAborted, "exit status 4"),
        ] {
            let (_sender, receiver) = gw.remote_exec(source).await.unwrap().split();
            let error = receiver.into_reader().read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_channel_is_a_sink_and_a_stream() {
    on_one(|gw| async move {
        let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)").await.unwrap();
        let items = [Value::from(1), Value::from("ab"), Value::from(b"\0".to_vec())];
        let mut items = futures_util::stream::iter(items.map(Ok));
        channel.send_all(&mut items).await.unwrap();
        SinkExt::<Value>::close(&mut channel).await.unwrap();
        let back: Vec<_> = channel.map(|item| item.unwrap().to_string()).collect().await;
        assert_eq!(back, ["2", "'abab'", "b'\\x00\\x00'"]);

        let mut dead = gw.remote_exec("import os; os._exit(5)").await.unwrap();
        let lost = dead.wait_close().await.unwrap_err();
        assert!(matches!(lost, WaitError::Lost(_)), "{lost}");
        let error = SinkExt::send(&mut dead, Value::None).await.unwrap_err();
        assert!(error.to_string().contains("exit status 5"), "{error}");
    })
    .await;
}

/// What `tracing` is told on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

#[tokio::test]
async fn an_error_that_nobody_receives_is_a_warning() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);

    let ended = async |interrupt: bool| {
        let source = "channel.send(1)\nchannel.receive()\n1/0";
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
        if interrupt {
            channel.interrupt();
        } else {
            channel.send(&()).await.unwrap();
        }
        while !channel.is_closed() {
            tokio::task::yield_now().await;
        }
        channel
    };
    drop(ended(false).await);
    let warning = log.take();
    for part in ["WARN", "gateway=\"gw0\"", "nobody received", "1/0", "ZeroDivisionError"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    // Who has heard of it, or has asked for it, needs no warning.
    let mut received = ended(false).await;
    assert!(bounded(received.receive::<i64>()).await.is_err());
    drop((received, ended(true).await));
    let waiting = gw.remote_exec("channel.send(1)\nchannel.receive()").await.unwrap();
    bounded(group.terminate(WATCHDOG)).await.unwrap();
    drop(waiting);
    assert_eq!(log.take(), "");
}
