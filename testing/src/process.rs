//! What the system tells of processes.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Resident memory of a process in MiB.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn resident(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") >> 10
}

/// The processes that descend from `pid` and still run, nearest first.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| parent(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        at += 1;
    }
    found.split_off(1)
}

/// Blocks until a process has ended; one that is yet to be reaped has.
///
/// # Panics
/// It lives on for [`WATCHDOG`](crate::WATCHDOG).
#[cfg(target_os = "linux")]
pub fn wait_for_end(pid: u64) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};

    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    // Of one that is gone there is no descriptor.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return };
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec::try_from(crate::WATCHDOG).expect("a time");
    assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "process {pid} lives on");
}

/// Kills a child of ours with all its descendants, also those in sessions of their own. It is left to be reaped.
pub(crate) fn kill_tree(pid: u32) {
    // Stopped, it starts no more, and what it has started keeps its parent.
    send(pid, Signal::STOP);
    loop {
        let living = descendants(pid);
        if living.is_empty() {
            break;
        }
        living.into_iter().for_each(|pid| send(pid, Signal::KILL));
        std::thread::yield_now();
    }
    send(pid, Signal::KILL);
}

/// Kills a process, if it is still there.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // One that is gone needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// A process that has not ended, and its parent.
fn parent(pid: u32) -> Option<(u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets, and may hold any.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some((pid, parent))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_is_killed_with_those_who_left_the_session() {
        let script = "exec 3<&0; setsid sh -c 'sh -c \"echo up; read x\" <&3; :' & wait";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        assert!(!descendants(shell.id()).is_empty());
        kill_tree(shell.id());
        shell.wait().unwrap();
        // Whoever lived would hold it open.
        assert_eq!(stdout.read_line(&mut line).unwrap(), 0);
    }
}
