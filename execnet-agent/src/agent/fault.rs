//! Errors as the faults that cross.

use std::any::type_name;
use std::error::Error;
use std::io;

use execnet_proto::Fault;

/// An error of a task: the name of its type, its message, and its causes.
pub(super) fn of_task<E>(error: E) -> Fault
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let kind = short_name(type_name::<E>());
    let error = error.into();
    let mut fault = Fault::new(kind, error.to_string());
    let mut cause = error.source();
    if cause.is_some() {
        let mut text = fault.to_string();
        while let Some(error) = cause {
            text.push_str(&format!("\n  caused by: {error}"));
            cause = error.source();
        }
        fault.traceback = Some(text);
    }
    fault
}

/// `ParseIntError` of `core::num::error::ParseIntError`; `Error` of what has no name that says more.
fn short_name(name: &str) -> &str {
    let name = name.split('<').next().unwrap_or(name);
    match name.rsplit("::").next().unwrap_or(name) {
        "Box" | "String" | "&str" | "str" | "" => "Error",
        name => name,
    }
}

/// An error of the system, under the name that Python gives it.
pub(super) fn of_system(error: &io::Error) -> Fault {
    Fault::new(python_name(error), error.to_string())
}

fn python_name(error: &io::Error) -> &'static str {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "FileNotFoundError",
        ErrorKind::PermissionDenied => "PermissionError",
        ErrorKind::NotADirectory => "NotADirectoryError",
        ErrorKind::ConnectionRefused => "ConnectionRefusedError",
        ErrorKind::ConnectionReset => "ConnectionResetError",
        ErrorKind::ConnectionAborted => "ConnectionAbortedError",
        ErrorKind::BrokenPipe => "BrokenPipeError",
        ErrorKind::TimedOut => "TimeoutError",
        ErrorKind::InvalidInput => "ValueError",
        _ => "OSError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the config")]
    struct ConfigError(#[source] io::Error);

    #[test]
    fn a_type_keeps_its_name_and_its_causes() {
        let cause = io::Error::other("disk on fire");
        let fault = of_task(ConfigError(cause));
        assert_eq!((&*fault.kind, &*fault.message), ("ConfigError", "cannot read the config"));
        assert_eq!(
            fault.traceback.unwrap(),
            "ConfigError: cannot read the config\n  caused by: disk on fire"
        );
    }

    #[test]
    fn what_has_no_name_is_an_error() {
        assert_eq!(of_task("plain").kind, "Error");
        assert_eq!(of_task("text".to_owned()).kind, "Error");
        let boxed: Box<dyn Error + Send + Sync> = "boxed".into();
        assert_eq!(of_task(boxed).kind, "Error");
        let error = "x".parse::<u8>().unwrap_err();
        assert_eq!(of_task(error).kind, "ParseIntError");
    }
}
