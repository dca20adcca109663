//! The tasks of the agent that this program is, and groups that start it.

use std::collections::BTreeMap;

use execnet::{Gateway, Group, GroupBuilder, Output};
use execnet_agent::{Agent, ChannelId, Context};

pub(crate) fn agent() -> Agent {
    Agent::builder()
        .task(
            "sum",
            |_, numbers: Vec<i64>| async move { Ok::<_, String>(numbers.iter().sum::<i64>()) },
        )
        .task("parse", |_, text: String| async move { text.parse::<u8>() })
        .task("panic", |_, text: String| async move { panicking(&text) })
        .task(
            "environment",
            |_, name: String| async move { Ok::<_, String>(std::env::var(name).ok()) },
        )
        .task("where", |_, (): ()| async move {
            std::env::current_dir().map(|path| path.display().to_string())
        })
        .task("print", |_, text: String| async move {
            println!("{text}");
            Ok::<_, String>(())
        })
        .task("count", |ctx: Context, to: u32| async move {
            for n in 0..to {
                ctx.send(&n).await?;
            }
            Ok::<_, execnet_agent::SendError>(BTreeMap::from([("counted", to)]))
        })
        .task("until_cancelled", |ctx: Context, tell: ChannelId| async move {
            let mut tell = ctx.channel(tell).ok_or("no such channel")?;
            let cancelled = ctx.cancelled();
            let _ = tell.send_value("running").await;
            cancelled.await;
            let _ = tell.send_value("cancelled").await;
            Ok::<_, &str>(())
        })
        .task("forever", |ctx: Context, (): ()| async move {
            ctx.send("running").await.map_err(|error| error.to_string())?;
            std::future::pending::<Result<(), String>>().await
        })
        // Lets a test see this process end.
        .blocking_task("hold", |_, address: String| -> Result<(), String> {
            let stream =
                std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
            std::mem::forget(stream);
            Ok(())
        })
        // An async task that never yields: a fault that an agent survives only as long as its controller.
        .task("stuck", |_, (): ()| async move {
            loop {
                std::thread::park();
            }
            #[expect(unreachable_code)]
            Ok::<_, String>(())
        })
        .blocking_task("deaf", |ctx, (): ()| -> Result<(), String> {
            ctx.send("running").map_err(|error| error.to_string())?;
            loop {
                std::thread::park();
            }
        })
        .build()
}

#[inline(never)]
fn panicking(text: &str) -> Result<(), String> {
    panic!("{text}")
}

/// A group whose agents are this program.
pub(crate) fn builder() -> GroupBuilder {
    Group::builder().agent_program(std::env::current_exe().unwrap()).output(Output::discard())
}

/// A gateway to this program, started here.
pub(crate) async fn here() -> (Group, Gateway) {
    start("popen//agent").await
}

pub(crate) async fn start(spec: &str) -> (Group, Gateway) {
    let group = builder().build();
    let gateway = group.make_gateway(spec).await.unwrap_or_else(|error| panic!("{spec}: {error}"));
    (group, gateway)
}
