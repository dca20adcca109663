//! The core without a runtime: two threads, a `std::net` socket, and one lock between them.
//!
//! ```text
//! $ cargo run -p execnet-channel --no-default-features --example blocking
//! 1 + 2 + … + 1000 = 500500
//! 8388608 bytes went there and back
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "the core has no clock and no threads; here is who has"
)]

use std::error::Error;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use execnet_channel::core::{Batch, Connection, Event, Message, Received, TrySendError};
use execnet_channel::proto::cbor::{self, EncodeError};
use execnet_channel::{ChannelId, Config, ConnectionError, ReceiveError, SendError, Side};

/// A connection for threads that may wait. Whatever happens wakes all who wait, and each looks for itself: a
/// program with many channels would keep a condition for each.
struct Blocking {
    core: Mutex<Connection>,
    happened: Condvar,
}

impl Blocking {
    /// Starts a thread that reads the socket, and one that writes it.
    fn start(socket: TcpStream, side: Side) -> Result<Arc<Self>, Box<dyn Error>> {
        let core = Mutex::new(Connection::new(side, Config::default(), Instant::now())?);
        let this = Arc::new(Self { core, happened: Condvar::new() });
        socket.set_nodelay(true)?;
        let (reader, writer) = (socket.try_clone()?, socket);
        let reading = this.clone();
        thread::spawn(move || reading.read(reader));
        let writing = this.clone();
        thread::spawn(move || writing.write(writer));
        Ok(this)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.core.lock().expect("no thread panics while it holds the core")
    }

    fn read(&self, mut socket: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = socket.read(&mut buffer);
            let mut core = self.lock();
            match read {
                Ok(0) => core.handle_end(),
                Ok(count) => core.handle_input(Instant::now(), &buffer[..count]),
                Err(error) => core.end(ConnectionError::Link(Arc::new(error))),
            }
            self.happened.notify_all();
            if core.error().is_some() {
                return;
            }
        }
    }

    fn write(&self, mut socket: TcpStream) {
        let mut batch = Batch::new();
        loop {
            let mut core = self.lock();
            let now = Instant::now();
            core.handle_timeout(now);
            if !core.poll_transmit(now, &mut batch) {
                if core.error().is_some() {
                    let _ = socket.shutdown(Shutdown::Write);
                    return;
                }
                let deadline = core.next_deadline().map(|at| at.saturating_duration_since(now));
                // Without keepalive there is no deadline, and any time will do.
                let patience = deadline.unwrap_or(Duration::from_secs(3600));
                let _woken = self.happened.wait_timeout(core, patience).expect("see lock");
                continue;
            }
            // Room for who waits to send.
            self.happened.notify_all();
            drop(core);
            while !batch.is_empty() {
                let mut slices = [IoSlice::new(&[]); 64];
                let count = batch.slices(&mut slices);
                match socket.write_vectored(&slices[..count]) {
                    Ok(written) => batch.advance(written),
                    Err(error) => {
                        self.lock().end(ConnectionError::Link(Arc::new(error)));
                        return self.happened.notify_all();
                    }
                }
            }
        }
    }

    /// Tries until it is done. What it does may be work for the writer, or news for another thread.
    fn until<T>(&self, mut attempt: impl FnMut(&mut Connection) -> Option<T>) -> T {
        let mut core = self.lock();
        loop {
            if let Some(done) = attempt(&mut core) {
                self.happened.notify_all();
                return done;
            }
            core = self.happened.wait(core).expect("see lock");
        }
    }

    /// The next channel that the peer opens; `None` when the connection has ended.
    fn accept(&self) -> Option<ChannelId> {
        self.until(|core| {
            while let Some(event) = core.poll_event() {
                if let Event::Opened { channel, .. } = event {
                    core.accept(channel);
                    return Some(Some(channel));
                }
            }
            core.error().is_some().then_some(None)
        })
    }

    fn send(&self, channel: ChannelId, message: Message) -> Result<(), SendError> {
        let mut slot = Some(message);
        self.until(|core| match core.try_send(channel, slot.take()?) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Failed(error)) => Some(Err(error)),
            Err(TrySendError::Blocked(message)) => {
                slot = Some(message);
                None
            }
        })
    }

    fn finish(&self, channel: ChannelId) {
        self.lock().finish(channel);
        self.happened.notify_all();
    }

    fn hang_up(&self) {
        self.lock().close_connection(None);
        self.happened.notify_all();
    }

    /// The next message; `None` after the last.
    fn recv(&self, channel: ChannelId) -> Result<Option<Message>, ReceiveError> {
        self.until(|core| match core.recv(channel) {
            Ok(Received::Message(message)) => Some(Ok(Some(message))),
            Ok(Received::End) => Some(Ok(None)),
            Ok(Received::Nothing) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

fn number(n: u64) -> Result<Message, EncodeError> {
    Ok(Message::cbor(cbor::to_bytes(&n)?))
}

/// The far end: adds up what comes on the first channel, sends back what comes on the second.
fn serve(socket: TcpStream) -> Result<(), Box<dyn Error>> {
    let mux = Blocking::start(socket, Side::FarEnd)?;
    let (sum, echo) = (mux.accept().ok_or("no channel")?, mux.accept().ok_or("no channel")?);
    let mut total = 0_u64;
    while let Some(message) = mux.recv(sum)? {
        total += message.to_value::<u64>()?;
    }
    mux.send(sum, number(total)?)?;
    while let Some(message) = mux.recv(echo)? {
        mux.send(echo, message)?;
    }
    // The connector hangs up.
    while mux.accept().is_some() {}
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        serve(socket).expect("a conversation");
    });

    let mux = Blocking::start(TcpStream::connect(address)?, Side::Connector)?;
    let sum = mux.until(|core| Some(core.open(false)))?;
    let echo = mux.until(|core| Some(core.open(false)))?;
    for n in 1..=1000 {
        mux.send(sum, number(n)?)?;
    }
    mux.finish(sum);
    let total: u64 = mux.recv(sum)?.ok_or("no sum")?.to_value()?;
    println!("1 + 2 + … + 1000 = {total}");

    // Longer than any window: it travels in pieces, while the other end has long begun to take them.
    let long = Message::bytes(vec![7; 8 << 20]);
    mux.send(echo, long.clone())?;
    mux.finish(echo);
    let back = mux.recv(echo)?.ok_or("no answer")?;
    println!("{} bytes went there and back", back.payload.len());

    mux.hang_up();
    server.join().map_err(|_| "the far end panicked")?;
    assert_eq!((total, back), (500_500, long));
    Ok(())
}
