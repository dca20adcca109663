//! The far end that the suite talks with, as a program and as a future.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// The far end that a [`Suite`](super::Suite) talks with: make your transport reach one, in either form.
///
/// - [`python`](Self::python): the text of a Python program that uses its standard streams, for links that lead to a
///   process;
/// - [`serve`](Self::serve): a future that uses a reader and a writer, for links that lead to a server, or stay
///   within the process.
///
/// Each far end first connects to a port of this one on 127.0.0.1, and keeps that connection open as long as it
/// lives. That is how the suite knows what a link has left behind, whatever the link itself says; so far ends must
/// run on this machine. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Peer {
    witness: Arc<Witness>,
    /// What the Python program does when the link ends before it was told anything.
    untold: &'static str,
}

#[derive(Debug)]
struct Witness {
    listener: TcpListener,
    address: SocketAddr,
    alive: Mutex<Vec<TcpStream>>,
}

impl Peer {
    /// Makes one, with a free port for its far ends to report to.
    ///
    /// # Errors
    ///
    /// The system gives no port.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Who waits to be accepted is to be known at once, not when the runtime has looked.
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let witness = Arc::new(Witness { listener, address, alive: Mutex::default() });
        Ok(Self { witness, untold: "hold()" })
    }

    /// The far end as the source of a program for Python 3.6 or later, such as for `python3 -c`.
    ///
    /// It ends by itself after ten minutes, so that a link which fails the suite leaves nothing for ever.
    #[must_use]
    pub fn python(&self) -> String {
        let port = self.witness.address.port().to_string();
        include_str!("far_end.py").replace("@PORT@", &port).replace("@UNTOLD@", self.untold)
    }

    /// For links that lack [`Capability::Kill`](super::Capability::Kill): the Python program then ends when its link
    /// does. Otherwise one that was given up while connecting stays until it is killed.
    #[must_use]
    pub fn ending_with_the_link(mut self) -> Self {
        self.untold = "sys.exit()";
        self
    }

    /// Is the far end, until it has done what it was asked for or the link is gone. It then drops both halves.
    ///
    /// # Errors
    ///
    /// The link broke, or the suite asked for what only a process can do: such a
    /// [`Capability`](super::Capability) is to be declared as lacking. Nobody needs to look at it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the sudden death of the far end.
    pub async fn serve(
        &self,
        reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let _alive = TcpStream::connect(self.witness.address).await?;
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            // The link was given up before it said anything.
            [] => {}
            ["echo"] => {
                tokio::io::copy_buf(&mut reader, &mut writer).await?;
            }
            ["count"] => {
                writer.write_all(b"ok\n").await?;
                writer.flush().await?;
                let count = tokio::io::copy_buf(&mut reader, &mut tokio::io::sink()).await?;
                writer.write_all(format!("{count}\n").as_bytes()).await?;
            }
            ["give", count] => {
                let count = count.parse().map_err(io::Error::other)?;
                writer.write_all(&given(count)).await?;
            }
            ["exit", _] => {}
            _ => return Err(io::Error::other(format!("only a process can do this: {line:?}"))),
        }
        writer.shutdown().await
    }

    /// Waits until every far end that has reported is gone. Cancel safe.
    pub(super) async fn all_gone(&self) {
        poll_fn(|cx| {
            let mut alive = self.alive();
            while let Some(far_end) = alive.last_mut() {
                // It sends nothing: whatever comes is its end.
                let mut byte = [0; 1];
                let _ = ready!(Pin::new(far_end).poll_read(cx, &mut ReadBuf::new(&mut byte)));
                alive.pop();
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Forgets the far ends that are still there, so that only one case is blamed for them.
    pub(super) fn forget(&self) {
        self.alive().clear();
    }

    /// The far ends that have reported, those included that did so just now.
    fn alive(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        let mut alive = self.witness.alive.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok((far_end, _)) = self.witness.listener.accept() {
            if far_end.set_nonblocking(true).is_ok() {
                alive.extend(TcpStream::from_std(far_end));
            }
        }
        alive
    }
}

/// What `give` sends; `far_end.py` has the same.
pub(super) fn given(count: usize) -> Vec<u8> {
    (0..251).cycle().take(count).collect()
}
