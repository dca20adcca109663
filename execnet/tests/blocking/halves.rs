//! Each direction of a channel by itself.

use execnet::{ReceiveError, RemoteError, SendError, Value, WaitError};

use super::common::threads::on_one;
use super::{SHORT, WATCHDOG};

fn remote(error: ReceiveError) -> RemoteError {
    match error {
        ReceiveError::Remote(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn they_send_and_receive_as_the_whole_does() {
    on_one(|gw| {
        let (mut sender, mut receiver) =
            gw.remote_exec("for x in channel: channel.send(x)").unwrap().split();
        assert_eq!(receiver.gateway().id(), gw.id());
        sender.send_timeout(&1, WATCHDOG).unwrap();
        sender.send_bytes(b"two".to_vec()).unwrap();
        sender.send_bytes_timeout(b"three".to_vec(), WATCHDOG).unwrap();
        assert_eq!(receiver.receive_timeout::<i64>(WATCHDOG).unwrap(), 1);
        assert_eq!(receiver.receive_value().unwrap(), Value::from(b"two".to_vec()));
        let three = receiver.receive_value_timeout(WATCHDOG).unwrap();
        assert_eq!(three, Value::from(b"three".to_vec()));

        let nothing = receiver.receive_value_timeout(SHORT);
        assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
        for open in [sender.wait_close_timeout(SHORT), receiver.wait_close_timeout(SHORT)] {
            assert!(matches!(open, Err(WaitError::TimedOut)), "{open:?}");
        }
        sender.finish_sending();
        assert!(matches!(receiver.receive::<i64>(), Err(ReceiveError::End)));
        sender.wait_close().unwrap();
        receiver.wait_close_timeout(WATCHDOG).unwrap();
    });
}

#[test]
fn a_sender_waits_no_longer_than_it_is_told() {
    on_one(|gw| {
        let (mut sender, mut receiver) =
            gw.remote_exec("import time\nwhile True: time.sleep(0.01)").unwrap().split();
        let full = loop {
            if let Err(error) = sender.send_bytes_timeout(vec![0; 64 << 10], SHORT) {
                break error;
            }
        };
        assert!(matches!(full, SendError::TimedOut), "{full}");
        let full = sender.send_timeout(&"x".repeat(64 << 10), SHORT);
        assert!(matches!(full, Err(SendError::TimedOut)), "{full:?}");
        sender.interrupt();
        assert_eq!(remote(receiver.receive::<i64>().unwrap_err()).kind(), "KeyboardInterrupt");
    });
}

#[test]
fn either_interrupts_and_the_sender_closes() {
    on_one(|gw| {
        // Tells the end of a channel on another one.
        let source = "
            other = channel.receive()
            try:
                channel.receive()
            except EOFError:
                other.send('the end')
            except channel.RemoteError as error:
                other.send(str(error))
        ";
        for (said, told) in [(None, "the end"), (Some("enough"), "enough")] {
            let mut other = gw.new_channel().unwrap();
            let (mut sender, receiver) = gw.remote_exec(source).unwrap().split();
            sender.send(&other).unwrap();
            match said {
                None => sender.close(),
                Some(message) => sender.close_with_error(message),
            }
            let heard: String = other.receive().unwrap();
            assert!(heard.contains(told), "{heard}");
            receiver.wait_close().unwrap();
            let closed = sender.send(&1);
            assert!(matches!(closed, Err(SendError::Channel(_))), "{closed:?}");
        }

        let source = "channel.send(1)\nimport time\nwhile True: time.sleep(0.01)";
        let (_sender, mut receiver) = gw.remote_exec(source).unwrap().split();
        assert_eq!(receiver.receive::<i64>().unwrap(), 1);
        receiver.interrupt();
        assert_eq!(remote(receiver.receive::<i64>().unwrap_err()).kind(), "KeyboardInterrupt");
    });
}
