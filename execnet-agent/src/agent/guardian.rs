//! Ends what an agent leaves behind when it is killed.
//!
//! Commands lead process groups of their own, so whoever kills the agent with its group does not reach them. A shell
//! reads which groups there are, and kills them when its input ends: that of a killed process does.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

const SCRIPT: &str = r#"
while read -r what group; do
    if [ "$what" = + ]; then groups="$groups -$group"; continue; fi
    rest=
    for other in $groups; do [ "$other" = "-$group" ] || rest="$rest $other"; done
    groups=$rest
done
[ -z "$groups" ] || kill -s KILL -- $groups
"#;

/// One for the process, from its first command on. `None` where there is no shell: what reads its input ends at the end
/// of that.
static GUARDIAN: LazyLock<Mutex<Option<ChildStdin>>> = LazyLock::new(|| {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "execnet-guardian"]).stdin(Stdio::piped());
    // A group of its own: it is to outlive ours.
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    Mutex::new(command.spawn().ok().and_then(|mut guardian| guardian.stdin.take()))
});

/// A process group that is killed when this process ends before this is dropped.
pub(super) struct Guarded(u32);

impl Guarded {
    pub(super) fn new(group: u32) -> Self {
        tell('+', group);
        Self(group)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

/// A line is far shorter than what a pipe takes in one piece, and the guardian reads all the time.
fn tell(what: char, group: u32) {
    let mut guardian = GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stdin) = &mut *guardian {
        let _ = stdin.write_all(format!("{what} {group}\n").as_bytes());
    }
}
