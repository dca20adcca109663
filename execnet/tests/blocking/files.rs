//! Channels as files, and programs' streams.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use execnet::Value;

use super::common::threads::on_one;
use super::{SHORT, WATCHDOG};

#[test]
fn a_reader_and_a_writer_are_files_at_the_other_end() {
    on_one(|gw| {
        let source = "source, sink = channel.makefile('r'), channel.makefile('w')\n\
             for line in source: sink.write(line.upper())\n\
             print('the end', file=sink)";
        let (sender, receiver) = gw.remote_exec(source).unwrap().split();
        let (mut writer, mut reader) = (sender.into_writer(), receiver.into_reader());
        reader.set_timeout(Some(SHORT));
        let nothing = reader.fill_buf().unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::TimedOut);
        let nothing = reader.read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::TimedOut);
        reader.set_timeout(None);

        write!(writer, "a line\nanother\nand half").unwrap();
        writer.write_all(b" of one").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "A LINE\n");
        writer.shutdown().unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "ANOTHER\nAND HALF OF ONEthe end\n");
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

/// Reads when it is told to.
const READ_LATER: &str = "
    import threading
    event = channel.gateway.event = threading.Event()
    event.wait()
    channel.send(b''.join(channel))
";

#[test]
fn writing_in_time_loses_nothing_and_what_was_written_needs_no_flush() {
    on_one(|gw| {
        let read_now = || {
            let source = "import time\n\
                 while not hasattr(channel.gateway, 'event'): time.sleep(0.001)\n\
                 channel.gateway.event.set()";
            gw.remote_exec(source).unwrap().wait_close().unwrap();
        };
        let chunk = |n: usize| vec![n as u8; 64 << 10];

        let (sender, mut receiver) = gw.remote_exec(READ_LATER).unwrap().split();
        let mut writer = sender.into_writer();
        writer.set_timeout(Some(SHORT));
        let mut chunks = 0;
        let error = loop {
            match writer.write_all(&chunk(chunks)) {
                Ok(()) => chunks += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Nothing of the last one was taken, so nothing waits.
        writer.flush().unwrap();
        read_now();
        writer.set_timeout(None);
        writer.write_all(b"the end").unwrap();
        drop(writer);
        let mut written: Vec<u8> = (0..chunks).flat_map(chunk).collect();
        written.extend(b"the end");
        assert!(receiver.receive_value().unwrap() == Value::from(written));

        // One more than there is room for: writing the last one waits, and nothing is left behind.
        let (sender, mut receiver) = gw.remote_exec(READ_LATER).unwrap().split();
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let mut writer = sender.into_writer();
            (0..=chunks).for_each(|n| writer.write_all(&chunk(n)).unwrap());
            drop(writer);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(SHORT).is_err());
        read_now();
        let written: Vec<u8> = (0..=chunks).flat_map(chunk).collect();
        assert!(receiver.receive_value().unwrap() == Value::from(written));
        is_done.recv().unwrap();
    });
}

#[test]
fn a_reader_tells_what_is_no_text_and_how_it_ended() {
    on_one(|gw| {
        for (source, kind, words) in [
            ("channel.send(1)", io::ErrorKind::InvalidData, "received 1"),
            ("channel.send(b'ab'); 1/0", io::ErrorKind::Other, "ZeroDivisionError"),
            ("import os; os._exit(4)", io::ErrorKind::ConnectionAborted, "exit status 4"),
        ] {
            let (_sender, receiver) = gw.remote_exec(source).unwrap().split();
            let error = receiver.into_reader().read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}

#[test]
fn programs_on_the_gateways_machine() {
    on_one(|gw| {
        let output = gw.command(["sh", "-c", "echo out; exit 3"]).output().unwrap();
        assert_eq!((&*output.stdout, output.status.code()), (&b"out\n"[..], Some(3)));
        let mut cat = gw.command(["cat"]).spawn().unwrap();
        Write::write_all(cat.stdin.as_mut().unwrap(), b"there and back").unwrap();
        assert!(cat.wait().unwrap().success());
        let text = io::read_to_string(cat.stdout.take().unwrap()).unwrap();
        assert_eq!(text, "there and back");
        assert_eq!(
            gw.command(["sleep", "1000"]).spawn().unwrap().kill().unwrap().signal(),
            Some(9)
        );
    });
}

#[test]
fn programs_are_waited_for_in_time() {
    on_one(|gw| {
        let quick = || gw.command(["sh", "-c", "echo out; exit 3"]);
        assert_eq!(quick().status_timeout(WATCHDOG).unwrap().unwrap().code(), Some(3));
        let output = quick().output_timeout(WATCHDOG).unwrap().unwrap();
        assert_eq!((&*output.stdout, output.status.code()), (&b"out\n"[..], Some(3)));
        let mut slow = gw.command(["cat"]).spawn_timeout(WATCHDOG).unwrap().unwrap();
        let stdin = slow.stdin.take();
        for limit in [Duration::ZERO, SHORT] {
            assert_eq!(slow.wait_timeout(limit).unwrap(), None);
        }
        drop(stdin);
        assert!(slow.wait_timeout(WATCHDOG).unwrap().unwrap().success());

        for limit in [Duration::ZERO, SHORT] {
            let sleep = || gw.command(["sleep", "1000"]);
            assert_eq!(sleep().status_timeout(limit).unwrap(), None);
            assert_eq!(sleep().output_timeout(limit).unwrap(), None);
        }
    });
}
