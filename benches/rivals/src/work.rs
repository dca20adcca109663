//! What every rival has to do, and how long it takes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;

use crate::{Channel, Open, Record, Rival, Typed};

/// How many open, use and close at a time.
const CLIENTS: u64 = 64;

/// Both ends of a channel that has been used once in each direction.
pub type Pair<R> = (<R as Rival>::Channel, <R as Rival>::Channel);

/// Opens channels and sends 32 bytes each way on each.
pub async fn pairs<R: Rival>(
    opener: &mut R::Opener,
    acceptor: &mut R::Acceptor,
    count: usize,
) -> Vec<Pair<R>> {
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut near = opener.next().await;
        // Some tell the other end of a channel only when there is something on it.
        near.send(message(32)).await;
        near.flush().await;
        let mut far = acceptor.next().await;
        receive(&mut far, 32, R::MESSAGES).await;
        far.send(message(32)).await;
        far.flush().await;
        receive(&mut near, 32, R::MESSAGES).await;
        pairs.push((near, far));
    }
    pairs
}

/// `count` messages there and back, one after the other: asked by a task, or `from_main`, by the future that the runtime blocks on, as most
/// `main` functions do. That runs beside the workers, on a thread of its own.
pub async fn round_trip<R: Rival>(
    (near, mut far): Pair<R>,
    count: u64,
    from_main: bool,
) -> (Pair<R>, Duration) {
    let echo = tokio::spawn(async move {
        for _ in 0..count {
            receive(&mut far, 32, R::MESSAGES).await;
            far.send(message(32)).await;
            far.flush().await;
        }
        far
    });
    let asking = ask::<R>(near, count);
    let (near, took) =
        if from_main { asking.await } else { tokio::spawn(asking).await.expect("answered") };
    ((near, echo.await.expect("echoed")), took)
}

async fn ask<R: Rival>(mut near: R::Channel, count: u64) -> (R::Channel, Duration) {
    let begin = Instant::now();
    for _ in 0..count {
        near.send(message(32)).await;
        near.flush().await;
        receive(&mut near, 32, R::MESSAGES).await;
    }
    (near, begin.elapsed())
}

/// `count` messages of `len` bytes on each channel, until the last has been received.
pub async fn one_way<R: Rival>(
    pairs: Vec<Pair<R>>,
    len: usize,
    count: u64,
) -> (Vec<Pair<R>>, Duration) {
    let payload = message(len);
    let begin = Instant::now();
    let tasks: Vec<_> = pairs
        .into_iter()
        .map(|(mut near, mut far)| {
            let payload = payload.clone();
            let sender = tokio::spawn(async move {
                for _ in 0..count {
                    near.send(payload.clone()).await;
                }
                near.flush().await;
                near
            });
            let receiver = tokio::spawn(async move {
                if R::MESSAGES {
                    for _ in 0..count {
                        receive(&mut far, len, true).await;
                    }
                } else {
                    receive(&mut far, len * count as usize, false).await;
                }
                far
            });
            async { (sender.await.expect("sent"), receiver.await.expect("received")) }
        })
        .collect();
    let pairs = join_all(tasks).await;
    (pairs, begin.elapsed())
}

/// Opens `count` channels, sends 5 bytes each way on each, and closes them: 64 at a time.
pub async fn open_use_close<R: Rival>(
    opener: R::Opener,
    mut acceptor: R::Acceptor,
    count: u64,
) -> (R::Opener, R::Acceptor, Duration) {
    let begin = Instant::now();
    let server = tokio::spawn(async move {
        for _ in 0..count {
            let mut channel = acceptor.next().await;
            tokio::spawn(async move {
                receive(&mut channel, 5, R::MESSAGES).await;
                channel.finish(message(5)).await;
            });
        }
        acceptor
    });
    let clients = (0..CLIENTS).map(|client| {
        let mut opener = opener.clone();
        let share = count / CLIENTS + u64::from(client < count % CLIENTS);
        tokio::spawn(async move {
            for _ in 0..share {
                let mut channel = opener.next().await;
                channel.finish(message(5)).await;
                receive(&mut channel, 5, R::MESSAGES).await;
            }
        })
    });
    for client in join_all(clients).await {
        client.expect("done");
    }
    let took = begin.elapsed();
    (opener, server.await.expect("done"), took)
}

/// `count` records one way, encoded, sent, received and decoded.
pub async fn typed<T: Typed>(pair: (T, T), count: u64) -> ((T, T), Duration) {
    let (mut near, mut far) = pair;
    let record = Record::example();
    let begin = Instant::now();
    let sender = tokio::spawn(async move {
        for _ in 0..count {
            near.send(&record).await;
        }
        near
    });
    let receiver = tokio::spawn(async move {
        for _ in 0..count {
            assert_eq!(far.receive().await.attempts, 1);
        }
        far
    });
    let near = sender.await.expect("sent");
    let far = receiver.await.expect("received");
    ((near, far), begin.elapsed())
}

fn message(len: usize) -> Bytes {
    static PAYLOAD: [u8; 1 << 20] = [7; 1 << 20];
    Bytes::from_static(&PAYLOAD[..len])
}

/// Receives `len` bytes: one message, or all of the pieces.
async fn receive(channel: &mut impl Channel, len: usize, message: bool) {
    let mut received = channel.receive().await;
    while !message && received < len {
        let piece = channel.receive().await;
        assert_ne!(piece, 0, "ended after {received} of {len} bytes");
        received += piece;
    }
    assert_eq!(received, len);
}
