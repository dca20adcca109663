//! Which host it is, and by which way.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use execnet_testing::Sshd;

use crate::common::{bounded, group};
use crate::{BACKENDS, spec};

/// Whether a gateway at `spec` does what it is told.
async fn answers(spec: &str) {
    let gw = bounded(group().make_gateway(spec)).await.unwrap();
    let mut channel = gw.remote_exec("channel.send(6 * 7)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42, "{spec}");
}

#[tokio::test]
async fn options_are_those_of_the_program() {
    let Some(sshd) = Sshd::start() else { return };
    let options = format!(
        "-F none -p {} -i {} -o UserKnownHostsFile={} -o IdentitiesOnly=yes",
        sshd.port(),
        sshd.client_key().display(),
        sshd.known_hosts().display()
    );
    for backend in BACKENDS {
        let host = format!("{}@{}", sshd.user(), sshd.address());
        answers(&format!("ssh={options} {host}//ssh_backend={backend}")).await;
        // Two slashes separate keys, so between them go quotes around nothing.
        let uri = format!("ssh:/''/{host}");
        answers(&format!("ssh={options} {uri}//ssh_backend={backend}")).await;
    }
}

/// Where there is no `ssh` program, what the specification says will do; what only the program knows is told.
#[test]
fn options_will_do_without_the_program() {
    let Some(sshd) = Sshd::start() else { return };
    let empty = sshd.dir().join("empty");
    fs::create_dir(&empty).unwrap();
    let run = |options: &str| {
        let options = format!(
            "{options} -p {} -i {} -o UserKnownHostsFile={} -o IdentitiesOnly=yes",
            sshd.port(),
            sshd.client_key().display(),
            sshd.known_hosts().display()
        );
        let output = Command::new(env!("CARGO_BIN_EXE_execnet"))
            .args(["exec", "-c", "channel.send(6 * 7)"])
            .arg(format!("ssh={options} {}@{}", sshd.user(), sshd.address()))
            .env("PATH", &empty)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(""), ("42\n".to_owned(), String::new()));
    for (options, words) in [
        ("-o ProxyCommand=true", "ProxyCommand is set, for which the ssh program is needed"),
        ("-F other.conf", "other.conf needs the ssh program, and it is not on PATH"),
        ("-o Colour=blue", "only the ssh program knows colour, and it is not on PATH"),
    ] {
        let (found, error) = run(options);
        assert!(found.is_empty() && error.contains(words), "{options}: {error}");
    }
}

#[tokio::test]
async fn hosts_behind_others_are_reached() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(hop) = Sshd::start() else { return };
    let Some(second) = Sshd::start() else { return };
    let config = sshd.dir().join("hops");
    let text = [
        sshd.client_entry("web1") + "  ProxyJump hop,second\n",
        hop.client_entry("hop"),
        second.client_entry("second"),
    ];
    fs::write(&config, text.concat()).unwrap();
    for backend in BACKENDS {
        let before = (hop.log().len(), second.log().len());
        answers(&format!("ssh=web1//ssh_config={}//ssh_backend={backend}", config.display())).await;
        assert!(hop.log().len() > before.0 && second.log().len() > before.1, "{backend}");
    }
}

#[tokio::test]
async fn what_needs_the_program_gets_it_unasked() {
    let Some(sshd) = Sshd::start() else { return };
    let config = sshd.dir().join("proxy");
    let forward = "python3 -c 'import socket,sys,threading,shutil,os\n\
                   s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n\
                   t=threading.Thread(target=lambda:[os.write(1,d) for d in iter(lambda:s.recv(65536),b\"\")])\n\
                   t.start()\n\
                   [s.sendall(d) for d in iter(lambda:os.read(0,65536),b\"\")]\n\
                   s.shutdown(1)'";
    let script = sshd.dir().join("forward");
    fs::write(&script, format!("#!/bin/sh\nexec {forward} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let proxy = format!("  ProxyCommand {} %h %p\n", script.display());
    fs::write(&config, sshd.client_entry("web1") + &proxy).unwrap();
    answers(&format!("ssh=web1//ssh_config={}", config.display())).await;
}

/// The recipes for somebody else there, and for somewhere else there.
#[tokio::test]
async fn interpreters_behind_other_commands_are_reached() {
    let Some(sshd) = Sshd::start() else { return };
    if sshd.user() != "root" || Command::new("sudo").arg("-V").output().is_err() {
        return execnet_testing::skip(
            "sudo without a password, and namespaces, need root and sudo",
        );
    }
    let ask = "import os; channel.send([os.getuid(), os.getpid(), os.environ.get('A')])";
    for (python, user) in [
        ("sudo -n -u nobody python3", 65534),
        ("sudo -n python3", 0),
        ("unshare --net python3", 0),
        ("sudo -n unshare --net sudo -n -u nobody python3", 65534),
    ] {
        for backend in BACKENDS {
            let spec = spec(&sshd, backend, &format!("//python={python}//env:A=b"));
            let gw = bounded(group().make_gateway(spec.as_str())).await.unwrap();
            let mut channel = gw.remote_exec(ask).await.unwrap();
            let told: (u32, u32, String) = bounded(channel.receive()).await.unwrap();
            // sudo drops the environment, and the worker puts it back.
            assert_eq!((told.0, told.2.as_str()), (user, "b"), "{python}");
        }
    }
}

/// Each gateway has a connection of its own, so the limit of sessions for one is not in the way; and a master
/// connection that has no room is left aside.
#[tokio::test]
async fn few_sessions_are_enough() {
    let Some(sshd) = Sshd::builder().setting("MaxSessions 1").start() else { return };
    let config = sshd.client_config("web1");
    let plain = format!("ssh=web1//ssh_config={}", config.display());
    for backend in BACKENDS {
        let group = group();
        let spec = format!("{plain}//ssh_backend={backend}");
        for gateway in bounded(group.make_gateways([spec.as_str(), spec.as_str()])).await {
            gateway.unwrap();
        }
    }
    let control = sshd.dir().join("master");
    let mut master = Command::new("ssh")
        .arg("-F")
        .arg(&config)
        .args(["-M", "-N", "-o", "BatchMode=yes", "-S"])
        .arg(&control)
        // It runs once the socket is there.
        .args(["-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo up", "web1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    let read = master.stdout.as_mut().unwrap().read_exact(&mut up);
    assert!(read.is_ok() && control.exists(), "the master ended\n{}", sshd.log());
    let group = group();
    let shared = format!("ssh=-S {} web1//ssh_config={}", control.display(), config.display());
    let sharing = bounded(group.make_gateway(shared.as_str())).await.unwrap();
    let connections = |log: &str| log.matches("Accepted publickey").count();
    let before = connections(&sshd.log());
    let other = bounded(group.make_gateway(shared.as_str())).await.unwrap();
    assert_eq!(connections(&sshd.log()), before + 1, "no room: a connection of its own");
    assert!(sharing.ping().await.is_ok() && other.ping().await.is_ok());
    drop(group);
    master.kill().unwrap();
    master.wait().unwrap();
}

/// Vagrant itself wants a hypervisor. What it says of a machine is a configuration for ssh, and that is what is said here
/// in its place, of a real server.
#[test]
fn a_vagrant_machine_is_asked_for() {
    let Some(sshd) = Sshd::start() else { return };
    let vagrant = sshd.dir().join("vagrant");
    let script = "#!/bin/sh\n\
                  [ \"$*\" = 'ssh-config --host box box' ] || { echo \"no machine: $*\" >&2; exit 1; }\n\
                  cat \"$(dirname \"$0\")/entry\"\n";
    fs::write(&vagrant, script).unwrap();
    fs::set_permissions(&vagrant, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(sshd.dir().join("entry"), sshd.client_entry("box")).unwrap();
    let path = format!("{}:{}", sshd.dir().display(), std::env::var("PATH").unwrap());
    let run = |machine: &str| {
        Command::new(env!("CARGO_BIN_EXE_execnet"))
            .args(["exec", "-c", "channel.send(6 * 7)"])
            .arg(format!("vagrant_ssh={machine}"))
            .env("PATH", &path)
            .output()
            .unwrap()
    };
    let output = run("box");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n", "{errors}");
    let output = run("other");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("vagrant: no machine: ssh-config --host other other"), "{errors}");
}
