//! Ends: asked for, by death, and by the controller's.

use std::time::Duration;

use execnet::{Ending, ReceiveError};
use execnet_testing::Life;

use crate::support::{here, start};

crate::tests![
    an_idle_agent_exits_at_once,
    a_blocking_task_does_not_keep_it,
    a_killed_agent_is_lost,
    nothing_survives_the_controllers_end,
    not_even_with_a_runtime_that_is_stuck,
];

async fn an_idle_agent_exits_at_once() {
    let (_group, gateway) = here().await;
    assert_eq!(gateway.exit(Duration::from_secs(100_000)).await, Some(Ending::Exited(0)));
}

async fn a_blocking_task_does_not_keep_it() {
    let (_group, gateway) = here().await;
    let mut channel = gateway.start("deaf", &()).await.unwrap();
    assert_eq!(channel.receive::<String>().await.unwrap(), "running");
    // It is not killed from here: the agent itself gives up on the thread.
    let ending = gateway.exit(Duration::from_secs(12)).await;
    assert_eq!(ending, Some(Ending::Exited(1)));
    assert!(
        gateway.last_output(3).iter().any(|line| line.contains("1 blocking task(s)")),
        "{:?}",
        gateway.last_output(3)
    );
}

async fn a_killed_agent_is_lost() {
    let (_group, gateway) = here().await;
    let mut channel = gateway.start("forever", &()).await.unwrap();
    assert_eq!(channel.receive::<String>().await.unwrap(), "running");
    gateway.kill();
    let Err(ReceiveError::Lost(lost)) = channel.receive::<String>().await else { panic!() };
    assert_eq!(lost.ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
}

/// The agent runs in a session of its own, where only the end of its link reaches it.
async fn nothing_survives_the_controllers_end() {
    let exe = std::env::current_exe().unwrap();
    let (group, gateway) = start(&format!("popen//agent=setsid --wait {}", exe.display())).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    gateway.call::<()>("hold", &address).await.unwrap();
    let life = Life::from(listener.accept().unwrap().0);
    // Busy in two ways; neither keeps it.
    let forever = gateway.start("forever", &()).await.unwrap();
    let mut deaf = gateway.start("deaf", &()).await.unwrap();
    assert_eq!(deaf.receive::<String>().await.unwrap(), "running");
    drop((group, gateway, forever, deaf));
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}

async fn not_even_with_a_runtime_that_is_stuck() {
    let exe = std::env::current_exe().unwrap();
    let (group, gateway) = start(&format!("popen//agent=setsid --wait {}", exe.display())).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    gateway.call::<()>("hold", &address).await.unwrap();
    let life = Life::from(listener.accept().unwrap().0);
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut stuck = Vec::new();
    for _ in 0..2 * threads {
        stuck.push(gateway.start("stuck", &()).await.unwrap());
    }
    // No thread is left to answer.
    while tokio::time::timeout(Duration::from_millis(500), gateway.ping()).await.is_ok() {}
    drop((group, gateway, stuck));
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}
