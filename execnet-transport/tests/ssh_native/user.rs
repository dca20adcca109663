//! A user of a test's own.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A user whom sshd lets send signals, as it does not let root. Gone when it is dropped.
pub(crate) struct User(String);

impl User {
    /// `None` where none can be made, having said so.
    pub(crate) fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let user = Self(format!("execnet{}x{number}", std::process::id()));
        // sshd lets nobody in whose password is locked; this one is only wrong whatever it is.
        let arguments = ["-M", "-N", "-s", "/bin/sh", "-p", "*", &user.0];
        let made = Command::new("useradd").args(arguments).output();
        if !made.is_ok_and(|made| made.status.success()) {
            execnet_testing::skip("no user can be made here: that takes root and useradd");
            return None;
        }
        Some(user)
    }

    pub(crate) fn set_password(&self, password: &str) {
        let mut set = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        let line = format!("{}:{password}\n", self.0);
        set.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        assert!(set.wait().unwrap().success());
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").args(["-f", &self.0]).output();
    }
}
