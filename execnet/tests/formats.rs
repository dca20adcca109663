//! Items travel in the format that is best for them, and arrive as the same whichever that is.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{bounded, pythons};
use execnet::{Channel, Gateway, Group, Output, ReceiveError, Value};
use serde::{Deserialize, Serialize};

/// A gateway on each interpreter, with marshal and without.
async fn everywhere<F: Future<Output = ()>>(scenario: impl Fn(Gateway, bool) -> F) {
    for (python, marshal) in
        pythons().into_iter().flat_map(|python| [(python.clone(), true), (python, false)])
    {
        let group = Group::builder().output(Output::discard()).marshal(marshal).build();
        let gateway =
            group.make_gateway(&*format!("popen//python={}", python.display())).await.unwrap();
        eprintln!(
            "{} {}, marshal {marshal}",
            gateway.info().implementation,
            gateway.info().version
        );
        bounded(scenario(gateway, marshal)).await;
        bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    sizes: Vec<u64>,
    ratio: f64,
    options: BTreeMap<String, Option<i128>>,
}

#[tokio::test]
async fn types_and_channels_cross_in_every_format() {
    let options = [("huge".to_owned(), Some(i128::MIN)), ("none".to_owned(), None)].into();
    let job = Job { name: "bäu".into(), sizes: vec![0, 1 << 40, u64::MAX], ratio: -0.5, options };
    everywhere(|gateway, _| {
        let job = job.clone();
        async move {
            let mut echo = gateway.remote_exec("for x in channel: channel.send(x)").await.unwrap();
            echo.send(&job).await.unwrap();
            assert_eq!(echo.receive::<Job>().await.unwrap(), job);

            // A channel inside makes the whole item CBOR.
            #[derive(Serialize)]
            struct WithChannel<'a> {
                job: &'a Job,
                answers: &'a Channel,
            }
            let source = "job = channel.receive(); job['answers'].send(job['job']); channel.send([channel, {'a': 1}])";
            let mut task = gateway.remote_exec(source).await.unwrap();
            let mut answers = gateway.new_channel().unwrap();
            task.send(&WithChannel { job: &job, answers: &answers }).await.unwrap();
            assert_eq!(answers.receive::<Job>().await.unwrap(), job);
            let Value::List(items) = task.receive_value().await.unwrap() else { panic!("a list") };
            assert_eq!(items[0].as_channel(), Some(task.id()));
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_stay_bytes_however_they_are_sent() {
    everywhere(|gateway, _| async move {
        let source = "for x in channel: channel.send((type(x).__name__, len(x))); channel.send(x)";
        let mut echo = gateway.remote_exec(source).await.unwrap();
        let raw = bytes::Bytes::from(vec![b's'; 100_000]);
        for _ in 0..2 {
            echo.send(&raw).await.unwrap();
            assert_eq!(
                echo.receive::<(String, usize)>().await.unwrap(),
                ("bytes".into(), raw.len())
            );
            assert_eq!(echo.receive::<bytes::Bytes>().await.unwrap(), raw);
        }
        echo.send(&Value::Bytes(raw.clone())).await.unwrap();
        echo.receive_value().await.unwrap();
        assert_eq!(echo.receive::<Vec<u8>>().await.unwrap(), raw);
        echo.send(&Vec::from("str")).await.unwrap();
        assert_eq!(echo.receive::<(String, usize)>().await.unwrap(), ("list".into(), 3));
        let wrong = echo.receive::<String>().await.unwrap_err();
        assert!(matches!(wrong, ReceiveError::Item(_)), "{wrong}");
    })
    .await;
}

/// What is seen of the formats: the worker says which one a message came in.
#[tokio::test]
async fn marshal_is_used_where_both_read_it() {
    let source = "
import execnet_worker.channel as c
real, seen = c._read_marshal, []
c._read_marshal = lambda data: (seen.append(1), real(data))[1]
channel.receive()
channel.send([len(seen), channel._stream.connection.marshal])";
    everywhere(|gateway, allowed| async move {
        let cpython = gateway.info().implementation == "cpython";
        let mut task = gateway.remote_exec(source).await.unwrap();
        task.send(&[1, 2]).await.unwrap();
        let (read, wrote): (usize, bool) = task.receive().await.unwrap();
        assert_eq!((read == 1, wrote), (allowed && cpython, allowed && cpython));
    })
    .await;
}
