//! A child process that leads a process group, and the end of both.
//!
//! A group's number is its leader's process number. The system may give it to somebody else once
//! the leader has been reaped and the group is empty, so a signal sent any later could hit a
//! stranger. Hence the order here: notice that the leader has ended without reaping it, kill what
//! is left of the group while the dead leader still holds the number, and only then reap. Signals
//! and reaping exclude each other through one lock.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::{fmt, io};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::{BoxFuture, Ending, FarEnd};

/// A child process that leads a process group, with all that it has started in that group.
///
/// When the process has ended, what is left of its group is killed, and only then is the process reaped: no signal can hit
/// a stranger that was given its number. Dropping this does nothing; a [`Guard`](crate::Guard) around it kills.
pub struct Process {
    address: String,
    group: Arc<Group>,
    ending: watch::Receiver<Option<Ending>>,
}

impl Process {
    /// Takes charge of `child`, which must lead a process group of its own.
    ///
    /// A task waits for its end. If that task is dropped, which only the end of its runtime does,
    /// the group is killed; an error kills it too. `name` is what messages call it.
    ///
    /// # Errors
    /// The system refuses what is needed to learn of its end.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn watch(child: Child, name: &str) -> io::Result<Self> {
        let address = format!("{name} [pid {}]", child.id());
        let leader = Pid::from_child(&child);
        let group = Arc::new(Group { leader, child: Mutex::new(Some(child)) });
        let (sender, ending) = watch::channel(None);
        let watcher = Watcher { group: group.clone(), sender: Some(sender) };
        let notice = ExitNotice::new(leader)?;
        tokio::spawn(watcher.run(notice));
        Ok(Self { address, group, ending })
    }

    /// Sends a signal to the whole group; `false` for a number that is no signal here. Does nothing once the process has
    /// ended.
    pub fn signal(&self, signal: i32) -> bool {
        let Some(signal) = Signal::from_named_raw(signal) else { return false };
        self.group.signal(|leader| kill_process_group(leader, signal));
        true
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.address).finish()
    }
}

impl FarEnd for Process {
    fn address(&self) -> &str {
        &self.address
    }

    fn pid(&self) -> Option<u32> {
        self.group.leader.as_raw_nonzero().get().try_into().ok()
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        let mut ending = self.ending.clone();
        Box::pin(async move {
            ending.wait_for(Option::is_some).await.ok().and_then(|e| *e).unwrap_or(Ending::Unknown)
        })
    }

    fn kill(&self) {
        self.group.signal(|leader| kill_process_group(leader, Signal::KILL));
    }

    fn interrupt(&self) {
        self.group.signal(|leader| kill_process(leader, Signal::INT));
    }
}

struct Group {
    leader: Pid,
    /// The leader, until it is reaped.
    child: Mutex<Option<Child>>,
}

enum Leader {
    Running,
    /// Ended, and still to be reaped.
    Ended,
    /// Reaped by somebody else: its number may have a new owner.
    Lost,
}

impl Group {
    /// Sends a signal, unless the number may no longer be ours.
    fn signal(&self, send: impl FnOnce(Pid) -> rustix::io::Result<()>) {
        let child = self.lock();
        if child.is_some() && !matches!(self.leader(), Leader::Lost) {
            // Refused for a program that runs as another user, as below sudo: that one sees the
            // end of its link. There is nobody to tell, and nothing else to try.
            let _ = send(self.leader);
        }
    }

    /// Kills what there is of the group and gives the leader to be reaped, unless it is lost.
    /// Afterwards nothing is signalled any more.
    fn finish(&self) -> Option<Child> {
        self.signal(|leader| kill_process_group(leader, Signal::KILL));
        let child = self.lock().take();
        // Waiting for a lost one could take the status of a new owner of its number.
        child.filter(|_| !matches!(self.leader(), Leader::Lost))
    }

    fn leader(&self) -> Leader {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.leader), look) {
            Ok(Some(_)) => Leader::Ended,
            Ok(None) => Leader::Running,
            Err(_) => Leader::Lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the leader, kills the rest of its group, and reaps it.
struct Watcher {
    group: Arc<Group>,
    /// Taken to tell the ending; dropped with nothing told, it tells that the ending is unknown.
    sender: Option<watch::Sender<Option<Ending>>>,
}

impl Watcher {
    async fn run(mut self, mut notice: ExitNotice) {
        while matches!(self.group.leader(), Leader::Running) {
            if !notice.next().await {
                return;
            }
        }
        if let Some(sender) = self.sender.take()
            && let Some(child) = self.group.finish()
        {
            reap(child, &sender);
        }
    }
}

impl Drop for Watcher {
    /// Without a runtime the group is killed here, and a thread reaps the leader: it dies at once
    /// but for the odd uninterruptible wait, which must not hold up whoever drops the runtime.
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take()
            && let Some(child) = self.group.finish()
        {
            // Where no thread can be had, the dead leader stays a zombie until this program ends.
            let _ = thread::Builder::new().spawn(move || reap(child, &sender));
        }
    }
}

fn reap(mut child: Child, sender: &watch::Sender<Option<Ending>>) {
    sender.send_replace(child.wait().ok().map(Ending::from));
}

/// Tells that the leader may have ended.
///
/// By a pidfd where the system has them: it works even where `SIGCHLD` is blocked, a state that
/// programs inherit, and wakes nobody else's watcher.
enum ExitNotice {
    #[cfg(target_os = "linux")]
    Pidfd(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    Sigchld(tokio::signal::unix::Signal),
}

impl ExitNotice {
    fn new(leader: Pid) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{PidfdFlags, pidfd_open};
            use tokio::io::{Interest, unix::AsyncFd};

            // Refused before Linux 5.3 and in some sandboxes.
            if let Ok(pidfd) = pidfd_open(leader, PidfdFlags::empty()) {
                // Its successor is unsafe for the sake of types that swap their descriptor; an
                // `OwnedFd` does not.
                #[allow(deprecated)]
                return AsyncFd::with_interest(pidfd, Interest::READABLE).map(Self::Pidfd);
            }
        }
        signal(SignalKind::child()).map(Self::Sigchld)
    }

    /// Waits for a reason to look again; false if there will be none, as the runtime is ending.
    async fn next(&mut self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Pidfd(pidfd) => pidfd.readable().await.map(|mut it| it.clear_ready()).is_ok(),
            Self::Sigchld(signals) => signals.recv().await.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    fn child(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).process_group(0).spawn().unwrap()
    }

    #[tokio::test]
    async fn an_end_is_noticed_without_pidfds() {
        let notice = ExitNotice::Sigchld(signal(SignalKind::child()).unwrap());
        let child = child("exit 6");
        let leader = Pid::from_child(&child);
        let group = Arc::new(Group { leader, child: Mutex::new(Some(child)) });
        let (sender, ending) = watch::channel(None);
        Watcher { group, sender: Some(sender) }.run(notice).await;
        assert_eq!(*ending.borrow(), Some(Ending::Exited(6)));
    }

    #[tokio::test]
    async fn a_leader_that_somebody_else_reaped_is_left_alone() {
        let child = child("exit 6");
        let leader = Pid::from_child(&child);
        waitid(WaitId::Pid(leader), WaitIdOptions::EXITED).unwrap();
        let group = Group { leader, child: Mutex::new(Some(child)) };
        group.signal(|_| panic!("a signal to a stranger"));
        assert!(group.finish().is_none());
    }

    #[tokio::test]
    async fn an_ending_that_somebody_else_took_is_unknown() {
        let child = child("read forever");
        let leader = Pid::from_child(&child);
        let process = Process::watch(child, "thief").unwrap();
        // Before the watcher's task has its first turn: this runtime has one thread.
        process.kill();
        waitid(WaitId::Pid(leader), WaitIdOptions::EXITED).unwrap();
        assert_eq!(process.wait().await, Ending::Unknown);
        process.kill();
        assert_eq!(process.wait().await, Ending::Unknown);
    }
}
