use super::*;

#[tokio::test]
async fn environment_and_directory() {
    watchdog(async {
        let directory = tempfile::tempdir().unwrap();
        let popen = sh(r#"pwd -P; echo "$SET/${PATH_GONE-unset}""#)
            .env("SET", "lost")
            .env("SET", "kept")
            .env("PATH_GONE", "x")
            .env_remove("PATH_GONE")
            .current_dir(directory.path());
        let expected = directory.path().canonicalize().unwrap();
        let text = read_all(&mut connect(popen).await).await;
        assert_eq!(text, format!("{}\nkept/unset\n", expected.display()));
    })
    .await;
}

#[tokio::test]
async fn arguments_reach_the_program_untouched() {
    watchdog(async {
        let popen = Popen::new(["/bin/sh", "-c", r#"printf '<%s>' "$@""#, "sh", "a b", "", "'$x"]);
        assert_eq!(read_all(&mut connect(popen).await).await, "<a b><><'$x>");
    })
    .await;
}

#[tokio::test]
async fn input_and_output_are_one_socket_and_no_more_is_inherited() {
    if !cfg!(target_os = "linux") {
        return;
    }
    watchdog(async {
        let _other = connect(Popen::new(["cat"])).await;
        let links = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done";
        let text = read_all(&mut connect(sh(links)).await).await;
        let [stdin, stdout, stderr] = text.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(stdin.starts_with("socket:"), "{text}");
        assert_eq!(stdin, stdout);
        assert!(stderr.starts_with("pipe:"), "{text}");

        // Whatever this program leaves open to every child, ours get nothing beyond it.
        let all = "ls /proc/$$/fd";
        let usual = std::process::Command::new("/bin/sh").args(["-c", all]).output().unwrap();
        let text = read_all(&mut connect(sh(all)).await).await;
        assert_eq!(text, String::from_utf8(usual.stdout).unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_link_describes_itself() {
    watchdog(async {
        let popen = sh("cat");
        assert_eq!(popen.address(), "popen /bin/sh");
        let link = connect(popen.clone()).await;
        let pid = link.guard.pid().unwrap();
        assert_eq!(link.guard.address(), format!("popen /bin/sh [pid {pid}]"));
        assert_eq!(link.bootstrap, Bootstrap::Python);

        let link = connect(popen.label("agent").bootstrap(Bootstrap::None)).await;
        let pid = link.guard.pid().unwrap();
        assert_eq!(link.guard.address(), format!("agent [pid {pid}]"));
        assert_eq!(link.bootstrap, Bootstrap::None);
    })
    .await;
}

#[test]
fn secrets_of_the_environment_are_not_printed() {
    let text = format!("{:?}", Popen::new(["x"]).env("TOKEN", "hush"));
    assert!(text.contains("TOKEN") && !text.contains("hush"), "{text}");
}

#[tokio::test]
async fn python_answers() {
    watchdog(async {
        let code = "import sys; print(sys.stdin.readline().upper(), end='')";
        let mut link = match Popen::new(["python3", "-c", code]).connect().await {
            Err(ConnectError::Spawn { fault: SpawnFault::NotOnPath, .. }) => return,
            link => link.unwrap(),
        };
        link.writer.write_all(b"spam\n").await.unwrap();
        assert_eq!(read_all(&mut link).await, "SPAM\n");
    })
    .await;
}
