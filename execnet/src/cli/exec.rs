//! `execnet exec`: run code on gateways, print what it sends.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use execnet::{
    Channel, Gateway, Group, MultiChannel, Output, ReceiveError, Sender, Source, Value, XSpec,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::args::ExecArgs;
use super::fleet::Progress;
use super::json::{self, AsJson, print_line};
use super::signal::Interrupts;
use super::{Outcome, complain, outcome_of, outcome_of_exec, outcome_of_write, within};

/// How long workers may take to end when everything has been said.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(mut args: ExecArgs) -> Outcome {
    let source = match source(&mut args) {
        Ok(source) => source,
        Err(message) => {
            complain(message);
            return Outcome::Usage;
        }
    };
    let fleet = args.fleet();
    if fleet.reads_stdin() && args.input.as_deref() == Some(Path::new("-")) {
        complain("--input - and --host-file -: stdin can be only one of them");
        return Outcome::Usage;
    }
    let specs = match fleet.specs() {
        Ok(specs) => specs,
        Err(outcome) => return outcome,
    };
    let several = specs.len() > 1;
    let output = if several { Output::labelled_stderr() } else { Output::stderr() };
    let progress = Progress::new(specs.len());
    let group = progress.watch(super::group().output(output)).build();
    let timeout = args.timeout;
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            complain(format_args!("cannot catch Ctrl-C: {error}"));
            return Outcome::Io;
        }
    };
    let work = async {
        let progress = progress;
        let running = tokio::select! {
            running = begin(&group, specs, source) => running,
            () = interrupts.next() => return Outcome::Interrupted,
        };
        drop(progress);
        match running {
            Ok(channels) => converse(channels, &args, &mut interrupts).await,
            Err(outcome) => outcome,
        }
    };
    let outcome = within(timeout, work).await;
    end(&group, outcome, &mut interrupts).await
}

/// Runs the source on new gateways: on all or on none, for half a fleet would give half an answer that looks like a whole one.
async fn begin(group: &Group, specs: Vec<XSpec>, source: Source) -> Result<Vec<Channel>, Outcome> {
    let specs = match <[XSpec; 1]>::try_from(specs) {
        // There are no others to wait for, so the source may leave with the worker.
        Ok([spec]) => {
            let channel = group.remote_exec_at(spec, source).await;
            return channel.map(|channel| vec![channel]).map_err(|error| {
                complain(&error);
                outcome_of(&error)
            });
        }
        Err(specs) => specs,
    };
    let mut outcome = Outcome::Success;
    let mut gateways = Vec::new();
    for result in group.make_gateways(specs).await {
        match result {
            Ok(gateway) => gateways.push(gateway),
            Err(error) => {
                complain(&error);
                outcome = outcome.max(outcome_of(&error));
            }
        }
    }
    if outcome != Outcome::Success {
        return Err(outcome);
    }
    let channels = join_all(gateways.iter().map(|gw| gw.remote_exec(source.clone()))).await;
    channels.into_iter().collect::<Result<_, _>>().map_err(|error| {
        complain(&error);
        outcome_of_exec(&error)
    })
}

/// Ends what still runs, at once when time is up or a second Ctrl-C came; so does one that comes meanwhile.
pub(super) async fn end(
    group: &Group,
    mut outcome: Outcome,
    interrupts: &mut Interrupts,
) -> Outcome {
    let at_once = outcome == Outcome::TimedOut || interrupts.insist();
    let patience = if at_once { Duration::ZERO } else { PATIENCE };
    tokio::select! {
        result = group.terminate(patience) => {
            if let Err(error) = result {
                complain(error);
                outcome = outcome.max(Outcome::GatewayFailed);
            }
        }
        // Workers do not outlive us.
        () = interrupts.next() => outcome = Outcome::Interrupted,
    }
    outcome
}

/// What to run; takes the file off the positional arguments.
fn source(args: &mut ExecArgs) -> Result<Source, String> {
    let mut source = match args.code.take() {
        Some(code) => Source::from(code),
        None => {
            // Present, unless there is a host file.
            if args.rest.is_empty() {
                return Err("expected FILE.py or -c CODE: there is nothing to run".to_owned());
            }
            let file = args.rest.remove(0);
            if args.rest.is_empty() && args.host_files.is_empty() {
                return Err(format!(
                    "{file:?}: expected FILE.py and at least one SPEC, or -c CODE and SPECs"
                ));
            }
            if !Path::new(&file).is_file() {
                return Err(format!("{file:?} is no file; give code with -c CODE"));
            }
            Source::file(file)
        }
    };
    if let Some(function) = args.call.take() {
        source = source.call(function);
    }
    for arg in &args.args {
        let (name, text) =
            arg.split_once('=').ok_or_else(|| format!("--arg {arg:?}: expected KEY=JSON"))?;
        let json = serde_json::from_str(text).map_err(|error| {
            format!("--arg {name}: {text:?} is not JSON ({error}); a text needs quotes: '\"…\"'")
        })?;
        let value = json::to_value(json).map_err(|error| format!("--arg {name}: {error}"))?;
        source = source.arg(name, value);
    }
    Ok(source)
}

/// Sends the input to what runs, prints what comes.
///
/// The first Ctrl-C interrupts what runs, and goes on until that has ended; the second gives up.
async fn converse(channels: Vec<Channel>, args: &ExecArgs, interrupts: &mut Interrupts) -> Outcome {
    let gateways: Vec<Gateway> = channels.iter().map(|channel| channel.gateway().clone()).collect();
    let several = gateways.len() > 1;
    let (senders, mut queue) = MultiChannel::new(channels).receive_queue();
    let receive = async {
        let mut outcome = Outcome::Success;
        loop {
            let next = tokio::select! {
                next = queue.next() => next,
                () = interrupts.next() => {
                    if outcome == Outcome::Interrupted {
                        return outcome;
                    }
                    outcome = Outcome::Interrupted;
                    queue.interrupt();
                    continue;
                }
            };
            let Some((index, item)) = next else { break };
            let Some(gateway) = gateways.get(index) else { continue };
            match item {
                Ok(value) => {
                    if let Err(error) = print(gateway, &value, args.json, several) {
                        return outcome.max(outcome_of_write(&error));
                    }
                }
                Err(error) => outcome = outcome.max(report(gateway, &error, several)),
            }
        }
        outcome
    };
    let send = async {
        match &args.input {
            Some(path) => send_input(path, senders).await,
            // No input: the remote side's reading ends at once.
            None => {
                drop(senders);
                Outcome::Success
            }
        }
    };
    // What is still unread of the input when all remote code has ended does not matter any more.
    tokio::pin!(send, receive);
    tokio::select! {
        received = &mut receive => received,
        sent = &mut send => {
            if sent == Outcome::Success { receive.await } else { sent }
        }
    }
}

async fn send_input(path: &Path, mut senders: Vec<Sender>) -> Outcome {
    let input: Box<dyn AsyncRead + Unpin> = if path == Path::new("-") {
        Box::new(tokio::io::stdin())
    } else {
        match tokio::fs::File::open(path).await {
            Ok(file) => Box::new(file),
            Err(error) => {
                complain(format_args!("cannot read {}: {error}", path.display()));
                return Outcome::Io;
            }
        }
    };
    let mut lines = BufReader::new(input).lines();
    for number in 1.. {
        let line = match lines.next_line().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                complain(format_args!("cannot read {}: {error}", path.display()));
                return Outcome::Io;
            }
        };
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str(&line).map_err(|error| misread(&error));
        let value = match parsed.and_then(json::to_value) {
            Ok(value) => value,
            Err(error) => {
                complain(format_args!("input line {number}: {error}"));
                return Outcome::Usage;
            }
        };
        // One that does not take it has ended; its channel tells why.
        let results = join_all(senders.iter_mut().map(|sender| sender.send(&value))).await;
        if results.iter().all(Result::is_err) {
            break;
        }
    }
    Outcome::Success
}

/// What is wrong with a line, without the parser's own count of lines: it saw but this one.
fn misread(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    format!("column {column}: {}", text.strip_suffix(&place).unwrap_or(&text))
}

/// Prints an item, at once: one line, a str as it is, anything else as Python's repr.
fn print(gateway: &Gateway, value: &Value, as_json: bool, several: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        gateway: &'a str,
        item: AsJson<'a>,
    }
    let mut out = io::stdout().lock();
    if as_json {
        print_line(&mut out, &Line { gateway: gateway.id(), item: AsJson(value) })?;
    } else {
        if several {
            write!(out, "{}: ", gateway.id())?;
        }
        match value {
            Value::Str(text) => writeln!(out, "{text}")?,
            other => writeln!(out, "{other}")?,
        }
    }
    out.flush()
}

/// Tells how a channel ended, and what that means.
pub(super) fn report(gateway: &Gateway, error: &ReceiveError, several: bool) -> Outcome {
    match error {
        ReceiveError::End => Outcome::Success,
        ReceiveError::Remote(error) => {
            let mut err = io::stderr().lock();
            for line in error.to_string().lines() {
                // The exit status tells it to those who do not read this.
                let _ = match several {
                    true => writeln!(err, "{}: {line}", gateway.id()),
                    false => writeln!(err, "{line}"),
                };
            }
            Outcome::RemoteError
        }
        error => {
            complain(error);
            Outcome::GatewayFailed
        }
    }
}
