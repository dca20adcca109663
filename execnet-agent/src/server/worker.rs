//! The process that serves one connection.

use std::path::Path;

use execnet_transport::{Bootstrap, Link, Popen, Transport};

use super::Config;
use super::greeting::Wanted;

/// What our own service manager tells us is not for workers.
const OURS: [&str; 5] =
    ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "EXECNET_TOKEN_FILE"];

/// Starts the worker that a client wants, in a process group of its own.
pub(super) async fn start(config: &Config, wanted: &Wanted) -> Result<Link, String> {
    let mut popen = if wanted.native {
        let Some(native) = &config.native else {
            return Err("this server has no native worker".to_owned());
        };
        Popen::new(native).bootstrap(Bootstrap::None)
    } else {
        let mut python = match (&wanted.python, &config.python) {
            (Some(python), _) | (None, Some(python)) => python.clone(),
            (None, None) => vec![default_python()],
        };
        if wanted.dont_write_bytecode {
            python.push("-B".to_owned());
        }
        python.extend(["-c".to_owned(), crate::bootstrap_line()]);
        Popen::new(python).bootstrap(Bootstrap::Python)
    };
    for name in OURS {
        popen = popen.env_remove(name);
    }
    for (name, value) in &wanted.env {
        popen = popen.env(name, value);
    }
    if let Some(directory) = &config.directory {
        popen = popen.current_dir(directory);
    }
    popen.connect().await.map_err(|error| error.to_string())
}

/// What a worker gets in front of its client's bytes.
pub(super) fn source(link: &Link) -> &'static [u8] {
    match link.bootstrap {
        Bootstrap::Python => crate::bootstrap_source(),
        _ => &[],
    }
}

/// The first of `python3` and `python` on PATH; `python3` when there is none, for the error to name.
pub(super) fn default_python() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["python3", "python"]
        .into_iter()
        .find(|name| std::env::split_paths(&path).any(|dir| is_program(&dir.join(name))));
    found.unwrap_or("python3").to_owned()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
