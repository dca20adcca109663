//! The contents of files, asked for by name over one channel.
//!
//! ```text
//! $ cargo run -p execnet --example file_contents
//! a.txt: 5 bytes
//! b.bin: 1048576 bytes
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Group, Value};

const READ_FILES: &str = "
    for name in channel:
        with open(name, 'rb') as file:
            channel.send(file.read())
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let files = [("a.txt", b"hello".to_vec()), ("b.bin", vec![0xe9; 1 << 20])];

    let group = Group::new();
    let gateway = group.make_gateway("popen").await?;
    let mut channel = gateway.remote_exec(READ_FILES).await?;
    for (name, contents) in files {
        let path = scratch.path().join(name);
        std::fs::write(&path, &contents)?;
        channel.send(&path).await?;
        // A bytes object arrives without being copied or decoded.
        let Value::Bytes(bytes) = channel.receive_value().await? else {
            return Err("expected bytes".into());
        };
        println!("{name}: {} bytes", bytes.len());
        assert_eq!(bytes, contents);
    }

    // No more names: the loop over there ends, and with it the task.
    channel.finish_sending();
    channel.wait_close().await?;
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
