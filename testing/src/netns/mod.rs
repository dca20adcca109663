//! Another machine, as far as the network is concerned.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::process::kill_tree;
use crate::skip;

/// A network namespace, joined to this one by a link of its own, which can be slow, far or unplugged.
///
/// Dropping it removes both, after killing what still runs there.
#[derive(Debug)]
pub struct Netns {
    name: String,
    device: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
    /// Carry packets where the link is far; the near one tells what it has counted.
    relays: Vec<Child>,
    counter: Option<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Netns {
    /// A namespace at the other end of a cable; `None` where this user may not make one, having said so.
    #[must_use]
    pub fn new() -> Option<Self> {
        let this = Self::empty()?;
        let Self { name, device, .. } = &this;
        ip(&format!("link add {device} type veth peer name {device} netns {name}"));
        this.configure();
        Some(this)
    }

    /// A namespace so far away that a packet takes this long to get there, and as long to come back.
    ///
    /// # Panics
    /// The relay cannot be started: it is a Python program.
    #[must_use]
    pub fn far_away(delay: Duration) -> Option<Self> {
        let mut this = Self::empty()?;
        let Self { name, device, .. } = &this;
        let socket = std::env::temp_dir().join(format!("{device}.relay"));
        let relay = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).args(["python3", "-c", include_str!("relay.py"), device]);
            command.arg(&socket).arg(delay.as_secs_f64().to_string());
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
            let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
            // It says so when the device is there.
            stdout.read_line(&mut String::new()).expect("a relay");
            (child, stdout)
        };
        let (mut near, counts) = relay("env", &[]);
        let asking = near.stdin.take().expect("stdin");
        let (far, _) = relay("ip", &["netns", "exec", name]);
        this.relays = vec![near, far];
        this.counter = Some(Mutex::new((asking, counts)));
        this.configure();
        Some(this)
    }

    /// Its name, for `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Our address on the link.
    #[must_use]
    pub fn near(&self) -> Ipv4Addr {
        self.near
    }

    /// Its address on the link.
    #[must_use]
    pub fn far(&self) -> Ipv4Addr {
        self.far
    }

    /// Limits both directions to a rate as tc(8) has it: `10mbit`.
    pub fn rate(&self, rate: &str) {
        let Self { name, device, .. } = self;
        let limit = format!("qdisc add dev {device} root tbf rate {rate} burst 64kb latency 400ms");
        run("tc", &limit);
        run("ip", &format!("netns exec {name} tc {limit}"));
    }

    /// Pulls the cable at its end: nothing arrives any more, and nobody is told.
    pub fn unplug(&self) {
        ip(&format!("-n {} link set {} down", self.name, self.device));
    }

    /// Puts the cable back.
    pub fn plug(&self) {
        ip(&format!("-n {} link set {} up", self.name, self.device));
    }

    /// Loses this share of the packets in each direction, in percent; `false` where nftables cannot do that, having said so.
    #[must_use]
    pub fn lose(&self, percent: u32) -> bool {
        let chain = |hook: &str, interface: &str| {
            let begin = format!("chain {hook} {{ type filter hook {hook} priority 0;");
            format!(
                "{begin} {interface} {} numgen random mod 100 < {percent} counter drop; }};",
                self.device
            )
        };
        let rules = format!(
            "table ip loss {{ {} {} }}",
            chain("input", "iifname"),
            chain("output", "oifname")
        );
        let set = Command::new("ip").args(["netns", "exec", &self.name, "nft", &rules]).output();
        let works = set.as_ref().is_ok_and(|output| output.status.success());
        if !works {
            let said = set.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
            skip(&format!("no loss of packets: it needs nftables ({said:?})"));
        }
        works
    }

    /// How many packets have been lost on purpose.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let list = ["netns", "exec", &self.name, "nft", "list", "table", "ip", "loss"];
        let output = Command::new("ip").args(list).output().expect("ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = text.split("counter packets ").skip(1);
        counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// How many round trips over a [`far_away`](Self::far_away) link the newest connection from here to there has made, that to set it up
    /// included: how often what has arrived here was waited for, as far as the packets' order tells.
    ///
    /// # Panics
    /// The link is none of that kind.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        let counter = self.counter.as_ref().expect("a link that is far");
        let mut counter = counter.lock().unwrap_or_else(PoisonError::into_inner);
        let (asking, counts) = &mut *counter;
        asking.write_all(b"\n").expect("a relay");
        let mut line = String::new();
        counts.read_line(&mut line).expect("a relay");
        line.trim().parse().expect("a number")
    }

    /// The processes that run there.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let output = Command::new("ip").args(["netns", "pids", &self.name]).output().expect("ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    fn empty() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        // At most 15 characters: it names the devices too.
        let name = format!("exn{:x}{n}", pid & 0xff_ffff);
        let output = Command::new("ip").args(["netns", "add", &name]).output();
        if !output.is_ok_and(|output| output.status.success()) {
            skip("no network namespaces: they need iproute2, and root");
            return None;
        }
        // 198.18.0.0/15, which is for such tests: 15 bits for links of four addresses.
        let subnet = 0xc612_0000 | ((pid.wrapping_mul(31).wrapping_add(n) & 0x7fff) << 2);
        Some(Self {
            device: name.clone(),
            name,
            near: Ipv4Addr::from(subnet | 1),
            far: Ipv4Addr::from(subnet | 2),
            relays: Vec::new(),
            counter: None,
        })
    }

    fn configure(&self) {
        let Self { name, device, near, far, .. } = self;
        let peer = |address, peer| format!("addr add {address} peer {peer} dev {device}");
        ip(&peer(near, far));
        ip(&format!("link set {device} up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} {}", peer(far, near)));
        ip(&format!("-n {name} link set {device} up"));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for relay in &mut self.relays {
            kill_tree(relay.id());
            let _ = relay.wait();
        }
        let _ = std::fs::remove_file(std::env::temp_dir().join(format!("{}.relay", self.device)));
        for pid in self.processes() {
            crate::process::kill(pid);
        }
        let quietly = |arguments: &[&str]| {
            // Devices of a relay are gone with it.
            let _ = Command::new("ip").args(arguments).output();
        };
        quietly(&["link", "del", &self.device]);
        quietly(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &str) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).output().expect("iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
}
