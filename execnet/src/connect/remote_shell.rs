//! The command that a login shell on another host is given, whichever shell that is.
//!
//! `sh` and its relatives, csh and fish agree on little: a word in single quotes, and a backslash before a character
//! outside of them. So the command is `exec sh -c SCRIPT`, with a script for sh as one word of that kind, and
//! everything else happens in sh.

use execnet_xspec::XSpec;

use super::INTERPRETERS_THERE;

/// The interpreters to look for when none is asked for, in order.
const PYTHONS: &str = "python3 python";

/// The command that starts the interpreter of `spec` there, with the bootstrap line as its program.
///
/// One round trip: the first interpreter is found there, and the answer to a missing one lists those that exist.
pub(super) fn python_command(spec: &XSpec) -> String {
    let mut options = String::new();
    if spec.dont_write_bytecode() {
        options += " -B";
    }
    let run = format!("{options} -c {}", quote(&execnet_agent::bootstrap_line()));
    // Before the interpreter starts, so that PYTHONHASHSEED works.
    let mut env = String::new();
    for (name, value) in spec.env() {
        env += if env.is_empty() { "env " } else { " " };
        env += &quote(&format!("{name}={value}"));
    }
    let space = if env.is_empty() { "" } else { " " };
    let script = match spec.python() {
        None => format!(
            "for p in {PYTHONS}; do if command -v $p >/dev/null 2>&1; then exec {env}{space}$p{run}; fi; done; \
             echo \"python3: command not found, nor python; PATH there is $PATH\" >&2; exit 127"
        ),
        Some(words) => {
            let (program, arguments) = words.split_first().map_or(("", &[][..]), |(p, a)| (p, a));
            let program = quote(program);
            let arguments: String =
                arguments.iter().map(|word| format!(" {}", quote(word))).collect();
            format!(
                "p={program}; if command -v \"$p\" >/dev/null 2>&1; then exec {env}{space}\"$p\"{arguments}{run}; fi; \
                 echo \"$p: command not found\" >&2; {}",
                list()
            )
        }
    };
    in_sh(&script)
}

/// The command that starts a program with these arguments there.
pub(super) fn program_command(words: &[String]) -> String {
    let words: String = words.iter().map(|word| format!(" {}", quote(word))).collect();
    in_sh(&format!("exec{words}"))
}

/// The command that gives a script to sh.
fn in_sh(script: &str) -> String {
    let newline = if script.contains("$n") { "n=$(printf \"\\nx\"); n=${n%x}; " } else { "" };
    format!("exec sh -c {}", quote_for_any(&format!("{newline}{script}")))
}

/// Where an interpreter that was asked for is missing, lists those that exist: in one line, as PATH has folders, without
/// the folders that are another name for one before, as /bin often is.
fn list() -> String {
    let names = ["python", "python3", "python3.?", "python3.??", "pypy3"];
    let names: String = names.iter().map(|name| format!(" \"$d\"/{name}")).collect();
    format!(
        "l=; IFS=:; for d in $PATH; do [ -h \"$d\" ] || for f in{names}; do if [ -x \"$f\" ]; then l=$l:$f; fi; done; done; \
         if [ \"$l\" ]; then echo \"{INTERPRETERS_THERE}${{l#:}}\" >&2; fi; exit 127"
    )
}

/// One word for sh. A line end is `$n`: csh has none inside of quotes.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''").replace('\n', "'\"$n\"'"))
}

/// One word for any login shell: single quotes around all but those characters that mean something inside of them to
/// one of the shells. Those stand outside, after a backslash.
fn quote_for_any(word: &str) -> String {
    let mut quoted = String::from("'");
    for c in word.chars() {
        match c {
            '\'' | '\\' | '!' => {
                quoted.push_str("'\\");
                quoted.push(c);
                quoted.push('\'');
            }
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "tcsh", "csh", "fish"];

    /// What each shell of this machine makes of the command; the worker's source is `source`.
    fn in_each_shell(spec: &str, source: &str, check: impl Fn(&str, std::process::Output)) {
        // The line reads as many bytes as the stub has.
        let line = execnet_agent::bootstrap_line();
        let count = line.rsplit_once('(').and_then(|(_, n)| n.trim_end_matches(')').parse().ok());
        let padded = format!("{source:<width$}", width = count.unwrap());
        run_in_each(&python_command(&spec.parse().unwrap()), padded.as_bytes(), check);
    }

    fn run_in_each(command: &str, input: &[u8], check: impl Fn(&str, std::process::Output)) {
        use std::io::Write;

        for shell in SHELLS {
            let child = Command::new(shell)
                .args(["-c", command])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let Ok(mut child) = child else {
                // ksh and csh are in no list of packages: others stand for their families.
                if !matches!(shell, "ksh" | "csh") {
                    execnet_testing::skip(&format!("no {shell}"));
                }
                continue;
            };
            // One that is missing does not read it.
            let _ = child.stdin.take().unwrap().write_all(input);
            check(shell, child.wait_with_output().unwrap());
        }
    }

    #[test]
    fn every_shell_finds_an_interpreter() {
        in_each_shell("ssh=x", "import sys; print(sys.version_info[0])", |shell, output| {
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n", "{shell}: {error}");
        });
    }

    #[test]
    fn every_shell_passes_everything_on() {
        // A value of the specification may hold anything but `//` and a `/` at its end.
        let hard = "it's !1 !x $HOME `x` \\ \\\\ \\! \\n \"q\" # ~ * ; & | < > ( ) { } [ ] ^ % ? é\ttab\n two\nlines\n";
        let word = hard.replace('\\', "\\\\").replace('"', "\\\"");
        let spec = format!(
            "ssh=x//dont_write_bytecode//env:A={hard}//env:B=//env:PYTHONHASHSEED=0//python=python3 -X \"a={word}\""
        );
        let source = "import os, sys; a = os.environ['A']; sys.stdout.buffer.write(os.fsencode(a)); \
                      ok = a == sys._xoptions['a'] and os.environ['B'] == ''; \
                      print(ok, sys.flags.hash_randomization, sys.flags.dont_write_bytecode)";
        in_each_shell(&spec, source, |shell, output| {
            let error = String::from_utf8_lossy(&output.stderr);
            let found = String::from_utf8_lossy(&output.stdout);
            assert_eq!(found, format!("{hard}True 0 1\n"), "{shell}: {error}");
        });
    }

    #[test]
    fn every_shell_starts_a_program_with_its_arguments() {
        let words =
            ["printf", "<%s>", "", "it's !1 $HOME `x` \\ \"q\" # ~ * ; & | é\ttab", "two\nlines\n"];
        let expected: String = words[2..].iter().map(|word| format!("<{word}>")).collect();
        run_in_each(&program_command(&words.map(str::to_owned)), b"", |shell, output| {
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{shell}: {error}");
        });
    }

    #[test]
    fn every_shell_says_what_is_missing_and_what_there_is() {
        in_each_shell("ssh=x//python=python9.9 -X dev", "", |shell, output| {
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(127), "{shell}: {error}");
            assert!(error.starts_with("python9.9: command not found\n"), "{shell}: {error}");
            assert!(error.contains("interpreters there: /"), "{shell}: {error}");
        });
    }
}
