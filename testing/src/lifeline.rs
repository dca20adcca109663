//! Sees processes end without asking after them.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::WATCHDOG;

/// Sees a process end: the process connects here and never closes, so that end-of-file on the
/// connection is its death.
#[derive(Debug)]
pub struct Lifeline(TcpListener);

impl Default for Lifeline {
    fn default() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }
}

impl Lifeline {
    /// Listens on a free port.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Python that connects the process which runs it.
    ///
    /// # Panics
    /// The listener broke.
    #[must_use]
    pub fn source(&self) -> String {
        let port = self.0.local_addr().expect("an address").port();
        format!(
            "import socket, sys; sys.lifeline = socket.create_connection(('127.0.0.1', {port}))\n"
        )
    }

    /// Waits for a process to connect.
    ///
    /// # Panics
    /// None has when [`WATCHDOG`] has passed.
    #[must_use]
    pub fn accept(&self) -> Life {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let limit = Timespec::try_from(WATCHDOG).expect("a time");
        assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "nobody connected");
        Life(self.0.accept().expect("a connection").0)
    }
}

/// The connection of a process that lives as long.
#[derive(Debug)]
pub struct Life(TcpStream);

impl From<TcpStream> for Life {
    fn from(connection: TcpStream) -> Self {
        Self(connection)
    }
}

impl Life {
    /// Waits until the process is gone.
    ///
    /// # Panics
    /// It still lives when [`WATCHDOG`] has passed.
    pub fn wait_for_death(mut self) {
        self.0.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
        let mut rest = Vec::new();
        // A reset is an end as well; a time-out is not.
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still alive: {error}");
        }
    }
}
