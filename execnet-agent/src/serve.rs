//! `execnet-agent serve`: the server as a service: signals in, readiness out.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use execnet_agent::server::{Handle, ServeError, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::args::ServeArgs;
use crate::{Outcome, complain, fail};

/// Enough for 16,000 connections. Workers inherit it, and there are programs that go through all descriptors that they might have.
const MAX_DESCRIPTORS: u64 = 1 << 16;

/// Serves until a signal says otherwise.
pub(crate) async fn run(args: &ServeArgs) -> Outcome {
    let config = match args.config() {
        Ok(config) => config,
        Err(message) => {
            complain(message);
            return Outcome::Usage;
        }
    };
    // Of what we have inherited nothing is for workers, `--ready-fd` the least: who waits for its end would wait for theirs.
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    raise_limit();
    // Before anybody is told that we are ready.
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let signals: io::Result<Vec<Signal>> = signals.into_iter().map(signal).collect();
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("cannot listen to signals: {error}")),
    };
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(error @ (ServeError::Config(_) | ServeError::Exposed(_))) => {
            complain(error);
            return Outcome::Usage;
        }
        Err(error) => return fail(error),
    };
    if let Some(fd) = args.ready_fd
        && let Err(error) = tell(fd, server.addresses())
    {
        return fail(format_args!("--ready-fd {fd}: {error}"));
    }
    notify("READY=1");
    tokio::spawn(attend(server.handle(), signals));
    server.run().await;
    Outcome::Success
}

/// A connection needs four descriptors, and 1024 is what most systems let a process have that does not ask for more.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // Without it there are fewer connections, of which the log will tell.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// What signals do: SIGTERM and SIGINT drain, SIGHUP reads files again.
async fn attend(handle: Handle, mut signals: Vec<Signal>) {
    let [terminate, interrupt, hangup] = &mut signals[..] else { return };
    loop {
        tokio::select! {
            _ = terminate.recv() => drain(&handle),
            _ = interrupt.recv() => drain(&handle),
            _ = hangup.recv() => {
                match handle.reload() {
                    Ok(()) => info!("read tokens and certificates again"),
                    Err(error) => error!(%error, "what was read before stays in force"),
                }
            }
        }
    }
}

fn drain(handle: &Handle) {
    notify("STOPPING=1");
    handle.drain();
}

/// Tells whoever started us where we listen.
fn tell(fd: u32, addresses: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(format!("/dev/fd/{fd}"))?;
    file.write_all((addresses.join("\n") + "\n").as_bytes())
}

/// Tells systemd, if it asked for that.
fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        #[cfg(target_os = "linux")]
        if let Some(name) = path.to_str().and_then(|path| path.strip_prefix('@')) {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            return socket.send_to_addr(state.as_bytes(), &address);
        }
        socket.send_to(state.as_bytes(), &path)
    });
    if let Err(error) = sent {
        error!(%error, "cannot notify the service manager");
    }
}
