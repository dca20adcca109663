//! On another host, as far as an sshd on this one is another.

use std::fs;
use std::path::Path;

use execnet_testing::Sshd;

use super::{Place, servers};

/// By each implementation, directly and in other company; none where there is no sshd.
pub(super) fn places(python: &str) -> Vec<Place> {
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
        places.extend(pair.into_iter().map(|place| match backend {
            "openssh" => place.lacking(
                &["death by SIGKILL"],
                "`ssh` does not say by which signal its command ended",
            ),
            _ => place,
        }));
    }
    let Some(sshd) = Sshd::start() else { return places };
    let there = spec(&sshd.client_config("web1"), "native");
    let through = [format!("{there}//id=a"), format!("popen//via=a{rest}")];
    places.push(Place::new("via ssh", through).keeping(sshd));
    let Some(sshd) = Sshd::start() else { return places };
    let there = spec(&sshd.client_config("web1"), "native");
    let installed = servers::installed("installvia ssh", python, &there);
    places.extend(installed.map(|place| place.keeping(sshd)));
    places
}
