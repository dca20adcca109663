//! Callbacks and handlers, which may wait.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use execnet::blocking::Group;
use execnet::{Output, ReceiveError, Value};

use super::common::threads::{group, on_one, spec, watched};
use super::{SHORT, WATCHDOG};

#[test]
fn a_callback_is_told_every_item_and_one_end() {
    on_one(|gw| {
        let told = |source| {
            let (tell, told) = mpsc::channel();
            let (_sender, receiver) = gw.remote_exec(source).unwrap().split();
            let mut handle = receiver.set_callback(move |item| {
                tell.send(match item {
                    Ok(value) => value.to_string(),
                    Err(ReceiveError::End) => "end".to_owned(),
                    Err(ReceiveError::Remote(error)) => error.kind().to_owned(),
                    Err(other) => other.to_string(),
                })?;
                Ok(())
            });
            assert!(handle.join_timeout(WATCHDOG) && handle.join_timeout(WATCHDOG));
            assert!(handle.is_finished());
            handle.join();
            told.iter().collect::<Vec<_>>()
        };
        assert_eq!(told("for n in range(3): channel.send(n)"), ["0", "1", "2", "end"]);
        assert_eq!(told("channel.send('x'); 1/0"), ["'x'", "ZeroDivisionError"]);
    });
}

#[test]
fn callbacks_may_wait_and_hold_nobody_up() {
    on_one(|gw| {
        let (go, wait) = mpsc::channel::<()>();
        let (_sender, receiver) = gw.remote_exec("channel.send(1)").unwrap().split();
        let mut held = receiver.set_callback(move |item| {
            if item.is_ok() {
                wait.recv()?;
            }
            Ok(())
        });
        // Another one, which waits for execnet: more goes through it than fits into any buffer.
        let mut echo = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
        let (_other, receiver) =
            gw.remote_exec("for n in range(100): channel.send(bytes(200000))").unwrap().split();
        let total = Arc::new(Mutex::new(0));
        let counted = total.clone();
        let other = gw.clone();
        let echoing = receiver.set_callback(move |item| {
            if let Ok(item) = item {
                echo.send(&item)?;
                let Value::Bytes(bytes) = echo.receive_value()? else { panic!("bytes") };
                *counted.lock().unwrap() += bytes.len();
                other.ping()?;
            }
            Ok(())
        });
        echoing.join();
        assert_eq!(*total.lock().unwrap(), 20_000_000);
        assert!(!held.is_finished() && !held.join_timeout(SHORT));
        go.send(()).unwrap();
        held.join();
    });
}

#[test]
fn a_callback_that_fails_closes_its_channel() {
    on_one(|gw| {
        for panics in [false, true] {
            let source = "import threading; channel.gateway.done = threading.Event()\n\
                 channel.send(1)\n\
                 try: channel.receive()\n\
                 except channel.RemoteError as e: channel.gateway.told = e.type\n\
                 channel.gateway.done.set()";
            let (sender, receiver) = gw.remote_exec(source).unwrap().split();
            let handle = receiver.set_callback(move |_| {
                assert!(!panics, "a bug");
                Err("no more of this".into())
            });
            handle.join();
            sender.wait_close().unwrap();
            let source = "gw = channel.gateway; gw.done.wait(); channel.send(gw.told)";
            let mut told = gw.remote_exec(source).unwrap();
            let expected = if panics { "CallbackPanicked" } else { "CallbackError" };
            assert_eq!(told.receive::<String>().unwrap(), expected);
        }
    });
}

#[test]
fn an_output_handler_may_wait_for_execnet() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let (tell, told) = mpsc::channel();
        let quiet = group();
        let other = quiet.make_gateway(spec.as_str()).unwrap();
        let handler = move |line: execnet::OutputLine<'_>| {
            let mut channel = other.remote_exec("channel.send(channel.receive().upper())").unwrap();
            channel.send(line.line).unwrap();
            let _ = tell.send(channel.receive::<String>().unwrap());
        };
        let group = Group::builder().output(Output::handler(handler)).build();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        gw.remote_exec("print('hello')").unwrap().wait_close().unwrap();
        assert_eq!(told.recv().unwrap(), "HELLO");
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}
