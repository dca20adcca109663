//! What workers print, live and labelled, while they work.
//!
//! ```text
//! $ cargo run -p execnet --example live_log
//! [gw0] step 0
//! [gw1] step 0
//! …
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use execnet::{Group, Output};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let log = log.clone();
        Output::handler(move |line| {
            println!("[{}] {}", line.gateway, line.line);
            log.lock()
                .expect("no panic in here")
                .push((line.gateway.to_owned(), line.line.to_owned()));
        })
    };
    let group = Group::builder().output(handler).build();
    group.make_all(["popen"; 2]).await.map_err(|mut errors| errors.remove(0))?;
    // Prints of Python, of C and of child processes: all of it goes the same way.
    let source = "
import os, subprocess, sys
for step in range(2): print('step', step)
os.write(1, b'from below\\n')
subprocess.call([sys.executable, '-c', 'print(\"from a child\")'])
";
    for result in group.remote_exec(source).await?.wait_close().await {
        result?;
    }
    // The last lines have arrived when the gateways have ended.
    group.terminate(Duration::from_secs(5)).await?;

    let log = log.lock().expect("no panic in there");
    for gateway in ["gw0", "gw1"] {
        let lines: Vec<_> = log.iter().filter(|(id, _)| id == gateway).map(|(_, l)| &**l).collect();
        assert_eq!(lines, ["step 0", "step 1", "from below", "from a child"]);
    }
    Ok(())
}
