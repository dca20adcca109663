//! The blocking API: waiting, threads, time limits, and life inside of asynchronous programs.

mod callbacks;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod files;
mod halves;
mod items;
mod limits;
mod programs;
mod runtimes;
mod threads;

use std::time::Duration;

use common::WATCHDOG;

/// Long enough for anything but what is not to come at all.
const SHORT: Duration = Duration::from_millis(100);
