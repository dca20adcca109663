//! On another host, as far as an sshd on this one is another.

use std::fs;
use std::path::Path;
use std::time::Duration;

use execnet_testing::Sshd;

use super::{Place, recipes, servers};

/// By each implementation, directly and in other company; none where there is no sshd.
pub(super) async fn places(python: &str) -> Vec<Place> {
    let rest = format!("//python={python}");
    let spec = |config: &Path, backend: &str| {
        format!("ssh=web1//ssh_config={}//ssh_backend={backend}{rest}", config.display())
    };
    let mut places = Vec::new();
    for (backend, name, with_jump) in [
        ("native", "ssh native", "ssh native, jump"),
        ("openssh", "ssh openssh", "ssh openssh, jump"),
    ] {
        let (Some(sshd), Some(other), Some(hop)) = (Sshd::start(), Sshd::start(), Sshd::start())
        else {
            return places;
        };
        let direct = spec(&sshd.client_config("web1"), backend);
        let hops = other.dir().join("hops");
        let entries = [other.client_entry("web1") + "  ProxyJump hop\n", hop.client_entry("hop")];
        fs::write(&hops, entries.concat()).expect("a writable folder");
        let pair = [
            Place::new(name, [direct]).keeping(sshd),
            Place::new(with_jump, [spec(&hops, backend)]).keeping((other, hop)),
        ];
        places.extend(pair);
        places.extend(agents(backend).await);
    }
    for place in places.iter_mut().filter(|place| place.name.contains("openssh")) {
        let why = "`ssh` does not say by which signal its command ended";
        place.lacks.push(("death by SIGKILL", why));
    }
    let Some(sshd) = Sshd::start() else { return places };
    let there = spec(&sshd.client_config("web1"), "native");
    let through = [format!("{there}//id=a"), format!("popen//via=a{rest}")];
    places.push(Place::new("via ssh", through).keeping(sshd));
    let Some(sshd) = Sshd::start() else { return places };
    let there = spec(&sshd.client_config("web1"), "native");
    // The first three are of the kind that needs another user, or another network, there.
    for recipe in &recipes::ALL[..3] {
        let Some(sshd) = Sshd::start() else { return places };
        let there = spec(&sshd.client_config("web1"), "native");
        let place = recipes::place(recipe, python, Some(&there));
        places.extend(place.map(|mut place| {
            let namespace = place.keep.take();
            place.keeping((sshd, namespace))
        }));
    }
    let installed = servers::installed("installvia ssh", python, &there);
    places.extend(installed.map(|place| place.keeping(sshd)));
    places
}

/// What becomes of the agent's program there before each scenario.
#[derive(Clone, Copy)]
enum Copy {
    Removed,
    Kept,
    Damaged,
}

/// At a native agent that is carried there: each time, once, and where its copy is damaged each time.
async fn agents(backend: &str) -> Vec<Place> {
    let cases = match backend {
        "native" => [
            ("ssh native, agent uploaded", Copy::Removed),
            ("ssh native, agent cached", Copy::Kept),
            ("ssh native, agent mended", Copy::Damaged),
        ],
        _ => [
            ("ssh openssh, agent uploaded", Copy::Removed),
            ("ssh openssh, agent cached", Copy::Kept),
            ("ssh openssh, agent mended", Copy::Damaged),
        ],
    };
    let mut places = Vec::new();
    for (name, copy) in cases {
        let Some(sshd) = Sshd::start() else { return places };
        let config = sshd.client_config("web1").display().to_string();
        let spec = format!("ssh=web1//ssh_config={config}//ssh_backend={backend}//agent");
        let cache = sshd.dir().join("home/.cache/execnet");
        let place = Place::agent(name, [spec.clone()]).keeping(sshd);
        let group = place.group.clone().build();
        group.make_gateway(spec).await.expect("an agent");
        group.terminate(Duration::from_secs(10)).await.expect("it ends");
        places.push(place.prepared(move || tamper(&cache, copy)));
    }
    places
}

/// The scenario before has left a copy there that is whole.
fn tamper(cache: &Path, copy: Copy) {
    let entries = fs::read_dir(cache).expect("a cache");
    let copies: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    let [path] = &copies[..] else { panic!("{copies:?}") };
    let ours = fs::metadata(env!("CARGO_BIN_EXE_execnet")).expect("the command").len();
    assert_eq!(path.metadata().expect("a copy").len(), ours);
    match copy {
        Copy::Removed => fs::remove_file(path).expect("a copy"),
        Copy::Kept => {}
        Copy::Damaged => {
            // Another file: what still runs cannot be written to.
            fs::remove_file(path).expect("a copy");
            fs::write(path, "no program").expect("a copy");
        }
    }
}
