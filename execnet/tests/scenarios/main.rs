//! One suite over every way to reach a far end: whatever is between, a gateway behaves the same.
//!
//! # How to add a place
//!
//! Add a line to one of the lists of places below: a name, and the specifications that lead there, of which the last one is the place and the others are
//! what it goes through. Places that need a server, or a group with settings of its own, fill in a [`Place`]: its `keep` lives as long as its scenarios.
//! A place that cannot be had here is told by `execnet_testing::skip` and left out.

mod memory;
mod native;
mod recipes;
mod scenarios;
mod servers;
mod ssh;

use std::any::Any;
use std::time::Duration;

use execnet::{Gateway, Group, GroupBuilder, Output};
use execnet_testing::{WATCHDOG, python};

/// A way to reach a far end.
struct Place {
    name: String,
    group: GroupBuilder,
    /// Started in order; the last one is the place.
    specs: Vec<String>,
    /// It runs no Python: the scenarios are those of [`native`].
    native: bool,
    /// Done before each scenario.
    prepare: Option<Box<dyn Fn()>>,
    /// Scenarios that cannot be had there, and why.
    lacks: Vec<(&'static str, &'static str)>,
    /// What has to live as long: servers, folders.
    keep: Option<Box<dyn Any>>,
}

impl Place {
    fn new<S: Into<String>>(name: impl Into<String>, specs: impl IntoIterator<Item = S>) -> Self {
        let group = Group::builder().output(Output::discard());
        let specs = specs.into_iter().map(Into::into).collect();
        let name = name.into();
        Self { name, group, specs, native: false, prepare: None, lacks: Vec::new(), keep: None }
    }

    /// At a native agent, which the `execnet` command is as well.
    fn agent<S: Into<String>>(name: &'static str, specs: impl IntoIterator<Item = S>) -> Self {
        let place = Self::new(name, specs);
        let group = place.group.agent_program(env!("CARGO_BIN_EXE_execnet"));
        Self { group, native: true, ..place }
    }

    fn prepared(mut self, prepare: impl Fn() + 'static) -> Self {
        self.prepare = Some(Box::new(prepare));
        self
    }

    /// Without marshal, which is else the format of all that has a form in it.
    fn in_cbor(mut self) -> Self {
        self.group = self.group.marshal(false);
        self
    }

    fn lacking(mut self, names: &[&'static str], why: &'static str) -> Self {
        let known = |name| scenarios::ALL.iter().any(|(known, _)| known == name);
        assert!(names.iter().all(known), "{names:?}");
        self.lacks.extend(names.iter().map(|name| (*name, why)));
        self
    }

    fn keeping(mut self, what: impl Any) -> Self {
        self.keep = Some(Box::new(what));
        self
    }
}

/// On this machine, and from there through gateways.
fn here(python: &str) -> Vec<Place> {
    let popen = format!("popen//python={python}");
    let prefork = format!("popen//prefork//python={python}");
    let coalescing = |spec: &str, how| format!("{spec}//env:EXECNET_COALESCE={how}");
    let mut places = vec![
        Place::new("popen", [popen.clone()]),
        Place::new("popen, all in CBOR", [popen.clone()]).in_cbor(),
        Place::new("popen, coalescing", [coalescing(&popen, "always")]),
        Place::new("popen, each alone", [coalescing(&popen, "never")]),
        memory::place(python),
        Place::new("popen prefork", [prefork.clone()]),
        Place::new("prefork, all in CBOR", [prefork.clone()]).in_cbor(),
        Place::new("prefork, coalescing", [coalescing(&prefork, "always")]),
        Place::new("prefork, each alone", [coalescing(&prefork, "never")]),
        Place::new("via popen", [format!("{popen}//id=a"), format!("{popen}//via=a")]),
        Place::new(
            "via command",
            [format!("{popen}//id=a"), format!("command=env {python}//via=a")],
        ),
        Place::new(
            "via via",
            [format!("{popen}//id=a"), format!("{popen}//id=b//via=a"), format!("{popen}//via=b")],
        ),
    ];
    places.push(Place::agent("native agent", ["popen//agent"]));
    let through = ["popen//agent//id=a".to_owned(), format!("{popen}//via=a")];
    places.push(Place { native: false, ..Place::agent("via native agent", through) });
    places
}

/// Behind other commands.
fn commands(python: &str) -> Vec<Place> {
    let shell = format!("command=sh -c 'exec \"$@\"' sh {python}");
    let mut places = vec![
        Place::new("command env", [format!("command=env {python}")]),
        Place::new("command sh", [shell]),
        Place::new("command as prefix", [format!("command=nice -n 1//python={python}")]),
    ];
    for recipe in recipes::ALL {
        places.extend(recipes::place(recipe, python, None));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_here_and_via_gateways() {
    let Some(python) = python() else { return };
    pass(here(&python.display().to_string())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_behind_commands() {
    let Some(python) = python() else { return };
    pass(commands(&python.display().to_string())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_over_ssh() {
    let Some(python) = python() else { return };
    pass(ssh::places(&python.display().to_string()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_at_servers() {
    let Some(python) = python() else { return };
    pass(servers::places(&python.display().to_string()).await).await;
}

/// Runs every scenario in each of the places, each in a group of its own; says which of them failed, and how.
async fn pass(places: Vec<Place>) {
    let mut table = String::from("\n");
    let mut failures = Vec::new();
    for place in places {
        for (name, run) in scenarios::ALL {
            if let Some((_, why)) = place.lacks.iter().find(|(lacked, _)| lacked == name) {
                table += &format!("{:<26} {name:<30} none: {why}\n", place.name);
                continue;
            }
            let run = match place.native {
                false => *run,
                true => {
                    let native = native::ALL.iter().find(|(native, _)| native == name);
                    let Some((_, run)) = native else {
                        table +=
                            &format!("{:<26} {name:<30} none: it runs no Python\n", place.name);
                        continue;
                    };
                    *run
                }
            };
            if let Some(prepare) = &place.prepare {
                prepare();
            }
            let (group, specs) = (place.group.clone(), place.specs.clone());
            // A task of its own, so that a panic fails this cell only.
            let mut scenario = tokio::spawn(async move {
                let (group, gateway) = start(group, &specs).await;
                run(gateway).await;
                group.terminate(Duration::from_secs(10)).await.expect("it ends");
            });
            let verdict = match tokio::time::timeout(WATCHDOG, &mut scenario).await {
                Ok(Ok(())) => "ok",
                Ok(Err(_)) => "FAILS",
                Err(_) => "HANGS",
            };
            scenario.abort();
            table += &format!("{:<26} {name:<30} {verdict}\n", place.name);
            if verdict != "ok" {
                failures.push(format!("{}: {name} {verdict}", place.name));
                // Beside what the panic has said.
                eprintln!("{}: {name} {verdict}", place.name);
            }
        }
        drop(place.keep);
    }
    eprintln!("{table}");
    assert!(failures.is_empty(), "{failures:?}");
}

/// The gateway that the last of the specifications leads to.
async fn start(group: GroupBuilder, specs: &[String]) -> (Group, Gateway) {
    let group = group.build();
    let made = group.make_all(specs.iter().map(String::as_str)).await;
    let mut gateways = made.unwrap_or_else(|errors| panic!("{errors:?}"));
    let gateway = gateways.pop().expect("a specification");
    (group, gateway)
}
