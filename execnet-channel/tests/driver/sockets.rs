//! The same over what the system has: TCP and unix sockets, on one thread and on two.

use execnet_channel::{Config, ConnectionError, Incoming, Message, Mux, ReceiveError, Request};
use execnet_proto::Side;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::support::{message, watched, zeros};

#[expect(clippy::disallowed_methods, reason = "here we are the owner who spawns the driver")]
pub(super) fn spawn<F: Future<Output: Send> + Send + 'static>(future: F) -> JoinHandle<F::Output> {
    tokio::spawn(future)
}

type Side2 = (Mux, Incoming, JoinHandle<Result<(), ConnectionError>>);

fn start<S>(stream: S, side: Side) -> Side2
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mux, incoming, driver) = Mux::over(stream, side, Config::default()).unwrap();
    (mux, incoming, spawn(driver))
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (here, there) = tokio::join!(connecting, listener.accept());
    (here.unwrap(), there.unwrap().0)
}

/// Answers every message on every channel, until the connection ends.
async fn echo(mut incoming: Incoming) {
    while let Some(request) = incoming.next().await {
        let Request::Opened { mut channel, .. } = request else { panic!("{request:?}") };
        spawn(async move {
            while let Ok(Some(message)) = channel.recv().await {
                channel.send(message).await.unwrap();
            }
        });
    }
}

/// 20 channels at once, each with short and long messages; then everybody goes.
async fn talk(here: Side2, there: Side2) {
    let (mux, incoming, driver) = here;
    let (far, far_incoming, far_driver) = there;
    let echo = spawn(echo(far_incoming));
    let mut talks = Vec::new();
    for _ in 0..20 {
        let channel = mux.open().unwrap();
        talks.push(spawn(async move {
            let (mut sender, mut receiver) = channel.split();
            let sending = spawn(async move {
                for number in 0..300 {
                    sender.send(message(number)).await.unwrap();
                }
                sender.send(zeros(300_000)).await.unwrap();
            });
            for number in 0..300 {
                assert_eq!(receiver.recv().await.unwrap(), Some(message(number)));
            }
            assert_eq!(receiver.recv().await.unwrap(), Some(zeros(300_000)));
            assert_eq!(receiver.recv().await.unwrap(), None);
            sending.await.unwrap();
        }));
    }
    for talk in talks {
        talk.await.unwrap();
    }
    drop((mux, incoming));
    driver.await.unwrap().unwrap();
    far_driver.await.unwrap().unwrap();
    echo.await.unwrap();
    assert!(matches!(far.error(), Some(ConnectionError::ClosedByPeer)));
    assert_eq!(far.status().channels, 0);
}

#[tokio::test]
async fn over_tcp() {
    let (here, there) = tcp().await;
    watched(talk(start(here, Side::Connector), start(there, Side::FarEnd))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_on_two_threads() {
    let (here, there) = tcp().await;
    watched(talk(start(here, Side::Connector), start(there, Side::FarEnd))).await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let (here, there) = UnixStream::pair().unwrap();
    watched(talk(start(here, Side::Connector), start(there, Side::FarEnd))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_unix_socket_on_two_threads() {
    let (here, there) = UnixStream::pair().unwrap();
    watched(talk(start(here, Side::Connector), start(there, Side::FarEnd))).await;
}

#[tokio::test]
async fn a_process_that_dies_inside_a_message_is_seen_by_reader_and_sender() {
    watched(process()).await;
}

async fn process() {
    let (here, there) = tcp().await;
    let (mux, _incoming, driver) = start(here, Side::Connector);
    let (far, mut far_incoming, far_driver) = start(there, Side::FarEnd);
    let mut channel = mux.open().unwrap();
    channel.send(message(0)).await.unwrap();
    // Far longer than all buffers together, and its first part has arrived.
    channel.send(zeros(64 << 20)).await.unwrap();
    let Some(Request::Opened { channel: mut far_channel, .. }) = far_incoming.next().await else {
        panic!("no channel");
    };
    assert_eq!(far_channel.recv().await.unwrap(), Some(message(0)));
    while far.status().unread_total < 1_000 {
        far.ping().await.unwrap();
    }
    // The sender's process is gone: its socket closes without a word.
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    let ended = far_channel.recv().await;
    assert!(matches!(ended, Err(ReceiveError::Connection(_))), "{ended:?}");
    assert!(far_channel.send(Message::bytes("x")).await.is_err());
    assert!(far_driver.await.unwrap().is_err());
    assert!(far.error().unwrap().is_link_fault(), "{:?}", far.error());
}

#[tokio::test]
async fn a_farewell_arrives_although_much_is_on_its_way_here() {
    watched(farewell()).await;
}

async fn farewell() {
    let (here, there) = tcp().await;
    let (mux, incoming, driver) = start(here, Side::Connector);
    let (far, mut far_incoming, far_driver) = start(there, Side::FarEnd);
    let mut channel = mux.open().unwrap();
    channel.send(message(0)).await.unwrap();
    let Some(Request::Opened { channel: mut far_channel, .. }) = far_incoming.next().await else {
        panic!("no channel");
    };
    far_channel.send(zeros(8 << 20)).await.unwrap();
    mux.close(None);
    drop((channel, mux, incoming));
    driver.await.unwrap().unwrap();
    far_driver.await.unwrap().unwrap();
    assert!(matches!(far.closed().await, ConnectionError::ClosedByPeer));
    assert_eq!(far_channel.recv().await.unwrap(), Some(message(0)));
}
