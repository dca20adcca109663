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
    ///
    /// What it returns, unless that is `None`, is the last item. An async function is awaited; a generator is refused, since nobody
    /// would run its body.
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
        if kwargs.contains_key("channel") {
            return Err(ExecError::ChannelArgument);
        }
        let source = match text {
            Text::Given(text) => text,
            // Source files are small; a thread for the reading would cost more than it.
            Text::File(path) => {
                std::fs::read_to_string(&path).map_err(|source| ExecError::File { path, source })?
            }
        };
        if let Some(function) = &function
            && let Some(found) = first_parameter(&source, function)
            && found != Some("channel")
        {
            let found = found.map(|name| format!("`{name}`"));
            return Err(ExecError::FirstArgument { function: function.clone(), found });
        }
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

/// The first parameter of a function that is defined at the top level of a program: `None` when there is no such
/// definition (it may be imported, or made in another way), `Some(None)` when it takes nothing.
fn first_parameter<'a>(source: &'a str, function: &str) -> Option<Option<&'a str>> {
    let mut offset = 0;
    for line in source.split_inclusive('\n') {
        offset += line.len();
        let line = line.strip_prefix("async ").map_or(line, str::trim_start);
        let Some(rest) = line.strip_prefix("def ") else { continue };
        let Some(rest) = rest.trim_start().strip_prefix(function) else { continue };
        let Some(rest) = rest.trim_start().strip_prefix('(') else { continue };
        // The parameters may begin on a later line, behind comments.
        let mut parameters = &source[offset - rest.len()..];
        loop {
            parameters = parameters.trim_start();
            match parameters.strip_prefix('#') {
                Some(comment) => parameters = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => break,
            }
        }
        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
        let name = parameters.split(ends).next().filter(|name| !name.is_empty());
        // `*args` takes the channel as well.
        return if parameters.starts_with('*') { None } else { Some(name) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_takes_the_channel_first() {
        for (source, found) in [
            ("def f(channel, x): pass", Some(Some("channel"))),
            ("x = 1\n\nasync  def  f (channel): pass", Some(Some("channel"))),
            ("def f(  # the link\n    channel,\n): pass", Some(Some("channel"))),
            ("def f(channel: object = None): pass", Some(Some("channel"))),
            ("def f(chan): pass", Some(Some("chan"))),
            ("def f(): pass", Some(None)),
            ("def f(*args): pass", None),
            ("def ff(x): pass\nfrom m import f", None),
            ("class A:\n    def f(self): pass", None),
            ("def f(", Some(None)),
        ] {
            assert_eq!(first_parameter(source, "f"), found, "{source:?}");
        }
        let error = Source::from("def f(x): pass").call("f").into_request().unwrap_err();
        assert!(error.to_string().contains("takes `x` first"), "{error}");
    }

    #[test]
    fn arguments_need_a_function() {
        let error = Source::from("1").arg("x", 1).into_request().unwrap_err();
        assert!(matches!(error, ExecError::ArgumentsWithoutFunction));
    }

    #[test]
    fn the_channel_is_no_argument_of_the_callers() {
        let error = Source::from("def f(channel): 1").call("f").arg("channel", 1).into_request();
        assert!(matches!(error, Err(ExecError::ChannelArgument)));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::file("no/such/file.py").into_request().unwrap_err();
        assert!(error.to_string().contains("no/such/file.py"), "{error}");
    }
}
