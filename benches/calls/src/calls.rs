//! Calls of a task that adds four numbers.

use std::time::Instant;

use execnet::{Gateway, Group};
use execnet_transport::tls::Token;
use futures::future::try_join_all;
use tarpc::serde_transport::Transport;
use tarpc::tokio_serde::formats::Bincode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::far_end::FarEnd;
use crate::table::{Table, Unit};
use crate::{Effort, Result};

/// As tarpc has it.
#[tarpc::service]
pub(crate) trait Numbers {
    /// Their sum.
    async fn sum(numbers: Vec<i64>) -> i64;
}

/// tarpc's links, and ours of the same kind.
pub(crate) const PAIRS: &[(&str, &str)] =
    &[("tarpc, unix", "execnet, unix"), ("tarpc, TCP, no TLS", "execnet, TCP, TLS")];

/// How many calls are under way at once in the row that counts them.
const AT_ONCE: u64 = 64;

/// Whom to call.
#[derive(Clone)]
enum Callee {
    Execnet(Gateway),
    Tarpc(NumbersClient),
}

impl Callee {
    async fn call(&self) -> Result<()> {
        let numbers = vec![1, 2, 3, 36];
        let sum: i64 = match self {
            Self::Execnet(gateway) => gateway.call("sum", &numbers).await?,
            Self::Tarpc(client) => client.sum(tarpc::context::current(), numbers).await?,
        };
        if sum == 42 { Ok(()) } else { Err(format!("the sum is {sum}").into()) }
    }

    /// Calls one after another: how many microseconds each takes.
    async fn round_trip(self, effort: Effort) -> Result<f64> {
        let (begin, mut count) = (Instant::now(), 0);
        while begin.elapsed() < effort.time {
            self.call().await?;
            count += 1;
        }
        Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(count))
    }

    /// Calls, many at once: how many a second.
    async fn rate(self, effort: Effort) -> Result<f64> {
        let begin = Instant::now();
        let callers = (0..AT_ONCE).map(|_| {
            let callee = self.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while begin.elapsed() < effort.time {
                    callee.call().await?;
                    count += 1;
                }
                Result::Ok(count)
            })
        });
        let mut count = 0;
        for counted in try_join_all(callers).await? {
            count += counted?;
        }
        Ok(f64::from(count) / begin.elapsed().as_secs_f64())
    }
}

/// Fills the table.
pub(crate) async fn measure(table: &mut Table, group: &Group, effort: Effort) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let token = path("token");
    Token::generate().write_new(&token)?;
    let ours = FarEnd::start("execnet", "127.0.0.1:0", &token)?;
    let ours_unix = FarEnd::start("execnet", &format!("unix:{}", path("ours")), "")?;
    let theirs = FarEnd::start("tarpc", "127.0.0.1:0", "")?;
    let theirs_unix = FarEnd::start("tarpc", &format!("unix:{}", path("theirs")), "")?;
    let secure = format!("socket={}//token_file={token}//agent", ours.address);
    let stream = TcpStream::connect(&theirs.address).await?;
    stream.set_nodelay(true)?;
    let callees = [
        ("execnet, popen", Callee::Execnet(group.make_gateway("popen//agent").await?)),
        (
            "execnet, unix",
            Callee::Execnet(
                group.make_gateway(format!("socket={}//agent", ours_unix.address)).await?,
            ),
        ),
        ("tarpc, unix", tarpc(UnixStream::connect(&theirs_unix.address).await?)),
        ("execnet, TCP, TLS", Callee::Execnet(group.make_gateway(secure).await?)),
        ("tarpc, TCP, no TLS", tarpc(stream)),
    ];
    for round in 0..=effort.rounds {
        for (column, callee) in &callees {
            let took = callee.clone().round_trip(effort).await?;
            let rate = callee.clone().rate(effort).await?;
            if round > 0 {
                table.add("a call and its result", Unit::Microseconds, column, took);
                table.add("64 calls at once", Unit::PerSecond, column, rate);
            }
        }
    }
    Ok(())
}

fn tarpc(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Callee {
    let transport = Transport::from((stream, Bincode::default()));
    Callee::Tarpc(NumbersClient::new(tarpc::client::Config::default(), transport).spawn())
}
