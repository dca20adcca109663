//! Prints as Markdown how many instructions a round trip of 32 bytes takes, the system's own not counted: a figure that is the
//! same on a loaded machine. Needs valgrind.

use std::env::{args, current_exe};
use std::process::{Command, exit};

use execnet_rivals::{Codec, Execnet, H2, Remoc, Rival, Yamux, memory, tcp, work};
use tokio::runtime::Builder;

const NAMES: [&str; 5] = ["execnet", "bare codec", "h2", "remoc", "yamux, buffered"];

/// Two runs of different length: what start and end take is in both.
const COUNTS: [u64; 2] = [1_000, 6_000];

fn main() {
    let arguments: Vec<_> = args().skip(1).collect();
    if let [name, link, count] = &arguments[..] {
        return run(name, link == "tcp", count.parse().expect("a count"));
    }
    println!(
        "| instructions of a round trip | {} |\n|---|{}",
        NAMES.join(" | "),
        "---:|".repeat(NAMES.len())
    );
    for link in ["memory", "tcp"] {
        let [short, long] = COUNTS;
        let each = |name| (counted(name, link, long) - counted(name, link, short)) / (long - short);
        let figures = NAMES.map(|name| each(name).to_string());
        println!("| 32 B, {link}, 1 thread | {} |", figures.join(" | "));
    }
}

/// This program under valgrind, and what that counts.
fn counted(name: &str, link: &str, count: u64) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(current_exe().expect("this program's place"));
    let output = valgrind.args([name, link, &count.to_string()]).output().unwrap_or_else(|error| {
        eprintln!("valgrind, which counts them, does not start: {error}");
        exit(1)
    });
    let said = String::from_utf8_lossy(&output.stderr);
    let figure =
        said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    figure.unwrap_or_else(|| {
        eprintln!("valgrind counted nothing:\n{said}");
        exit(1)
    })
}

fn run(name: &str, over_tcp: bool, count: u64) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match name {
            "execnet" => round_trips::<Execnet>(over_tcp, count).await,
            "bare codec" => round_trips::<Codec>(over_tcp, count).await,
            "h2" => round_trips::<H2>(over_tcp, count).await,
            "remoc" => round_trips::<Remoc>(over_tcp, count).await,
            _ => round_trips::<Yamux<true>>(over_tcp, count).await,
        }
    });
}

async fn round_trips<R: Rival>(over_tcp: bool, count: u64) {
    let (mut opener, mut acceptor) = if over_tcp {
        let (a, b) = tcp().await;
        R::connect(a, b).await
    } else {
        let (a, b) = memory().await;
        R::connect(a, b).await
    };
    let pair = work::pairs::<R>(&mut opener, &mut acceptor, 1).await.remove(0);
    let _used = work::round_trip::<R>(pair, count, false).await;
}
