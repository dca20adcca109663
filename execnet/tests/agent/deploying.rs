//! The agent's program carried to where it is not yet: over `command=` links to this machine, with folders of the test's own
//! as the other host's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use execnet::{DeployError, GatewayError};
use execnet_testing::skip;
use tempfile::TempDir;

use crate::support::{builder, start};

crate::tests![
    it_is_uploaded_once,
    a_corrupt_copy_is_replaced,
    old_copies_make_room_unless_they_run,
    several_at_once_get_along,
    a_shell_that_talks_does_no_harm,
    an_upload_cut_short_is_told_and_leaves_nothing,
    a_folder_without_execution_is_passed_over,
    a_folder_that_is_not_ours_alone_is_passed_over,
    without_any_folder_it_says_so,
    another_machine_is_told,
    a_host_without_a_shell_is_told,
    variables_arrive_as_they_are,
];

/// Another host's folders: whoever is started through [`Self::spec`] finds them where the user's are.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for name in ["cache", "home", "tmp"] {
            fs::create_dir(host.path(name)).unwrap();
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command there, by way of `through`.
    fn spec(&self, through: &str) -> String {
        let Self(dir) = self;
        let dir = dir.path().display();
        format!(
            "command=env XDG_CACHE_HOME={dir}/cache HOME={dir}/home TMPDIR={dir}/tmp {through}//agent"
        )
    }

    /// What is in the folder of the agents below `name`.
    fn agents(&self, name: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path(name)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The one agent there.
    fn agent(&self, name: &str) -> PathBuf {
        let agents = self.agents(name);
        assert_eq!(agents.len(), 1, "{agents:?}");
        agents[0].clone()
    }
}

/// Starts the agent, calls a task, ends it; gives the path of its program.
async fn program(spec: &str) -> PathBuf {
    let (group, gateway) = start(spec).await;
    assert_eq!(gateway.call::<i64>("sum", &[40, 2]).await.unwrap(), 42);
    group.terminate(Duration::from_secs(60)).await.unwrap();
    gateway.info().executable.clone().into()
}

async fn failure(spec: &str) -> (DeployError, String) {
    let error = builder().build().make_gateway(spec).await.unwrap_err();
    let text = error.to_string();
    match error {
        GatewayError::Deploy { source, .. } => (*source, text),
        error => panic!("{error}"),
    }
}

async fn it_is_uploaded_once() {
    let host = Host::new();
    let first = program(&host.spec("")).await;
    let agent = host.agent("cache/execnet");
    assert_eq!(first, agent);
    let before = agent.metadata().unwrap();
    assert_eq!(before.mode() & 0o777, 0o700);
    assert_eq!(host.path("cache/execnet").metadata().unwrap().mode() & 0o777, 0o700);
    assert!(same(&agent, &std::env::current_exe().unwrap()));
    // The second time it is the same file, not one that was put in its place.
    assert_eq!(program(&host.spec("")).await, agent);
    assert_eq!(host.agent("cache/execnet").metadata().unwrap().ino(), before.ino());
}

async fn a_corrupt_copy_is_replaced() {
    let host = Host::new();
    let agent = program(&host.spec("")).await;
    for bytes in [&b"not a program"[..], b""] {
        fs::write(&agent, bytes).unwrap();
        assert_eq!(program(&host.spec("")).await, agent);
        assert!(same(&host.agent("cache/execnet"), &std::env::current_exe().unwrap()));
    }
}

async fn old_copies_make_room_unless_they_run() {
    let host = Host::new();
    let folder = host.path("cache/execnet");
    fs::create_dir(&folder).unwrap();
    let days_ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 86400);
    let old = |name: &str, days: u64| {
        let path = folder.join(name);
        fs::copy("/bin/sleep", &path).unwrap();
        fs::File::open(&path).unwrap().set_modified(days_ago(days)).unwrap();
        path
    };
    let copies = [1, 2, 3, 4, 5, 6].map(|n| old(&format!("agent-{n}"), n));
    let (half, new) = (old(".new-half", 3), old(".new-now", 0));
    let mut running = Command::new(&copies[5]).arg("1000").spawn().unwrap();
    let agent = program(&host.spec("")).await;
    let mut left = host.agents("cache/execnet");
    left.sort();
    let mut expected = vec![new, agent.clone()];
    expected.extend([0, 1, 2, 5].map(|n| copies[n].clone()));
    expected.sort();
    assert!(!half.exists());
    assert_eq!(left, expected);
    running.kill().unwrap();
    running.wait().unwrap();
    // One that is started counts as new.
    let before = agent.metadata().unwrap().modified().unwrap();
    fs::File::open(&agent).unwrap().set_modified(days_ago(9)).unwrap();
    program(&host.spec("")).await;
    assert!(agent.metadata().unwrap().modified().unwrap() >= before);
}

async fn several_at_once_get_along() {
    let host = Host::new();
    let group = builder().build();
    let started = group.make_gateways([(); 4].map(|()| host.spec(""))).await;
    for gateway in started {
        assert_eq!(gateway.unwrap().call::<i64>("sum", &[1, 1]).await.unwrap(), 2);
    }
    // One copy, and nothing beside it.
    assert!(same(&host.agent("cache/execnet"), &std::env::current_exe().unwrap()));
}

async fn a_shell_that_talks_does_no_harm() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let talk = dir.path().join("talk");
    script(&talk, "echo 'Welcome, all!'; echo; printf 'no end of line:'; exec \"$@\"");
    program(&host.spec(talk.to_str().unwrap())).await;
    program(&host.spec(talk.to_str().unwrap())).await;
}

async fn an_upload_cut_short_is_told_and_leaves_nothing() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut");
    script(&cut, "head -c 1000 | \"$@\"");
    let (error, text) = failure(&host.spec(cut.to_str().unwrap())).await;
    assert!(matches!(error, DeployError::Corrupt { arrived: 1000, .. }), "{text}");
    assert_eq!(host.agents("cache/execnet"), Vec::<PathBuf>::new());
    // Bytes that are others than were sent.
    let bend = dir.path().join("bend");
    script(&bend, "LC_ALL=C stdbuf -o0 tr E e | \"$@\"");
    let (error, text) = failure(&host.spec(bend.to_str().unwrap())).await;
    assert!(matches!(error, DeployError::Corrupt { arrived, size } if arrived <= size), "{text}");
    assert_eq!(host.agents("cache/execnet"), Vec::<PathBuf>::new());
}

async fn a_folder_without_execution_is_passed_over() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let mounted = dir.path().join("mounted");
    let mount = "mount -t tmpfs -o noexec none";
    script(&mounted, &format!("{mount} \"$XDG_CACHE_HOME\" && {mount} \"$HOME\" && exec \"$@\""));
    let through = format!("unshare --user --map-root-user --mount {}", mounted.display());
    let words = through.split(' ').chain(["true"]).collect::<Vec<_>>();
    let home = host.path("home");
    let tried = Command::new(words[0])
        .args(&words[1..])
        .env("XDG_CACHE_HOME", &home)
        .env("HOME", &home)
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return skip("no mount namespaces for this user");
    }
    let found = program(&host.spec(&through)).await;
    assert!(found.starts_with(host.path("tmp")), "{found:?}");
    // A root that cannot be written is as good.
    let host = Host::new();
    for name in ["cache", "home"] {
        fs::remove_dir(host.path(name)).unwrap();
        fs::write(host.path(name), "no folder").unwrap();
    }
    let found = program(&host.spec("")).await;
    assert!(found.starts_with(host.path("tmp")), "{found:?}");
}

async fn a_folder_that_is_not_ours_alone_is_passed_over() {
    let host = Host::new();
    fs::create_dir(host.path("elsewhere")).unwrap();
    symlink(host.path("elsewhere"), host.path("cache/execnet")).unwrap();
    let found = program(&host.spec("")).await;
    assert!(found.starts_with(host.path("home/.cache/execnet")), "{found:?}");
    assert_eq!(host.agents("elsewhere"), Vec::<PathBuf>::new());
    // One that others could write to is closed to them first.
    let host = Host::new();
    fs::create_dir(host.path("cache/execnet")).unwrap();
    fs::set_permissions(host.path("cache/execnet"), Permissions::from_mode(0o777)).unwrap();
    program(&host.spec("")).await;
    assert_eq!(host.path("cache/execnet").metadata().unwrap().mode() & 0o777, 0o700);
}

async fn without_any_folder_it_says_so() {
    let host = Host::new();
    let tools = with_tools(&host, &[("mktemp", "exit 1")]);
    let (error, text) = failure(&host.spec(&tools)).await;
    assert!(matches!(error, DeployError::Nowhere), "{text}");
    assert!(text.contains("no folder there lets a program be written and run"), "{text}");
}

async fn another_machine_is_told() {
    let host = Host::new();
    let tools = with_tools(&host, &[("uname", "echo SunOS sun4u")]);
    let (error, text) = failure(&host.spec(&tools)).await;
    assert!(matches!(error, DeployError::Machine { .. }), "{text}");
    assert!(
        text.contains("that host is \"SunOS sun4u\", and the program is for \"Linux "),
        "{text}"
    );
}

async fn a_host_without_a_shell_is_told() {
    let host = Host::new();
    let (error, text) = failure(&host.spec("echo restricted account:")).await;
    assert!(matches!(error, DeployError::Silent), "{text}");
    assert!(
        text.contains("no shell answered") && text.contains("restricted account: sh -c"),
        "{text}"
    );
    assert!(text.contains("exit status 0"), "{text}");
}

async fn variables_arrive_as_they_are() {
    let host = Host::new();
    for value in ["a b", "it's \"$HOME\" `x` \\ !", ""] {
        let (_group, gateway) =
            start(&format!("{}//env:EXECNET_TEST={value}", host.spec(""))).await;
        let found: Option<String> = gateway.call("environment", "EXECNET_TEST").await.unwrap();
        assert_eq!(found.as_deref(), Some(value));
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// The words that lead to the host with these tools in the place of its own.
fn with_tools(host: &Host, tools: &[(&str, &str)]) -> String {
    let bin = host.path("bin");
    fs::create_dir(&bin).unwrap();
    for (name, text) in tools {
        script(&bin.join(name), text);
    }
    format!("PATH={}:{}", bin.display(), std::env::var("PATH").unwrap())
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).unwrap() == fs::read(other).unwrap()
}
