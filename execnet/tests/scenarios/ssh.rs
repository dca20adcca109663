//! On another host, as far as an sshd on this one is another.

use std::fs;

use execnet_testing::Sshd;

use super::Place;

/// What the program does not pass on.
const PROGRAM_LACKS: &[(&str, &str)] =
    &[("death by SIGKILL", "`ssh` does not say by which signal its command ended")];

/// By each implementation, directly and in other company; none where there is no sshd.
pub(super) fn places(python: &str) -> Vec<Place> {
    let rest = format!("//python={python}");
    let spec = |config: &std::path::Path, backend: &str| {
        format!("ssh=web1//ssh_config={}//ssh_backend={backend}{rest}", config.display())
    };
    let mut places = Vec::new();
    for (name, backend, lacks) in
        [("ssh native", "native", &[][..]), ("ssh openssh", "openssh", PROGRAM_LACKS)]
    {
        let Some(sshd) = Sshd::start() else { return places };
        let config = sshd.client_config("web1");
        places.push(Place::new(name, [spec(&config, backend)]).lacking(lacks).keeping(sshd));
    }
    for (name, backend, lacks) in
        [("ssh native, jump", "native", &[][..]), ("ssh openssh, jump", "openssh", PROGRAM_LACKS)]
    {
        let (Some(sshd), Some(hop)) = (Sshd::start(), Sshd::start()) else { return places };
        let config = sshd.dir().join("hops");
        let entries = [sshd.client_entry("web1") + "  ProxyJump hop\n", hop.client_entry("hop")];
        fs::write(&config, entries.concat()).expect("a writable folder");
        places.push(Place::new(name, [spec(&config, backend)]).lacking(lacks).keeping((sshd, hop)));
    }
    let Some(sshd) = Sshd::start() else { return places };
    let there = spec(&sshd.client_config("web1"), "native");
    let through = [format!("{there}//id=a"), format!("popen//via=a{rest}")];
    places.push(Place::new("via ssh", through).keeping(sshd));
    places
}
