//! One suite over every way to reach a far end: whatever is between, a gateway behaves the same.
//!
//! # How to add a place
//!
//! Add a line to `places()`: a name, and the specifications that lead there, of which the last one is the place and the others are what it goes
//! through. Places that need a server, or a group with settings of its own, fill in a [`Place`]: its `keep` lives as long as its scenarios. A place that
//! cannot be had here is told by `execnet_testing::skip` and left out.

mod recipes;
mod scenarios;

use std::any::Any;
use std::time::Duration;

use execnet::{Gateway, Group, GroupBuilder, Output};
use execnet_testing::{WATCHDOG, python};

/// A way to reach a far end.
struct Place {
    name: &'static str,
    group: GroupBuilder,
    /// Started in order; the last one is the place.
    specs: Vec<String>,
    /// What has to live as long: servers, folders.
    keep: Option<Box<dyn Any>>,
}

impl Place {
    fn new<S: Into<String>>(name: &'static str, specs: impl IntoIterator<Item = S>) -> Self {
        let group = Group::builder().output(Output::discard());
        Self { name, group, specs: specs.into_iter().map(Into::into).collect(), keep: None }
    }

    /// A gateway there, in a group of its own.
    async fn start(&self) -> (Group, Gateway) {
        let group = self.group.clone().build();
        let made = group.make_all(self.specs.iter().map(String::as_str)).await;
        let mut gateways = made.unwrap_or_else(|errors| panic!("{}: {errors:?}", self.name));
        let gateway = gateways.pop().expect("a specification");
        (group, gateway)
    }
}

fn places(python: &str) -> Vec<Place> {
    let popen = format!("popen//python={python}");
    let shell = format!("command=sh -c 'exec \"$@\"' sh {python}");
    let mut places = vec![
        Place::new("popen", [popen.clone()]),
        Place::new("command env", [format!("command=env {python}")]),
        Place::new("command sh", [shell]),
        Place::new("command as prefix", [format!("command=nice -n 1//python={python}")]),
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
    for recipe in recipes::ALL {
        places.extend(recipes::place(recipe, python));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_in_every_place() {
    let Some(python) = python() else { return };
    let mut table = String::from("\n");
    let mut failures = Vec::new();
    for place in places(&python.display().to_string()) {
        for (name, run) in scenarios::ALL {
            let started = place.start().await;
            // A task of its own, so that a panic fails this cell only.
            let scenario = tokio::spawn(async move {
                let (group, gateway) = started;
                run(gateway).await;
                group.terminate(Duration::from_secs(10)).await.expect("it ends");
            });
            let verdict = match tokio::time::timeout(WATCHDOG, scenario).await {
                Ok(Ok(())) => "ok",
                Ok(Err(_)) => "FAILS",
                Err(_) => "HANGS",
            };
            table += &format!("{:<26} {name:<30} {verdict}\n", place.name);
            if verdict != "ok" {
                failures.push(format!("{}: {name}", place.name));
            }
        }
        drop(place.keep);
    }
    eprintln!("{table}");
    assert!(failures.is_empty(), "{failures:?}");
}
