//! Real child processes.
//!
//! That a process is gone shows in what it held open: its standard error, the socket, or a named
//! pipe reach end-of-file only when the last holder has died.
#![cfg(unix)]

mod bytes;
mod ending;
mod failing_to_start;
mod nothing_survives;
mod setup;
mod stderr;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use execnet_transport::{
    Bootstrap, ConnectError, Ending, Fault, Link, Popen, SpawnFault, Stage, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Against hangs only: nothing here should come near it.
async fn watchdog<T>(story: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), story).await.expect("it hangs")
}

fn sh(script: &str) -> Popen {
    Popen::new(["/bin/sh", "-c", script])
}

async fn connect(popen: Popen) -> Link {
    popen.connect().await.expect("it starts")
}

async fn read_all(link: &mut Link) -> String {
    let mut text = String::new();
    link.reader.read_to_string(&mut text).await.expect("text until the end");
    text
}

/// Waits for the far end to say that it is up.
async fn read_line(link: &mut Link) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(link.reader.read_u8().await.expect("a line"));
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}
