//! `execnet info`: facts about each far end.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use execnet::{Gateway, Value};
use serde::Serialize;

use super::args::InfoArgs;
use super::fleet::Progress;
use super::json::{AsJson, print_line};
use super::{Outcome, complain, outcome_of, outcome_of_write};

pub(super) async fn run(args: InfoArgs) -> Outcome {
    let specs = match args.fleet.specs() {
        Ok(specs) => specs,
        Err(outcome) => return outcome,
    };
    let progress = Progress::new(specs.len());
    let mut group = progress.watch(super::group());
    if let Some(limit) = args.timeout {
        group = group.start_timeout(limit);
    }
    let group = group.build();
    let mut outcome = Outcome::Success;
    let started = group.make_gateways(specs).await;
    drop(progress);
    for result in started {
        let written = match result {
            Ok(gateway) => print(&gateway, args.json),
            Err(error) => {
                complain(&error);
                outcome = outcome.max(outcome_of(&error));
                continue;
            }
        };
        if let Err(error) = written {
            outcome = outcome.max(outcome_of_write(&error));
            break;
        }
    }
    if let Err(error) = group.terminate(Duration::from_secs(2)).await {
        complain(error);
        outcome = outcome.max(Outcome::GatewayFailed);
    }
    outcome
}

fn print(gateway: &Gateway, as_json: bool) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        gateway: &'a str,
        spec: &'a str,
        address: &'a str,
        facts: BTreeMap<&'a str, AsJson<'a>>,
    }
    let mut out = std::io::stdout().lock();
    let facts = &gateway.info().facts;
    if as_json {
        let line = Line {
            gateway: gateway.id(),
            spec: gateway.spec().as_str(),
            address: gateway.address(),
            facts: facts.iter().map(|(key, value)| (key.as_str(), AsJson(value))).collect(),
        };
        print_line(&mut out, &line)?;
    } else {
        writeln!(out, "{} {} ({})", gateway.id(), gateway.spec(), gateway.address())?;
        for (key, value) in facts {
            match value {
                Value::Str(text) => writeln!(out, "  {key}: {text}")?,
                other => writeln!(out, "  {key}: {other}")?,
            }
        }
    }
    out.flush()
}
