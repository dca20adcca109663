//! A file streamed to a worker, which counts its lines and streams it back compressed: of any size, in little memory.
//!
//! ```text
//! $ cargo run -p execnet --example stream_file
//! 100000 lines, … bytes, … compressed
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::Group;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const COMPRESS: &str = "
import zlib
compressor, lines = zlib.compressobj(), 0
for chunk in channel:
    lines += chunk.count(b'\\n')
    channel.send(compressor.compress(chunk))
channel.send(compressor.flush())
results.send(lines)
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let gateway = group.make_gateway("popen").await?;
    let mut results = gateway.new_channel()?;
    let mut channel =
        gateway.remote_exec(format!("results = channel.receive()\n{COMPRESS}")).await?;
    channel.send(&results).await?;

    // Writing and reading at the same time: the worker does not read on while nobody takes what it sends.
    let (sender, receiver) = channel.split();
    let (mut writer, mut reader) = (sender.into_writer(), receiver.into_reader());
    let write = async {
        for number in 0..100_000 {
            writer.write_all(format!("line {number} of a long file\n").as_bytes()).await?;
        }
        writer.shutdown().await
    };
    let read = async {
        let mut compressed = Vec::new();
        reader.read_to_end(&mut compressed).await.map(|_| compressed)
    };
    let ((), compressed) = tokio::try_join!(write, read)?;
    let lines: u64 = results.receive().await?;
    println!("{lines} lines, {} bytes compressed", compressed.len());
    assert!(lines == 100_000 && compressed.len() < 1_000_000);
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
