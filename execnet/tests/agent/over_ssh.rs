//! The agent's program carried to another host by ssh, on real servers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use execnet_testing::Sshd;

use crate::support::{builder, start};

crate::tests![
    it_is_uploaded_then_cached_then_mended,
    several_at_once_get_along,
    a_named_program_is_started,
    a_program_that_is_missing_is_told,
];

fn spec(sshd: &Sshd, rest: &str) -> String {
    format!("ssh=web1//ssh_config={}//{rest}", sshd.client_config("web1").display())
}

/// Starts the agent there, calls a task, ends it; gives the path of its program.
async fn program(spec: &str) -> PathBuf {
    let (group, gateway) = start(spec).await;
    assert_eq!(gateway.call::<i64>("sum", &[40, 2]).await.unwrap(), 42);
    let found: Option<String> = gateway.call("environment", "EXECNET_TEST").await.unwrap();
    assert_eq!(found.as_deref(), Some("it's $HOME!"));
    group.terminate(Duration::from_secs(60)).await.unwrap();
    gateway.info().executable.clone().into()
}

async fn it_is_uploaded_then_cached_then_mended() {
    let Some(sshd) = Sshd::start() else { return };
    let spec = spec(&sshd, "agent//env:EXECNET_TEST=it's $HOME!");
    let ours = fs::read(std::env::current_exe().unwrap()).unwrap();
    let uploaded = program(&spec).await;
    assert!(uploaded.starts_with(sshd.dir()), "{uploaded:?}");
    assert!(fs::read(&uploaded).unwrap() == ours);
    let inode = uploaded.metadata().unwrap().ino();
    assert_eq!(program(&spec).await, uploaded);
    assert_eq!(uploaded.metadata().unwrap().ino(), inode, "it was uploaded again");
    fs::write(&uploaded, "not a program").unwrap();
    assert_eq!(program(&spec).await, uploaded);
    assert!(fs::read(&uploaded).unwrap() == ours);
}

async fn several_at_once_get_along() {
    let Some(sshd) = Sshd::start() else { return };
    let group = builder().build();
    for gateway in group.make_gateways([(); 3].map(|()| spec(&sshd, "agent"))).await {
        let gateway = gateway.unwrap();
        assert_eq!(gateway.call::<i64>("sum", &[1, 1]).await.unwrap(), 2);
        let folder = PathBuf::from(&gateway.info().executable);
        let files: Vec<_> = fs::read_dir(folder.parent().unwrap()).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
    }
}

async fn a_named_program_is_started() {
    let Some(sshd) = Sshd::start() else { return };
    let exe = std::env::current_exe().unwrap();
    let rest = format!(
        "agent={}//env:EXECNET_TEST=it's $HOME!//chdir={}/made",
        exe.display(),
        sshd.dir().display()
    );
    assert_eq!(program(&spec(&sshd, &rest)).await, exe);
    assert!(sshd.dir().join("made").is_dir());
}

async fn a_program_that_is_missing_is_told() {
    let Some(sshd) = Sshd::start() else { return };
    let error = builder().build().make_gateway(spec(&sshd, "agent=/no/such/agent")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the worker did not start: exit status 127"), "{error}");
    assert!(error.contains("/no/such/agent: not found"), "{error}");
}
