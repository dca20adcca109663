//! The server in Python, as text.

use std::fmt::Write;

use crate::{bootstrap_line, bootstrap_source};

/// A server of gateways in Python's standard library: for hosts where no binary may be put, and for the one-shot servers of `installvia=`.
///
/// A module, whose functions take the worker's source and the line that runs it; [`server_script`] is a whole program.
#[must_use]
pub fn server_module() -> &'static str {
    include_str!("../python/server.py")
}

/// The program that `execnet-agent script` prints: [`server_module`] with the Python worker in it.
///
/// ```
/// let program = execnet_agent::server_script();
/// assert!(program.starts_with("#!/usr/bin/env python3\n"));
/// ```
#[must_use]
pub fn server_script() -> String {
    let mut program = format!("#!/usr/bin/env python3\n{}\n\n", server_module());
    let line = bootstrap_line();
    let _ = writeln!(program, "LINE = {line:?}\nSOURCE = (");
    for piece in bootstrap_source().chunks(72) {
        let text: String = piece.iter().map(|byte| escape(*byte)).collect();
        let _ = writeln!(program, "    b\"{text}\"");
    }
    program.push_str(")\n\nif __name__ == \"__main__\":\n    main(LINE, SOURCE)\n");
    program
}

fn escape(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".to_owned(),
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}
