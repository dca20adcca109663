//! What happens on a gateway, wherever that is.

use std::pin::Pin;

use execnet::{Channel, Ending, Gateway, ReceiveError, Value};
use tokio::io::AsyncReadExt;

pub(super) type Run = fn(Gateway) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Each of them, by name.
pub(super) const ALL: &[(&str, Run)] = &[
    ("items both ways", |gw| Box::pin(items(gw))),
    ("64 MiB both ways", |gw| Box::pin(much(gw))),
    ("printed lines", |gw| Box::pin(printed(gw))),
    ("a remote exception", |gw| Box::pin(exception(gw))),
    ("an interrupt", |gw| Box::pin(interrupt(gw))),
    ("several channels at once", |gw| Box::pin(several(gw))),
    ("a reader that stands still", |gw| Box::pin(slow(gw))),
    ("status", |gw| Box::pin(status(gw))),
    ("a command", |gw| Box::pin(command(gw))),
    ("death by exit", |gw| Box::pin(exit(gw))),
    ("death by SIGKILL", |gw| Box::pin(sigkill(gw))),
    ("a kill leaves no orphan", |gw| Box::pin(kill(gw))),
];

const ECHO: &str = "for x in channel: channel.send(x)";

/// How a channel ends that brings no items.
async fn end(mut channel: Channel) -> ReceiveError {
    channel.receive_value().await.expect_err("no item")
}

async fn items(gw: Gateway) {
    let mut channel = gw.remote_exec(ECHO).await.unwrap();
    for item in
        [Value::None, Value::Int(-1), Value::from("ü"), Value::List(vec![Value::Float(0.5)])]
    {
        channel.send(&item).await.unwrap();
        assert_eq!(channel.receive_value().await.unwrap(), item);
    }
    channel.finish_sending();
    assert!(matches!(channel.receive_value().await, Err(ReceiveError::End)));
}

async fn much(gw: Gateway) {
    let (mut sender, mut receiver) = gw.remote_exec(ECHO).await.unwrap().split();
    let sending = tokio::spawn(async move {
        for n in 0..64_u8 {
            sender.send_bytes(vec![n; 1 << 20]).await.unwrap();
        }
    });
    for n in 0..64_u8 {
        let item = receiver.receive_value().await.unwrap();
        let bytes = item.as_bytes().expect("bytes");
        assert!(bytes.len() == 1 << 20 && bytes.iter().all(|byte| *byte == n));
    }
    sending.await.unwrap();
}

async fn printed(gw: Gateway) {
    let mut output = gw.output();
    let code = "import os, sys; print('out', flush=True); os.system('echo child')";
    assert!(matches!(end(gw.remote_exec(code).await.unwrap()).await, ReceiveError::End));
    let mut lines = vec![output.next_line().await.unwrap(), output.next_line().await.unwrap()];
    lines.sort();
    assert_eq!(lines, ["child", "out"]);
}

async fn exception(gw: Gateway) {
    let channel = gw.remote_exec("def f(): 1 / 0\nf()").await.unwrap();
    let ReceiveError::Remote(error) = end(channel).await else { panic!() };
    assert_eq!(error.kind(), "ZeroDivisionError");
    assert!(error.traceback().unwrap().contains("def f(): 1 / 0"), "{error}");
    gw.ping().await.unwrap();
}

async fn interrupt(gw: Gateway) {
    let mut channel =
        gw.remote_exec("channel.send(1)\nimport time\nwhile True: time.sleep(0.01)").await.unwrap();
    channel.receive::<i64>().await.unwrap();
    channel.interrupt();
    let ReceiveError::Remote(error) = end(channel).await else { panic!() };
    assert_eq!(error.kind(), "KeyboardInterrupt");
}

async fn several(gw: Gateway) {
    let tasks = (0..10_i64).map(|n| {
        let gw = gw.clone();
        tokio::spawn(async move {
            let mut channel = gw.remote_exec(ECHO).await.unwrap();
            for x in 0..20 {
                channel.send(&(n * 100 + x)).await.unwrap();
                assert_eq!(channel.receive::<i64>().await.unwrap(), n * 100 + x);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn slow(gw: Gateway) {
    // Nobody reads what comes here …
    let flood = "while True: channel.send(b'x' * 65536)";
    let _unread = gw.remote_exec(flood).await.unwrap();
    // … and others go on.
    let mut channel = gw.remote_exec(ECHO).await.unwrap();
    for n in 0..100_i64 {
        channel.send(&n).await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), n);
    }
}

async fn status(gw: Gateway) {
    let mut channel = gw.remote_exec("channel.send(1); channel.receive()").await.unwrap();
    channel.receive::<i64>().await.unwrap();
    let Value::Dict(entries) = gw.status().await.unwrap() else { panic!("no dict") };
    assert!(entries.contains(&("executing".into(), Value::Int(1))), "{entries:?}");
}

pub(super) async fn command(gw: Gateway) {
    let output = gw.command(["sh", "-c", "echo here; exit 3"]).output().await.unwrap();
    assert_eq!((&*output.stdout, output.status), (&b"here\n"[..], Ending::Exited(3)));
}

async fn exit(gw: Gateway) {
    let code = "import os, sys; sys.stderr.write('last words\\n'); sys.stderr.flush(); os._exit(7)";
    let mut channel = gw.remote_exec(code).await.unwrap();
    let ReceiveError::Lost(lost) = channel.receive_value().await.unwrap_err() else { panic!() };
    assert!(lost.to_string().contains("exit status 7"), "{lost}");
    assert!(lost.stderr().iter().any(|line| line == "last words"), "{lost}");
}

async fn sigkill(gw: Gateway) {
    let code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)";
    let channel = gw.remote_exec(code).await.unwrap();
    let ReceiveError::Lost(lost) = end(channel).await else { panic!() };
    assert!(lost.to_string().contains("killed by SIGKILL (signal 9)"), "{lost}");
}

async fn kill(gw: Gateway) {
    // A socket in a folder, since loopback is another one in another namespace.
    let folder = tempfile::tempdir().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), everybody).unwrap();
    let path = folder.path().join("lifeline");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&path, everybody).unwrap();
    let code = format!(
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect({:?}); channel.receive()",
        path.display().to_string()
    );
    let _channel = gw.remote_exec(code).await.unwrap();
    let (mut life, _) = listener.accept().await.unwrap();
    gw.kill();
    gw.lost().await;
    // At its end the process is gone; a reset says the same.
    let _ = life.read_to_end(&mut Vec::new()).await;
}
