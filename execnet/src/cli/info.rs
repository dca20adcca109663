//! `execnet info`: facts about each far end.

use std::io::Write;
use std::time::Duration;

use execnet::{Gateway, Value};
use serde_json::{Map, Value as Json, json};

use super::args::InfoArgs;
use super::fleet::Progress;
use super::{Outcome, complain, json, outcome_of, outcome_of_write};

pub(super) async fn run(args: InfoArgs) -> Outcome {
    let specs = match args.fleet.specs() {
        Ok(specs) => specs,
        Err(outcome) => return outcome,
    };
    let progress = Progress::new(specs.len());
    let group = progress.watch(super::group()).build();
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
    let mut out = std::io::stdout().lock();
    let facts = &gateway.info().facts;
    if as_json {
        let facts: Map<_, _> =
            facts.iter().map(|(key, value)| (key.clone(), json::from_value(value))).collect();
        let line = json!({
            "gateway": gateway.id(),
            "spec": gateway.spec().as_str(),
            "address": gateway.address(),
            "facts": Json::Object(facts),
        });
        writeln!(out, "{line}")?;
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
