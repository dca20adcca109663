//! A chat over a unix socket: one connection for each person, one channel for each room that they are in.
//!
//! ```text
//! $ cargo run -p execnet-channel --example chat
//! [tea] * ann is here
//! [tea] * bob is here
//! [tea] bob: is it ready?
//! [cake] * ann is here
//! [cake] ann: all gone, sorry
//! [tea] ann: it is
//! ```
//!
//! That is a conversation with itself. For one with people: `chat serve PATH` in one terminal, and
//! `chat join PATH NAME ROOM` in others.

#![allow(
    clippy::disallowed_methods,
    reason = "a driver is its owner's to spawn, and here is the owner"
)]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use execnet_channel::{Channel, Config, Mux, Request, Side};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;

type Failure = Box<dyn Error + Send + Sync>;

/// What is said in each room. A member who falls so many lines behind loses the oldest: that holds up nobody.
#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<HashMap<String, broadcast::Sender<String>>>>);

impl Rooms {
    fn enter(&self, room: String) -> broadcast::Sender<String> {
        let mut rooms = self.0.lock().expect("nobody panics in here");
        rooms.entry(room).or_insert_with(|| broadcast::Sender::new(100)).clone()
    }
}

async fn serve(listener: UnixListener) -> Result<(), Failure> {
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let (_, mut incoming, driver) = Mux::over(stream, Side::FarEnd, Config::compact())?;
        tokio::spawn(driver);
        let rooms = rooms.clone();
        tokio::spawn(async move {
            while let Some(Request::Opened { channel, .. }) = incoming.next().await {
                tokio::spawn(attend(rooms.clone(), channel));
            }
        });
    }
}

/// Passes on what one member says, and tells it what all say.
async fn attend(rooms: Rooms, mut channel: Channel) {
    // The first message says who it is, and where to. Others are not let in: dropping the channel closes it.
    let Ok(Some((name, room))) = channel.recv_value::<(String, String)>().await else { return };
    let room = rooms.enter(room);
    let mut said = room.subscribe();
    room.send(format!("* {name} is here")).ok();
    loop {
        tokio::select! {
            line = channel.recv_value::<String>() => match line {
                Ok(Some(line)) => drop(room.send(format!("{name}: {line}"))),
                _ => break,
            },
            line = said.recv() => {
                let line = line.unwrap_or_else(|missed| format!("* {missed}"));
                // Waits for a member who reads slowly, and for nobody else.
                if channel.send_value(&line).await.is_err() {
                    break;
                }
            }
        }
    }
    room.send(format!("* {name} has left")).ok();
}

/// One person's connection.
async fn connect(path: &Path) -> Result<Mux, Failure> {
    let stream = UnixStream::connect(path).await?;
    let (mux, _, driver) = Mux::over(stream, Side::Connector, Config::compact())?;
    tokio::spawn(driver);
    Ok(mux)
}

async fn enter(mux: &Mux, name: &str, room: &str) -> Result<Channel, Failure> {
    let mut channel = mux.open()?;
    channel.send_value(&(name, room)).await?;
    Ok(channel)
}

async fn join(path: &Path, name: &str, room: &str) -> Result<(), Failure> {
    let (mut sender, mut receiver) = enter(&connect(path).await?, name, room).await?.split();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => sender.send_value(&line).await?,
                None => return Ok(()),
            },
            line = receiver.recv_value::<String>() => match line? {
                Some(line) => println!("[{room}] {line}"),
                None => return Ok(()),
            },
        }
    }
}

/// Two people and two rooms. Each line is spoken when the one before it was heard.
async fn talk(path: &Path) -> Result<(), Failure> {
    let ann = connect(path).await?;
    let bob = connect(path).await?;
    let mut heard = Vec::new();
    let mut hear = async |room: &str, members: &mut [&mut Channel]| {
        let mut lines = Vec::new();
        for member in members {
            lines.extend(member.recv_value::<String>().await?);
        }
        lines.dedup();
        println!("[{room}] {}", lines.join(" / "));
        heard.append(&mut lines);
        Ok::<_, Failure>(())
    };

    let mut ann_at_tea = enter(&ann, "ann", "tea").await?;
    hear("tea", &mut [&mut ann_at_tea]).await?;
    let mut bob_at_tea = enter(&bob, "bob", "tea").await?;
    hear("tea", &mut [&mut ann_at_tea, &mut bob_at_tea]).await?;
    bob_at_tea.send_value("is it ready?").await?;
    hear("tea", &mut [&mut ann_at_tea, &mut bob_at_tea]).await?;
    let mut ann_at_cake = enter(&ann, "ann", "cake").await?;
    hear("cake", &mut [&mut ann_at_cake]).await?;
    ann_at_cake.send_value("all gone, sorry").await?;
    hear("cake", &mut [&mut ann_at_cake]).await?;
    ann_at_tea.send_value("it is").await?;
    hear("tea", &mut [&mut ann_at_tea, &mut bob_at_tea]).await?;

    let expected = [
        "* ann is here",
        "* bob is here",
        "bob: is it ready?",
        "* ann is here",
        "ann: all gone, sorry",
        "ann: it is",
    ];
    assert_eq!(heard, expected);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let place = tempfile::tempdir()?;
            let path = place.path().join("chat");
            let server = tokio::spawn(serve(UnixListener::bind(&path)?));
            let talked = talk(&path).await;
            server.abort();
            talked
        }
        ["serve", path] => serve(UnixListener::bind(path)?).await,
        ["join", path, name, room] => join(path.as_ref(), name, room).await,
        _ => Err("usage: chat [serve PATH | join PATH NAME ROOM]".into()),
    }
}
