//! The same worker in Python over each kind of link.

use std::time::{Duration, Instant};

use execnet::{Channel, Group};
use execnet_transport::tls::Token;

use crate::far_end::FarEnd;
use crate::table::{Table, Unit};
use crate::{Effort, Result};

/// All links are compared with popen's.
pub(crate) const PAIRS: &[(&str, &str)] = &[("unix", "popen"), ("TCP, TLS", "popen")];

/// How many small items are asked for at once, and how many long ones.
const SMALL: u32 = 500;
const LONG: u32 = 20;

/// Fills the table.
pub(crate) async fn measure(table: &mut Table, group: &Group, effort: Effort) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let token = path("token");
    Token::generate().write_new(&token)?;
    let tcp = FarEnd::start("execnet", "127.0.0.1:0", &token)?;
    let unix = FarEnd::start("execnet", &format!("unix:{}", path("socket")), "")?;
    let places = [
        ("popen", "popen".to_owned()),
        ("unix", format!("socket={}", unix.address)),
        ("TCP, TLS", format!("socket={}//token_file={token}", tcp.address)),
    ];
    for round in 0..=effort.rounds {
        for (column, spec) in &places {
            let begin = Instant::now();
            let gateway = group.make_gateway(spec.as_str()).await?;
            let mut echo = gateway.remote_exec("for x in channel: channel.send(x)").await?;
            round_trip(&mut echo).await?;
            let start = begin.elapsed().as_secs_f64() * 1e3;

            let (begin, mut count) = (Instant::now(), 0);
            while begin.elapsed() < effort.time {
                round_trip(&mut echo).await?;
                count += 1;
            }
            let took = begin.elapsed().as_secs_f64() * 1e6 / f64::from(count);
            let dict = "{'id': 1, 'name': 'x', 'ok': True}";
            let dicts = gateway.remote_exec(source(dict)).await?;
            let dicts = items(dicts, SMALL, effort).await?;
            let mib = gateway.remote_exec(source("b'x' * (1 << 20)")).await?;
            let mib = items(mib, LONG, effort).await?;
            gateway.exit(Duration::from_secs(5)).await;
            if round > 0 {
                table.add("start and first item", Unit::Milliseconds, column, start);
                table.add("round trip of an int", Unit::Microseconds, column, took);
                table.add("small dicts from the worker", Unit::PerSecond, column, dicts);
                table.add("1 MiB from the worker", Unit::MibPerSecond, column, mib);
            }
        }
    }
    Ok(())
}

fn source(item: &str) -> String {
    format!("item = {item}\nfor n in channel:\n    for _ in range(n): channel.send(item)")
}

async fn round_trip(echo: &mut Channel) -> Result<()> {
    echo.send(&42).await?;
    match echo.receive::<i64>().await? {
        42 => Ok(()),
        other => Err(format!("{other} came back").into()),
    }
}

/// Items a second.
async fn items(mut channel: Channel, batch: u32, effort: Effort) -> Result<f64> {
    let (begin, mut count) = (Instant::now(), 0);
    // One batch is always asked for beforehand.
    channel.send(&batch).await?;
    while begin.elapsed() < effort.time {
        channel.send(&batch).await?;
        for _ in 0..batch {
            channel.receive_value().await?;
        }
        count += batch;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
