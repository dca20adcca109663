//! The command line, read.

/// The far ends of execnet gateways.
#[derive(Debug, clap::Parser)]
#[command(name = "execnet-agent", version, disable_help_subcommand = true, after_help = STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STATUS: &str = "\
Environment:
  EXECNET_LOG  what to log on stderr: a level (info, debug, trace), or TARGET=LEVEL,...

Exit status:
  0    done
  1    what was asked for failed
  64   the command line is wrong";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Be a native far end on standard input and output
    Stdio,
}

impl Command {
    /// What is logged when the environment says nothing.
    pub(crate) fn usual_log(&self) -> Option<&'static str> {
        match self {
            // Its standard error is the gateway's output.
            Self::Stdio => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
