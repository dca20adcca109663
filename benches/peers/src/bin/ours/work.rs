//! The works that the peers do as well.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use execnet::{Channel, Gateway, Group, Output, Value};
use serde::{Deserialize, Serialize};

use crate::Answer;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// All works, those of [`scaling`](crate::scaling) too.
pub(crate) const NAMES: &[&str] = &[
    "start_first",
    "start_later",
    "start_many",
    "start_prefork",
    "round_trip",
    "dicts_up",
    "dicts_down",
    "mib_up",
    "mib_down",
    "ints_up",
    "ints_down",
    "big_dicts_up",
    "big_dicts_down",
    "remote_exec",
    "memory",
    "slow_reader",
    "channels",
    "gateways",
    "size",
    "delay",
];

const MIB: usize = 1 << 20;
const INTS: i64 = 1_000_000;
const DICTS: i64 = 200_000;
const UP: &str = "
item = eval(channel.receive())
for n in channel:
    for _ in range(n): channel.send(item)
";
const DOWN: &str = "
for n in channel:
    for _ in range(n): channel.receive()
    channel.send(n)
";
const SMALL: &str = "{'id': 17, 'name': 'worker-17', 'ok': True}";

#[derive(Serialize, Deserialize)]
pub(crate) struct Item {
    id: i64,
    name: String,
    ok: bool,
}

pub(crate) fn item(id: i64) -> Item {
    Item { id, name: format!("item {id}"), ok: true }
}

/// The interpreter of the peers: `EXECNET_BENCH_PYTHON`.
pub(crate) fn spec() -> String {
    let python = std::env::var("EXECNET_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    format!("popen//python={python}")
}

/// `EXECNET_BENCH_FORMAT=cbor` keeps to that.
pub(crate) fn group() -> Group {
    let cbor = std::env::var("EXECNET_BENCH_FORMAT").as_deref() == Ok("cbor");
    Group::builder().output(Output::discard()).marshal(!cbor).build()
}

/// In MiB: `VmRSS`, of this process by the pid `self`.
pub(crate) fn resident(pid: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

pub(crate) struct Bench {
    group: Group,
    gateway: Option<Gateway>,
    channels: HashMap<String, Channel>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { group: group(), gateway: None, channels: HashMap::new() }
    }

    pub(crate) async fn end(self) {
        drop(self.channels);
        let _ = self.group.terminate(Duration::from_secs(5)).await;
    }

    pub(crate) async fn run(&mut self, work: &str, n: u64) -> Result<Answer> {
        let seconds = match work {
            "start_first" | "start_many" => start_many(n, &spec()).await?,
            "start_prefork" => start_many(n, &format!("{}//prefork", spec())).await?,
            "start_later" => {
                let mut took = Duration::ZERO;
                for _ in 0..n {
                    took += start_many(1, &spec()).await?;
                }
                took
            }
            "round_trip" => self.round_trip(n).await?,
            "dicts_up" => self.up::<Item>(SMALL, n).await?,
            "dicts_down" => self.down(&item(17), n).await?,
            "mib_up" => self.up::<Bytes>("b'x' * (1 << 20)", n).await?,
            "mib_down" => {
                let bytes = Bytes::from(vec![b'x'; MIB]);
                let channel = self.channel(DOWN, None).await?;
                let begin = Instant::now();
                channel.send(&n).await?;
                for _ in 0..n {
                    channel.send_bytes(bytes.clone()).await?;
                }
                channel.receive::<u64>().await?;
                begin.elapsed()
            }
            "ints_up" => self.up::<Vec<i64>>(&format!("list(range({INTS}))"), n).await?,
            "ints_down" => self.down(&(0..INTS).collect::<Vec<_>>(), n).await?,
            "big_dicts_up" => {
                let dicts = "{'id': i, 'name': 'item %d' % i, 'ok': True}";
                self.up::<Vec<Item>>(&format!("[{dicts} for i in range({DICTS})]"), n).await?
            }
            "big_dicts_down" => self.down(&(0..DICTS).map(item).collect::<Vec<_>>(), n).await?,
            "remote_exec" => self.remote_exec(n).await?,
            "memory" => {
                self.round_trip(1000).await?;
                let pid = self.pid().await?;
                return Ok(values([("worker", resident(&pid)), ("controller", resident("self"))]));
            }
            "slow_reader" => return self.slow_reader(n).await,
            _ => return Err(format!("no work {work}").into()),
        };
        Ok(Answer::Seconds(seconds.as_secs_f64()))
    }

    async fn gateway(&mut self) -> Result<&Gateway> {
        if self.gateway.is_none() {
            self.gateway = Some(self.group.make_gateway(spec().as_str()).await?);
        }
        Ok(self.gateway.as_ref().expect("just made"))
    }

    async fn pid(&mut self) -> Result<String> {
        Ok(self.gateway().await?.info().pid.to_string())
    }

    /// A channel on which `source` runs, kept for the next job; a new one is sent `first`.
    async fn channel(&mut self, source: &str, first: Option<&str>) -> Result<&mut Channel> {
        let key = format!("{source}{first:?}");
        if !self.channels.contains_key(&key) {
            let mut channel = self.gateway().await?.remote_exec(source).await?;
            if let Some(first) = first {
                channel.send(first).await?;
            }
            self.channels.insert(key.clone(), channel);
        }
        Ok(self.channels.get_mut(&key).expect("just made"))
    }

    async fn round_trip(&mut self, n: u64) -> Result<Duration> {
        let channel = self.channel("for x in channel: channel.send(x)", None).await?;
        let begin = Instant::now();
        for _ in 0..n {
            channel.send(&42).await?;
            black_box(channel.receive::<i64>().await?);
        }
        Ok(begin.elapsed())
    }

    async fn up<T: serde::de::DeserializeOwned>(&mut self, text: &str, n: u64) -> Result<Duration> {
        let channel = self.channel(UP, Some(text)).await?;
        let begin = Instant::now();
        channel.send(&n).await?;
        for _ in 0..n {
            black_box(channel.receive::<T>().await?);
        }
        Ok(begin.elapsed())
    }

    async fn down<T: Serialize>(&mut self, item: &T, n: u64) -> Result<Duration> {
        let channel = self.channel(DOWN, None).await?;
        let begin = Instant::now();
        channel.send(&n).await?;
        for _ in 0..n {
            channel.send(item).await?;
        }
        channel.receive::<u64>().await?;
        Ok(begin.elapsed())
    }

    async fn remote_exec(&mut self, n: u64) -> Result<Duration> {
        let gateway = self.gateway().await?.clone();
        let begin = Instant::now();
        for _ in 0..n {
            let mut channel = gateway.remote_exec("channel.send(1)").await?;
            black_box(channel.receive::<i64>().await?);
        }
        Ok(begin.elapsed())
    }

    /// Nobody reads for a while; what each side takes meanwhile beyond what it took idle.
    async fn slow_reader(&mut self, n: u64) -> Result<Answer> {
        self.round_trip(100).await?;
        let pid = self.pid().await?;
        let idle = (resident(&pid), resident("self"));
        let source = format!("item = b'x' * (1 << 20)\nfor _ in range({n}): channel.send(item)");
        let mut channel = self.gateway().await?.remote_exec(source).await?;
        let mut peak = idle;
        let look = |peak: &mut (f64, f64)| {
            *peak = (peak.0.max(resident(&pid)), peak.1.max(resident("self")));
        };
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            look(&mut peak);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..n {
            let Value::Bytes(_) = channel.receive_value().await? else {
                return Err("bytes".into());
            };
            look(&mut peak);
        }
        Ok(values([("worker", peak.0 - idle.0), ("controller", peak.1 - idle.1)]))
    }
}

pub(crate) fn values<const N: usize>(pairs: [(&str, f64); N]) -> Answer {
    Answer::Values(pairs.map(|(name, value)| (name.to_owned(), value)).into())
}

pub(crate) type Values = BTreeMap<String, f64>;

async fn start_many(n: u64, spec: &str) -> Result<Duration> {
    let group = group();
    let begin = Instant::now();
    let specs = vec![spec; n as usize];
    for gateway in group.make_gateways(specs).await {
        gateway?;
    }
    let mut channels = group.remote_exec("channel.send(1)").await?;
    for first in channels.receive_each::<i64>().await {
        first?;
    }
    let took = begin.elapsed();
    group.terminate(Duration::from_secs(5)).await?;
    Ok(took)
}
