//! How ours goes on with more channels, more gateways, longer messages, and longer ways.

use std::time::{Duration, Instant};

use bytes::Bytes;
use execnet::{Channel, Gateway, Group, MultiChannel, Output, Scheme, XSpec, worker_command};
use execnet_transport::{Bootstrap, Popen};

use crate::delay::Delayed;
use crate::work::{Result, Values, group, item, resident, spec};

/// One task serves any number of channels.
const SERVE: &str = "
channels = channel.receive()
for n in channel:
    for _ in range(n):
        for c in channels: c.send({'id': 17, 'name': 'worker-17', 'ok': True})
";
const UP: &str = "
size = channel.receive()
item = b'x' * size
for n in channel:
    for _ in range(n): channel.send(item)
";
const DOWN: &str = "
for n in channel:
    for _ in range(n): channel.receive()
    channel.send(n)
";

/// How many bytes a measurement of one size moves at most, and messages.
const MOST_BYTES: u64 = 256 << 20;
const MOST_MESSAGES: u64 = 100_000;

pub(crate) fn is_one(work: &str) -> bool {
    matches!(work, "channels" | "gateways" | "size" | "delay")
}

pub(crate) fn run(work: &str, n: u64) -> Result<Values> {
    // The relay of a delayed link needs a thread beside the one that measures.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match work {
            "channels" => channels(n).await,
            "gateways" => gateways(n).await,
            "size" => size(n).await,
            _ => delay(n).await,
        }
    })
}

/// Small dicts from one worker, over `n` channels of one connection in turn.
async fn channels(n: u64) -> Result<Values> {
    let each = (50_000 / n).max(10);
    let group = group();
    let gateway = group.make_gateway(spec().as_str()).await?;
    let mut channels = Vec::new();
    for _ in 0..n {
        channels.push(gateway.new_channel()?);
    }
    let mut task = gateway.remote_exec(SERVE).await?;
    task.send(&channels).await?;
    let begin = Instant::now();
    task.send(&each).await?;
    let readers = channels.into_iter().map(|mut channel| {
        tokio::spawn(async move {
            for _ in 0..each {
                channel
                    .receive::<crate::work::Item>()
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string())?;
            }
            Ok::<_, String>(channel)
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await??;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let memory = resident("self");
    group.terminate(Duration::from_secs(5)).await?;
    Ok([("messages/s", (n * each) as f64 / seconds), ("controller MiB", memory)].map(named).into())
}

/// `n` gateways, all of which answer again and again.
async fn gateways(n: u64) -> Result<Values> {
    let group = group();
    let begin = Instant::now();
    for gateway in group.make_gateways(vec![spec(); n as usize]).await {
        gateway?;
    }
    let mut all: MultiChannel = group.remote_exec("for x in channel: channel.send(x)").await?;
    all_well(all.send_each(&item(1)).await)?;
    all_well(all.receive_each::<crate::work::Item>().await)?;
    let start = begin.elapsed().as_secs_f64();
    let rounds = (5000 / n).max(20);
    let begin = Instant::now();
    for _ in 0..rounds {
        all_well(all.send_each(&42).await)?;
        all_well(all.receive_each::<i64>().await)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let memory = resident("self");
    group.terminate(Duration::from_secs(10)).await?;
    Ok([
        ("start s", start),
        ("answers/s", (n * rounds) as f64 / seconds),
        ("controller MiB", memory),
    ]
    .map(named)
    .into())
}

/// Bytes objects of `n` bytes, each way.
async fn size(n: u64) -> Result<Values> {
    let group = group();
    let gateway = group.make_gateway(spec().as_str()).await?;
    let count = (MOST_BYTES / n.max(1)).clamp(2, MOST_MESSAGES);
    let mut up = gateway.remote_exec(UP).await?;
    up.send(&n).await?;
    let up = pull(&mut up, count).await?;
    let down = push(&gateway, n, count).await?;
    group.terminate(Duration::from_secs(5)).await?;
    let mib = (count * n) as f64 / f64::from(1 << 20);
    Ok([
        ("up MiB/s", mib / up),
        ("down MiB/s", mib / down),
        ("up messages/s", count as f64 / up),
        ("down messages/s", count as f64 / down),
    ]
    .map(named)
    .into())
}

async fn pull(channel: &mut Channel, count: u64) -> Result<f64> {
    // Once for the window to grow.
    for round in [count.div_ceil(4), count] {
        let begin = Instant::now();
        channel.send(&round).await?;
        for _ in 0..round {
            channel.receive_value().await?;
        }
        if round == count {
            return Ok(begin.elapsed().as_secs_f64());
        }
    }
    Err("at least one message".into())
}

async fn push(gateway: &Gateway, size: u64, count: u64) -> Result<f64> {
    let mut channel = gateway.remote_exec(DOWN).await?;
    let bytes = Bytes::from(vec![b'x'; size as usize]);
    let mut took = 0.0;
    for round in [count.div_ceil(4), count] {
        let begin = Instant::now();
        channel.send(&round).await?;
        for _ in 0..round {
            channel.send_bytes(bytes.clone()).await?;
        }
        channel.receive::<u64>().await?;
        took = begin.elapsed().as_secs_f64();
    }
    Ok(took)
}

/// One channel over a link whose round trip takes `n` ms longer: 1 MiB items each way, once the windows have grown.
async fn delay(n: u64) -> Result<Values> {
    let scheme = Scheme::new("delayed", move |spec: &XSpec| {
        let popen = Popen::new(worker_command(spec)).bootstrap(Bootstrap::Python);
        Ok::<_, String>(Delayed { popen, delay: Duration::from_millis(n) })
    });
    let group: Group = Group::builder().output(Output::discard()).scheme(scheme).build();
    let spec = spec().replacen("popen", "delayed", 1);
    let gateway = group.make_gateway(spec.as_str()).await?;
    let mut ping = Duration::MAX;
    for _ in 0..10 {
        ping = ping.min(gateway.ping().await?);
    }
    let count = 256;
    let mut up = gateway.remote_exec(UP).await?;
    up.send(&(1 << 20)).await?;
    let up = pull(&mut up, count).await?;
    let down = push(&gateway, 1 << 20, count).await?;
    group.terminate(Duration::from_secs(5)).await?;
    Ok([
        ("ping ms", ping.as_secs_f64() * 1e3),
        ("up MiB/s", count as f64 / up),
        ("down MiB/s", count as f64 / down),
    ]
    .map(named)
    .into())
}

fn all_well<T, E: std::error::Error + 'static>(
    results: Vec<std::result::Result<T, E>>,
) -> Result<Vec<T>> {
    Ok(results.into_iter().collect::<std::result::Result<_, E>>()?)
}

fn named((name, value): (&str, f64)) -> (String, f64) {
    (name.to_owned(), value)
}
