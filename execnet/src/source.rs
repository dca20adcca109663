//! What to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use execnet_proto::{Request, SourceRequest, Value};

use crate::ExecError;

/// Program text to run on a gateway: given as it is, or in a file; all of it, or one function.
///
/// ```
/// use execnet::Source;
///
/// let text = Source::from("channel.send(6 * 7)");
/// let file = Source::file("tasks.py").call("collect").arg("pattern", "*.log").arg("limit", 100);
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    text: Text,
    filename: Option<String>,
    function: Option<String>,
    kwargs: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
enum Text {
    Given(String),
    File(PathBuf),
}

impl Source {
    /// The program in a file on this machine, read each time it is sent. Tracebacks name it.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let filename = Some(path.display().to_string());
        Self { filename, ..Self::new(Text::File(path.to_owned())) }
    }

    /// Names the text in tracebacks, as for source that is part of the program through `include_str!`.
    #[must_use]
    pub fn named(mut self, filename: impl Into<String>) -> Self {
        self.filename = Some(filename.into());
        self
    }

    /// Calls this function of the program, with `channel` first and the arguments given by [`arg`](Self::arg).
    #[must_use]
    pub fn call(mut self, function: impl Into<String>) -> Self {
        self.function = Some(function.into());
        self
    }

    /// A keyword argument for the function.
    #[must_use]
    pub fn arg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// The request to send. Everything that can be wrong here is found before anything is sent.
    pub(crate) fn into_request(self) -> Result<bytes::Bytes, ExecError> {
        let Self { text, filename, function, kwargs } = self;
        if function.is_none() && !kwargs.is_empty() {
            return Err(ExecError::ArgumentsWithoutFunction);
        }
        let source = match text {
            Text::Given(text) => text,
            // Source files are small; a thread for the reading would cost more than it.
            Text::File(path) => {
                std::fs::read_to_string(&path).map_err(|source| ExecError::File { path, source })?
            }
        };
        Ok(Request::Source(SourceRequest { source, filename, function, kwargs }).to_bytes()?)
    }

    fn new(text: Text) -> Self {
        Self { text, filename: None, function: None, kwargs: BTreeMap::new() }
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self::new(Text::Given(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_need_a_function() {
        let error = Source::from("1").arg("x", 1).into_request().unwrap_err();
        assert!(matches!(error, ExecError::ArgumentsWithoutFunction));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::file("no/such/file.py").into_request().unwrap_err();
        assert!(error.to_string().contains("no/such/file.py"), "{error}");
    }
}
