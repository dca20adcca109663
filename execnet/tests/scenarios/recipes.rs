//! The cookbook's recipes for `command=`, where the tools for them are.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use execnet_testing::skip;

use super::Place;

/// Prefixes of an interpreter.
pub(super) const ALL: [&str; 5] = [
    "sudo -n -u nobody",
    "ip netns exec NAMESPACE",
    "unshare -n",
    "setpriv --no-new-privs",
    "env -i",
];

/// The place behind a prefix, there or on the machine that `via` leads to, unless the interpreter cannot be reached that way here.
pub(super) fn place(recipe: &str, python: &str, via: Option<&str>) -> Option<Place> {
    let namespace = recipe.contains("NAMESPACE").then(Namespace::new);
    let name = namespace.as_ref().map_or("", |namespace| &namespace.0);
    let prefix = recipe.replace("NAMESPACE", name);
    // One that every user may run: the others may be in somebody's home.
    let python = if recipe.starts_with("sudo") { "/usr/bin/python3" } else { python };
    if !runs(&format!("{prefix} {python} -c pass")) {
        skip(&format!("`{prefix} {python}` does not run here"));
        return None;
    }
    // The slash comes last: before another key it would be part of `//`.
    let rest = format!("python={python}//chdir=/");
    let mut place = match via {
        None => Place::new(recipe, [format!("command={prefix}//{rest}")]),
        Some(via) => {
            let name = format!("via ssh, {recipe}");
            Place::new(name, [format!("{via}//id=a"), format!("command={prefix}//via=a//{rest}")])
        }
    };
    place.keep = namespace.map(|namespace| Box::new(namespace) as _);
    Some(place)
}

fn runs(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A network namespace, with loopback up.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("execnet-scenarios-{}-{n}", std::process::id());
        // Where it cannot be had, the probe says so.
        if runs(&format!("ip netns add {name}")) {
            runs(&format!("ip -n {name} link set lo up"));
        }
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        runs(&format!("ip netns delete {}", self.0));
    }
}
