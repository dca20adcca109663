//! A user of a test's own.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::skip;

/// A user of this machine, whom sshd lets send signals, as it does not let root. Gone when it is dropped.
#[derive(Debug)]
pub struct User(String);

impl User {
    /// One whose shell is `sh`; `None` where none can be made, having said so.
    #[must_use]
    pub fn make() -> Option<Self> {
        Self::with_shell("/bin/sh")
    }

    /// One who logs in to this program.
    #[must_use]
    pub fn with_shell(shell: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let user = Self(format!("execnet{}x{number}", std::process::id()));
        // sshd lets nobody in whose password is locked; this one is only wrong whatever it is.
        let arguments = ["-M", "-N", "-d", "/", "-s", shell, "-p", "*", &user.0];
        let made = Command::new("useradd").args(arguments).output();
        if !made.is_ok_and(|made| made.status.success()) {
            skip("no user can be made here: that takes root and useradd");
            return None;
        }
        Some(user)
    }

    /// Gives it a password.
    ///
    /// # Panics
    /// There is no chpasswd.
    pub fn set_password(&self, password: &str) {
        let mut set = Command::new("chpasswd").stdin(Stdio::piped()).spawn().expect("chpasswd");
        let line = format!("{}:{password}\n", self.0);
        set.stdin.take().expect("piped").write_all(line.as_bytes()).expect("written");
        assert!(set.wait().expect("an end").success());
    }

    /// From now on the password opens only to be changed.
    ///
    /// # Panics
    /// There is no chage.
    pub fn expire_password(&self) {
        assert!(
            Command::new("chage").args(["-d", "0", &self.0]).status().expect("chage").success()
        );
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").args(["-f", &self.0]).output();
    }
}
