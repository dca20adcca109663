//! Ends what this process leaves behind when it is killed.
//!
//! Commands and workers lead process groups of their own, so whoever kills this process with its group does not reach them. A shell
//! reads which groups there are, and kills them when its input ends: that of a killed process does.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

// Not by a hangup: the system sends one to a group that is stopped as its parent dies.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
while read -r what group; do
    if [ "$what" = + ]; then groups="$groups -$group"; continue; fi
    rest=
    for other in $groups; do [ "$other" = "-$group" ] || rest="$rest $other"; done
    groups=$rest
done
[ -n "$groups" ] || exit 0
[ "$1" = 0 ] || sleep "$1"
kill -s KILL -- $groups
"#;

/// One for the process, from its first group on. `None` where there is no shell: what reads its input ends at the end
/// of that.
type Guardian = LazyLock<Mutex<Option<ChildStdin>>>;

#[cfg(feature = "native")]
static AT_ONCE: Guardian = LazyLock::new(|| start("0"));
/// A worker sees the end of its link, and gives its tasks nearly so long.
#[cfg(feature = "server")]
static IN_A_SECOND: Guardian = LazyLock::new(|| start("1"));

fn start(seconds: &str) -> Mutex<Option<ChildStdin>> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "execnet-guardian", seconds]).stdin(Stdio::piped());
    // A group of its own: it is to outlive ours.
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    Mutex::new(command.spawn().ok().and_then(|mut guardian| guardian.stdin.take()))
}

/// A process group that is killed when this process ends before this is dropped.
pub(crate) struct Guarded {
    guardian: &'static Guardian,
    group: u32,
}

impl Guarded {
    /// It is killed at once.
    #[cfg(feature = "native")]
    pub(crate) fn command(group: u32) -> Self {
        Self::new(&AT_ONCE, group)
    }

    /// It is killed when it has had a second to end by itself.
    #[cfg(feature = "server")]
    pub(crate) fn worker(group: u32) -> Self {
        Self::new(&IN_A_SECOND, group)
    }

    fn new(guardian: &'static Guardian, group: u32) -> Self {
        let guarded = Self { guardian, group };
        guarded.tell('+');
        guarded
    }

    /// A line is far shorter than what a pipe takes in one piece, and the guardian reads all the time.
    fn tell(&self, what: char) {
        let mut guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut *guardian {
            let _ = stdin.write_all(format!("{what} {}\n", self.group).as_bytes());
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.tell('-');
    }
}
