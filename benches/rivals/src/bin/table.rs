//! Prints what the last `cargo bench` measured as Markdown: medians, and how each rival compares with ours.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, read_dir};
use std::path::{Path, PathBuf};

use execnet_rivals::{Codec, Execnet, H2, Remoc, Rival, Yamux};
use serde::Deserialize;

const COLUMNS: [&str; 6] =
    [Execnet::NAME, Codec::NAME, H2::NAME, Remoc::NAME, <Yamux>::NAME, <Yamux<true>>::NAME];

/// Of criterion's `benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
    throughput: Throughput,
}

#[derive(Deserialize, Clone, Copy)]
enum Throughput {
    Bytes(u64),
    Elements(u64),
}

/// Of criterion's `estimates.json`; in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(default_folder, PathBuf::from);
    let mut rows: BTreeMap<String, BTreeMap<String, (Throughput, f64)>> = BTreeMap::new();
    for group in read_dir(&folder)? {
        for function in read_dir(group?.path())? {
            let new = function?.path().join("new");
            if new.is_dir() {
                let benchmark: Benchmark = read(&new.join("benchmark.json"))?;
                let median = read::<Estimates>(&new.join("estimates.json"))?.median.point_estimate;
                let row = rows.entry(benchmark.group_id).or_default();
                row.insert(benchmark.function_id, (benchmark.throughput, median));
            }
        }
    }
    println!("| work | {} |", COLUMNS.join(" | "));
    println!("|---|{}", "---:|".repeat(COLUMNS.len()));
    for (name, row) in &rows {
        let ours = row.get(Execnet::NAME).map(|&(_, time)| time);
        let cells = COLUMNS.map(|column| match (row.get(column), ours) {
            (Some(&(throughput, time)), Some(ours)) if column != Execnet::NAME => {
                format!("{} ({:.2} ×)", show(name, throughput, time), time / ours)
            }
            (Some(&(throughput, time)), _) => show(name, throughput, time),
            (None, _) => "–".into(),
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
    Ok(())
}

fn default_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Path::new(&target).join("criterion")
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_reader(std::io::BufReader::new(file))?)
}

fn show(name: &str, throughput: Throughput, nanoseconds: f64) -> String {
    match throughput {
        _ if name.starts_with("round trip") => format!("{:.1} µs", nanoseconds / 1e3),
        Throughput::Bytes(bytes) => {
            format!("{:.0} MiB/s", bytes as f64 / f64::from(1 << 20) / nanoseconds * 1e9)
        }
        Throughput::Elements(elements) => {
            format!("{:.0} k/s", elements as f64 / nanoseconds * 1e6)
        }
    }
}
