//! Ours: the driver that the others' drivers are written in the image of. It reads jobs as lines of JSON and answers each.

mod delay;
mod scaling;
mod work;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Job {
    work: String,
    n: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Works(Vec<&'static str>),
    Seconds(f64),
    Values(BTreeMap<String, f64>),
    Error(String),
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut bench = work::Bench::new();
    answer(&Answer::Works(work::NAMES.to_vec()));
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("stdin");
        let job: Job = serde_json::from_str(&line).expect("a job");
        let result = if scaling::is_one(&job.work) {
            scaling::run(&job.work, job.n).map(Answer::Values)
        } else {
            runtime.block_on(bench.run(&job.work, job.n))
        };
        answer(&result.unwrap_or_else(|error| Answer::Error(error.to_string())));
    }
    runtime.block_on(bench.end());
}

fn answer(answer: &Answer) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer).expect("JSON")).expect("stdout");
    out.flush().expect("stdout");
}
