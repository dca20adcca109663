//! The command line, read.

use std::mem::take;
use std::path::PathBuf;
use std::time::Duration;

/// Start Python interpreters here or elsewhere, send them code, and talk with it.
#[derive(Debug, clap::Parser)]
#[command(name = "execnet", version, disable_help_subcommand = true, after_help = STATUS)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

const STATUS: &str = "\
Environment:
  EXECNET_LOG  what to log on stderr: a level (info, debug, trace), or TARGET=LEVEL,...; default: warnings

Exit status:
  0    everything ran to its end
  1    remote code raised an exception
  2    a gateway could not start, or died
  64   the command line is wrong
  74   reading the input or writing the output failed
  124  --timeout has passed
  130  interrupted by Ctrl-C: remote code got KeyboardInterrupt; a second one ends at once";

const EXAMPLES: &str = "\
Examples:
  execnet exec -c 'channel.send(6 * 7)' popen
  execnet exec -c 'import os; channel.send(os.getpid())' popen popen popen//python=3.12
  printf '1\\n2\\n3\\n' | execnet exec -c 'for x in channel: channel.send(x * x)' --input - popen
  execnet exec --call collect --arg 'pattern=\"*.log\"' tasks.py popen//chdir=/var/log
  execnet exec --json -c 'channel.send({1, 2})' popen
  execnet exec -c 'import os; channel.send(os.getloadavg())' --host-file hosts.txt

Each received item is one line: a str as it is, anything else as Python's repr. With several
gateways each line begins with the gateway's id. What remote code prints goes to stderr.";

const INFO_EXAMPLES: &str = "\
Examples:
  execnet info popen//python=3.12
  execnet info --json --timeout 10 --host-file hosts.txt ssh=one-more";

const PING_EXAMPLES: &str = "\
Examples:
  execnet ping popen
  execnet ping -n 1000 --json ssh=web1
  execnet ping --timeout 5 ssh=web1

A round trip is that of the worker's reader, which answers while code runs. The throughput is that of
bytes items through Python code there: each way up to 64 MiB, or for 2 s.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Run Python code on gateways and print what it sends
    #[command(after_help = EXAMPLES)]
    Exec(ExecArgs),
    /// Print facts about each far end
    #[command(after_help = INFO_EXAMPLES)]
    Info(InfoArgs),
    /// Measure round trips to a far end and the throughput each way
    #[command(after_help = PING_EXAMPLES)]
    Ping(PingArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "execnet exec [OPTIONS] -c CODE SPEC...\n       execnet exec [OPTIONS] FILE.py SPEC..."
)]
pub(super) struct ExecArgs {
    /// Code to run
    #[arg(short = 'c', value_name = "CODE")]
    pub(super) code: Option<String>,
    /// Call this function of the code, with `channel` and the arguments
    #[arg(long, value_name = "NAME")]
    pub(super) call: Option<String>,
    /// A keyword argument for the function; may be given several times
    #[arg(long = "arg", value_name = "KEY=JSON", requires = "call")]
    pub(super) args: Vec<String>,
    /// Send one item for each line of this file of JSON lines, or of stdin (-), then finish sending
    #[arg(long, value_name = "JSONL")]
    pub(super) input: Option<PathBuf>,
    /// Give up after this time: 10, 1.5s, 2min
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Print each item as a line of JSON: {"gateway":"gw0","item":...}
    #[arg(long)]
    pub(super) json: bool,
    /// FILE.py (unless -c is given), then the gateways
    #[arg(value_name = "[FILE.py] SPEC", required_unless_present = "host_files")]
    pub(super) rest: Vec<String>,
    #[arg(long = "host-file", value_name = "FILE", help = HOST_FILE)]
    pub(super) host_files: Vec<PathBuf>,
}

const HOST_FILE: &str =
    "Also the gateways of this file, or of stdin (-): a SPEC a line, # begins a comment";

impl ExecArgs {
    /// The gateways, when FILE.py has been taken off.
    pub(super) fn fleet(&mut self) -> Fleet {
        Fleet { specs: take(&mut self.rest), host_files: take(&mut self.host_files) }
    }
}

/// The gateways that a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Fleet {
    /// The gateways
    #[arg(value_name = "SPEC", required_unless_present = "host_files")]
    pub(super) specs: Vec<String>,
    #[arg(long = "host-file", value_name = "FILE", help = HOST_FILE)]
    pub(super) host_files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InfoArgs {
    /// Give up on a far end that has not started after this time: 10, 1.5s, 2min
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Print a line of JSON for each far end
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) fleet: Fleet,
}

#[derive(Debug, clap::Args)]
pub(super) struct PingArgs {
    /// How many round trips
    #[arg(short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) count: u32,
    /// Give up after this time: 10, 1.5s, 2min
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Print a line of JSON
    #[arg(long)]
    pub(super) json: bool,
    /// The gateway
    #[arg(value_name = "SPEC")]
    pub(super) spec: String,
}

/// A duration: a number of seconds, or a text such as `1min 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1").is_err() && duration("soon").is_err() && duration("nan").is_err());
    }
}
