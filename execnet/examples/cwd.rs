//! A worker in a directory of its own: `chdir=` makes it if it is missing.
//!
//! ```text
//! $ cargo run -p execnet --example cwd
//! here: /home/me/project
//! there: /tmp/.tmpQ3x/deeply/nested
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Group, XSpec};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path().canonicalize()?.join("deeply/nested");

    let group = Group::new();
    let spec = XSpec::builder().flag("popen").set("chdir", dir.to_string_lossy()).build()?;
    let gateway = group.make_gateway(spec).await?;
    let mut channel = gateway.remote_exec("import os; channel.send(os.getcwd())").await?;
    let there: String = channel.receive().await?;
    println!("here: {}\nthere: {there}", std::env::current_dir()?.display());

    assert_eq!(there, dir.to_string_lossy());
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
