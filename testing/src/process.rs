//! What the system tells of processes.

/// Resident memory of a process in MiB.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn resident(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") >> 10
}
