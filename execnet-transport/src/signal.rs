//! The names of signals.

#[cfg(unix)]
use rustix::process::Signal;

/// The usual name of a signal of this machine, as `SIGKILL`.
///
/// Real-time signals have none: their numbers count from a start that the C library chooses.
#[cfg(unix)]
pub(crate) fn name(signal: i32) -> Option<&'static str> {
    NAMES.iter().find(|(named, _)| named.as_raw() == signal).map(|(_, name)| *name)
}

/// The number of a signal on this machine, by its usual name without `SIG`.
#[cfg(all(unix, feature = "ssh-native"))]
pub(crate) fn number(name: &str) -> Option<i32> {
    let named = NAMES.iter().find(|(_, full)| full.strip_prefix("SIG") == Some(name));
    named.map(|(signal, _)| signal.as_raw())
}

/// A machine that has no signals has no names for them.
#[cfg(not(unix))]
pub(crate) fn name(_signal: i32) -> Option<&'static str> {
    None
}

// By constant and not by number: numbers differ between systems and processors.
#[cfg(unix)]
const NAMES: &[(Signal, &str)] = &[
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    #[cfg(all(
        target_os = "linux",
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
    ))]
    (Signal::STKFLT, "SIGSTKFLT"),
    (Signal::CHILD, "SIGCHLD"),
    (Signal::CONT, "SIGCONT"),
    (Signal::STOP, "SIGSTOP"),
    (Signal::TSTP, "SIGTSTP"),
    (Signal::TTIN, "SIGTTIN"),
    (Signal::TTOU, "SIGTTOU"),
    (Signal::URG, "SIGURG"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    (Signal::WINCH, "SIGWINCH"),
    (Signal::IO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (Signal::POWER, "SIGPWR"),
    (Signal::SYS, "SIGSYS"),
];

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use super::name;

    #[test]
    fn every_standard_signal_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = (1..32).map(|n| name(n).unwrap()).collect();
        assert_eq!(names.len(), 31);
        assert!(names.iter().all(|name| name.starts_with("SIG")));
    }

    #[test]
    fn others_have_none() {
        assert_eq!((name(0), name(-1), name(34)), (None, None, None));
    }
}
