//! Who has no business there: refused, with one line of the log each and nothing started, while others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use execnet_testing::{WATCHDOG, python, resident, skip};

use crate::support::{Served, bounded, group, secret, works};

/// Sends these bytes, and reads until the other side ends.
fn send(served: &Served, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(served);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    rest(stream)
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", served.port())).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream
}

/// What comes until the end; a reset is an end.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answer
}

fn refusals(served: &Served) -> usize {
    served.seen.iter().filter(|line| line.contains("refused")).count()
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let hello = b"\x89EXN\r\n\x1a\n\x01\0\0\x0d\0\0\0\0\xa1\x68versions\x82\x01\x01";
    // A record of the greatest length, and a handshake message of 16 MiB in it.
    let claim = b"\x16\x03\x01\xff\xff\x01\xff\xff\xff\x03\x03";
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], hello, claim, &[0; 4096], b"", b"\x16"]
    {
        let answer = send(&served, bytes);
        assert!(answer.len() <= 7, "an alert at most: {answer:?}");
        served.logged(&["refused", "peer="]);
        assert_eq!(served.workers(), Vec::<u32>::new());
    }
    assert_eq!(refusals(&served), 6, "one line each:\n{}", served.seen.join("\n"));
    works(&secret, &served).await;
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let Some(python) = python() else { return };
    let secret = secret();
    let mut served = secret.serve(&[]);
    let script = "import socket, ssl, sys\n\
                  context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  context.check_hostname = False\n\
                  context.verify_mode = ssl.CERT_NONE\n\
                  context.maximum_version = ssl.TLSVersion.TLSv1_2\n\
                  try: context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))\n\
                  except ssl.SSLError as error: print(error.reason)\n";
    let port = served.port().to_string();
    let output = Command::new(python).args(["-c", script, &port]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if said.is_empty() {
        return skip("this Python has no ssl");
    }
    assert!(said.contains("PROTOCOL_VERSION"), "{said} {output:?}");
    served.logged(&["refused", "no TLS 1.3"]);
    works(&secret, &served).await;
}

#[tokio::test]
async fn those_who_say_nothing_are_sent_away_in_time() {
    let secret = secret();
    let mut served = secret.serve(&["--handshake-timeout", "4s"]);
    let silent = connect(&served);
    let mut slow = connect(&served);
    slow.write_all(b"\x16\x03\x01").unwrap();
    works(&secret, &served).await;
    assert_eq!(rest(silent), b"");
    assert_eq!(rest(slow), b"");
    served.logged(&["refused", "no handshake within 4s"]);
    served.logged(&["refused", "no handshake within 4s"]);
}

#[tokio::test]
async fn a_thousand_who_wait_keep_nobody_out() {
    let secret = secret();
    let mut served = secret.serve(&["--max-unauthenticated", "100", "--handshake-timeout", "1h"]);
    works(&secret, &served).await;
    let before = resident(served.pid().into());
    let mut waiting: Vec<TcpStream> = Vec::new();
    for number in 0..1000 {
        waiting.push(connect(&served));
        if number % 250 == 249 {
            works(&secret, &served).await;
        }
    }
    // All but the last hundred, at most, have had to go.
    for mut stream in waiting.drain(..900) {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            other => panic!("not a word to a stranger, and an end: {other:?}"),
        }
    }
    for _ in 0..900 {
        served.logged(&["refused", "the oldest"]);
    }
    let files = std::fs::read_dir(format!("/proc/{}/fd", served.pid())).unwrap().count();
    assert!(files < 150, "{files} descriptors");
    let grown = resident(served.pid().into()).saturating_sub(before);
    assert!(grown <= 16, "{grown} MiB more");
    assert_eq!(served.workers(), Vec::<u32>::new());
    works(&secret, &served).await;
}

/// Behind `--insecure-no-auth` a stranger's bytes reach our own protocol.
#[tokio::test]
async fn first_words_that_are_none_of_the_protocol_are_refused() {
    let mut served = Served::start(&["--listen", "127.0.0.1:0", "--insecure-no-auth"]);
    let magic = b"\x89EXN\r\n\x1a\n";
    let before = resident(served.pid().into());
    for (bytes, said) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "preamble"),
        (b"\x01\xff\xff\xff\0\0\0\0", "16777215"),
        (b"\x10\0\0\0\0\0\0\x01", "no HELLO"),
        (b"\x01\0\0\x01\0\0\0\0\xff", "HELLO"),
        (b"", "hung up"),
    ] {
        let whole = [if bytes.starts_with(b"GET") { &b""[..] } else { &magic[..] }, bytes].concat();
        let answer = send(&served, &whole);
        served.logged(&["refused", said]);
        if !bytes.is_empty() {
            assert!(answer.starts_with(magic) && answer[8] == 6, "a CLOSE: {answer:?}");
        }
        assert_eq!(served.workers(), Vec::<u32>::new());
    }
    assert_eq!(refusals(&served), 5, "one line each:\n{}", served.seen.join("\n"));
    assert!(resident(served.pid().into()) <= before + 4);
    let group = group();
    let spec = format!("socket={}//insecure_no_auth", served.addresses[0]);
    bounded(group.make_gateway(spec.as_str())).await.unwrap();
}
