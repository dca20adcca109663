//! What may be shared: every public type, in any thread or task.

mod common;

use std::sync::Arc;

use common::{bounded, group, popen};
use execnet::ReceiveError;

fn shared<T: Send + Sync + Unpin + 'static>() {}

macro_rules! shared {
    ($($handle:ty),+ $(,)?) => {
        $(shared::<$handle>();)+
    };
}

#[test]
fn every_handle_can_be_sent_and_shared() {
    use execnet::*;
    shared!(
        Channel,
        ChannelReader,
        ChannelWriter,
        Command,
        Dial,
        Gateway,
        Group,
        GroupBuilder,
        Info,
        MultiChannel,
        Output,
        OutputLine<'static>,
        OutputStream,
        Process,
        ReceiveQueue,
        Receiver,
        Scheme,
        Sender,
        Source,
        StartProgress,
        TypedChannel<u8, String>,
        Value,
        XSpec,
    );
}

#[test]
fn every_error_can_be_sent_and_shared() {
    use execnet::*;
    shared!(
        CallError,
        CommandError,
        ConnectError,
        ConnectionError,
        DeployError,
        ExecError,
        GatewayError,
        GatewayLost,
        OpenError,
        ReceiveError,
        RemoteError,
        SendError,
        SpecError,
        TerminateError,
        WaitError,
        blocking::TimedOut,
    );
}

#[test]
fn every_handle_of_the_blocking_api_can_be_sent_and_shared() {
    use execnet::blocking::*;
    shared!(
        CallbackHandle,
        Channel,
        ChannelReader,
        ChannelWriter,
        Command,
        Gateway,
        Group,
        GroupBuilder,
        MultiChannel,
        Process,
        ReceiveQueue,
        Receiver,
        Sender,
        TypedChannel<u8, String>,
    );
}

/// Whoever waits for the end need not own the channel.
#[tokio::test]
async fn tasks_wait_for_one_channel_by_reference() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let mut channel = gw.remote_exec("channel.receive()").await.unwrap();
    channel.send(&1).await.unwrap();
    let channel = Arc::new(channel);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.wait_close().await })
        })
        .collect();
    for waiting in waiting {
        bounded(waiting).await.unwrap().unwrap();
    }
    let mut channel = Arc::into_inner(channel).expect("all tasks have ended");
    assert!(matches!(channel.receive_value().await, Err(ReceiveError::End)));
}
