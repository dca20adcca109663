//! `execnet ping`: how long the way to a far end takes, and how much goes over it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use execnet::{ExecError, Gateway, GatewayLost, ReceiveError};
use serde::{Serialize, Serializer};

use super::args::PingArgs;
use super::json::print_line;
use super::signal::Interrupts;
use super::{Outcome, complain, exec, fleet, outcome_of, outcome_of_write, within};

/// Each way is measured until so much has passed, or for so long.
const AMOUNT: u64 = 64 << 20;
const TIME: Duration = Duration::from_secs(2);

const MIB: f64 = (1 << 20) as f64;

/// Sends bytes that no link can make smaller. It is more than is measured, which begins with the second item.
const SEND: &str = "
def send(channel, size, count):
    import os
    chunk = os.urandom(size)
    try:
        for _ in range(count):
            channel.send(chunk)
    except (EOFError, OSError):
        pass  # enough has been seen
";
/// The size of each item.
const CHUNK: u64 = 128 << 10;

/// Tells of each item how long it is, when it has arrived.
const RECEIVE: &str = "
try:
    for chunk in channel:
        channel.send(len(chunk))
except (EOFError, OSError):
    pass  # enough has been seen
";

/// What is found out.
struct Measured {
    /// In ascending order; at least one.
    round_trips: Vec<Duration>,
    /// Not from a far end that runs no Python.
    throughput: Option<Throughput>,
}

/// In MiB/s.
#[derive(Clone, Copy, Serialize)]
struct Throughput {
    there: f64,
    back: f64,
}

/// Why nothing is.
enum Failed {
    Lost(GatewayLost),
    Exec(ExecError),
    Receive(ReceiveError),
}

pub(super) async fn run(args: PingArgs) -> Outcome {
    let spec = match fleet::spec(&args.spec) {
        Ok(spec) => spec,
        Err(outcome) => return outcome,
    };
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            complain(format_args!("cannot catch Ctrl-C: {error}"));
            return Outcome::Io;
        }
    };
    let group = super::group().build();
    let work = async {
        let gateway = match group.make_gateway(spec).await {
            Ok(gateway) => gateway,
            Err(error) => {
                complain(&error);
                return outcome_of(&error);
            }
        };
        match measure(&gateway, args.count).await {
            Ok(measured) => match print(&gateway, &measured, args.json) {
                Ok(()) => Outcome::Success,
                Err(error) => outcome_of_write(&error),
            },
            Err(failed) => report(&gateway, &failed),
        }
    };
    let outcome = tokio::select! {
        outcome = within(args.timeout, work) => outcome,
        () = interrupts.next() => Outcome::Interrupted,
    };
    exec::end(&group, outcome, &mut interrupts).await
}

async fn measure(gateway: &Gateway, count: u32) -> Result<Measured, Failed> {
    // The first one warms both sides up.
    gateway.ping().await.map_err(Failed::Lost)?;
    let mut round_trips = Vec::new();
    for _ in 0..count {
        round_trips.push(gateway.ping().await.map_err(Failed::Lost)?);
    }
    round_trips.sort_unstable();
    let native = gateway.info().implementation == "native";
    let throughput = if native { None } else { Some(throughput(gateway).await?) };
    Ok(Measured { round_trips, throughput })
}

async fn throughput(gateway: &Gateway) -> Result<Throughput, Failed> {
    let sending = execnet::Source::from(SEND)
        .call("send")
        .arg("size", CHUNK)
        .arg("count", AMOUNT / CHUNK + 1);
    let mut channel = gateway.remote_exec(sending).await.map_err(Failed::Exec)?;
    let mut chunk = Bytes::new();
    let back = rate(async || {
        if let execnet::Value::Bytes(bytes) = channel.receive_value().await? {
            chunk = bytes;
        }
        Ok(chunk.len() as u64)
    })
    .await?;
    drop(channel);

    let channel = gateway.remote_exec(RECEIVE).await.map_err(Failed::Exec)?;
    let (mut sender, mut receiver) = channel.split();
    let send = async {
        while sender.send_bytes(chunk.clone()).await.is_ok() {}
        // The receiver knows best why there is no more sending.
        std::future::pending().await
    };
    let there = tokio::select! {
        there = rate(async || receiver.receive::<u64>().await) => there?,
        never = send => never,
    };
    Ok(Throughput { there, back })
}

/// MiB/s of what arrives, as each call of `next` tells. The clock starts when the first has arrived: how far the way is does not count.
async fn rate(mut next: impl AsyncFnMut() -> Result<u64, ReceiveError>) -> Result<f64, Failed> {
    next().await.map_err(Failed::Receive)?;
    let start = Instant::now();
    let mut bytes = 0;
    loop {
        bytes += next().await.map_err(Failed::Receive)?;
        let elapsed = start.elapsed();
        if bytes >= AMOUNT || elapsed >= TIME {
            return Ok(bytes as f64 / MIB / elapsed.as_secs_f64());
        }
    }
}

fn report(gateway: &Gateway, failed: &Failed) -> Outcome {
    match failed {
        Failed::Receive(error) => return exec::report(gateway, error, false),
        Failed::Lost(error) => complain(error),
        Failed::Exec(error) => complain(error),
    }
    Outcome::GatewayFailed
}

/// The smallest that at least this share of them do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

const PERCENTILES: [(&str, usize); 5] =
    [("min", 0), ("median", 50), ("p90", 90), ("p99", 99), ("max", 100)];

fn print(gateway: &Gateway, measured: &Measured, as_json: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        gateway: &'a str,
        spec: &'a str,
        address: &'a str,
        pings: usize,
        #[serde(serialize_with = "in_order")]
        round_trip_us: [(&'a str, f64); PERCENTILES.len()],
        throughput_mib_s: Option<Throughput>,
    }
    let times = PERCENTILES.map(|(name, percent)| {
        (name, percentile(&measured.round_trips, percent).as_nanos() as f64 / 1e3)
    });
    let pings = measured.round_trips.len();
    let mut out = io::stdout().lock();
    if as_json {
        let line = Line {
            gateway: gateway.id(),
            spec: gateway.spec().as_str(),
            address: gateway.address(),
            pings,
            round_trip_us: times,
            throughput_mib_s: measured.throughput,
        };
        print_line(&mut out, &line)?;
    } else {
        writeln!(out, "{} {} ({})", gateway.id(), gateway.spec(), gateway.address())?;
        let times = times.map(|(name, micros)| format!("{name} {}", time(micros))).join(", ");
        let s = if pings == 1 { "" } else { "s" };
        writeln!(out, "  round trip: {times} ({pings} ping{s})")?;
        match measured.throughput {
            Some(Throughput { there, back }) => {
                writeln!(out, "  throughput: {} there, {} back", speed(there), speed(back))?;
            }
            None => writeln!(out, "  throughput: not measured, no Python runs there")?,
        }
    }
    out.flush()
}

/// Named figures as an object.
fn in_order<S: Serializer>(figures: &[(&str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(figures.iter().copied())
}

fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

fn speed(mib: f64) -> String {
    if mib < 10.0 { format!("{mib:.2} MiB/s") } else { format!("{mib:.0} MiB/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_among_what_was_measured() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        let of = |sorted: &[Duration]| {
            PERCENTILES.map(|(_, percent)| percentile(sorted, percent).as_micros())
        };
        assert_eq!(of(&times), [1, 100, 180, 198, 200]);
        assert_eq!(of(&times[..3]), [1, 2, 3, 3, 3]);
        assert_eq!(of(&times[4..5]), [5; 5]);
    }

    #[test]
    fn units() {
        assert_eq!(time(41.2), "41 µs");
        assert_eq!(time(20_340.0), "20.34 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
        assert_eq!((speed(0.25), speed(812.6)), ("0.25 MiB/s".into(), "813 MiB/s".into()));
    }
}
