//! Specification keys of your own, and the transports that they stand for.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use execnet_transport::Transport;
use execnet_xspec::{Kind, SpecError, XSpec, is_known_key};

use crate::GatewayError;

/// A type of gateway of your own: a specification key, and what makes a [`Transport`] of a specification that has it.
///
/// Register it with [`GroupBuilder::scheme`](crate::GroupBuilder::scheme). `chdir=`, `nice=`, `execmodel=`, `env:NAME=` and
/// `id=` work as everywhere: the worker applies them. What starts the interpreter is the transport's to heed;
/// [`worker_command`] helps.
///
/// ```
/// use execnet::{Group, Scheme, XSpec, worker_command};
/// use execnet_transport::Popen;
///
/// // `container=NAME`, and `container_user=NAME` beside it.
/// let container = Scheme::new("container", |spec: &XSpec| {
///     let name = spec.value("container").ok_or("expected `container=NAME`")?;
///     let user = spec.value("container_user").unwrap_or("root");
///     let argv = ["podman", "exec", "-i", "-u", user, name].map(str::to_owned);
///     Ok::<_, String>(Popen::new(argv.into_iter().chain(worker_command(spec))))
/// });
/// let group = Group::builder().scheme(container.option("container_user")).build();
/// ```
#[derive(Clone)]
pub struct Scheme {
    key: String,
    options: Vec<String>,
    make: Arc<Make>,
}

type Made = Result<Box<dyn Transport>, Box<dyn Error + Send + Sync>>;
type Make = dyn Fn(&XSpec) -> Made + Send + Sync;

impl Scheme {
    /// Specifications with `key`, such as `key=value//python=3.12`, are reached by what `make` makes of them.
    ///
    /// `make` is called for each gateway and should not wait for anything: connecting is the transport's part. It
    /// finds the key's value, if there is one, by [`XSpec::value`]. Its error is the caller's fault.
    ///
    /// # Panics
    ///
    /// The key is one that execnet itself gives a meaning, such as `ssh`, or cannot be a key.
    #[track_caller]
    pub fn new<T, E>(
        key: impl Into<String>,
        make: impl Fn(&XSpec) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self
    where
        T: Transport + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let make = move |spec: &XSpec| match make(spec) {
            Ok(transport) => Ok(Box::new(transport) as Box<dyn Transport>),
            Err(error) => Err(error.into()),
        };
        Self { key: checked(key.into()), options: Vec::new(), make: Arc::new(make) }
    }

    /// Claims one more key, which may stand beside the first: `make` finds it in the specification.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn option(mut self, key: impl Into<String>) -> Self {
        self.options.push(checked(key.into()));
        self
    }

    /// The key that it goes by.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.key).chain(&self.options).map(String::as_str)
    }
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, options, .. } = self;
        f.debug_struct("Scheme").field("key", key).field("options", options).finish_non_exhaustive()
    }
}

#[track_caller]
fn checked(key: String) -> String {
    assert!(!is_known_key(&key), "`{key}` has a meaning already; choose another key");
    let spec = XSpec::builder().set(key.as_str(), "x").build();
    assert!(spec.is_ok(), "{key:?} cannot be a key: {}", spec.unwrap_err());
    key
}

/// The command line of the interpreter that a specification asks for, which waits for the worker's source on its standard input: `python=`, or
/// `python3` where that is not given, with what the other keys add.
///
/// For transports that start one. Their links need [`Bootstrap::Python`](execnet_transport::Bootstrap::Python). The last argument holds no character that a shell
/// would change within quotes.
#[must_use]
pub fn worker_command(spec: &XSpec) -> Vec<String> {
    let python = match spec.python() {
        Some(words) => words.to_vec(),
        None => vec!["python3".to_owned()],
    };
    crate::connect::interpreter(python, spec)
}

/// The schemes of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemes(Vec<Scheme>);

impl Schemes {
    /// Of two with the same key the later one counts.
    pub(crate) fn add(&mut self, scheme: Scheme) {
        self.0.retain(|other| other.key != scheme.key);
        self.0.push(scheme);
    }

    /// Which type of gateway this is, with all its keys understood.
    pub(crate) fn kind<'a>(&self, spec: &'a XSpec) -> Result<Kind<'a>, SpecError> {
        let all: Vec<&str> = self.0.iter().flat_map(Scheme::keys).collect();
        spec.refuse_unclaimed(&all)?;
        let types: Vec<&str> = self.0.iter().map(Scheme::key).collect();
        let kind = spec.kind_among(&types)?;
        // The options of one scheme mean nothing to another.
        let own: Vec<&str> = self.find(&kind).into_iter().flat_map(Scheme::keys).collect();
        spec.refuse_unclaimed(&own)?;
        Ok(kind)
    }

    /// What the scheme of this key makes of a specification.
    pub(crate) fn transport(
        &self,
        key: &str,
        spec: &XSpec,
    ) -> Result<Box<dyn Transport>, GatewayError> {
        let refused =
            |source| GatewayError::Scheme { spec: spec.to_string(), key: key.to_owned(), source };
        match self.0.iter().find(|scheme| scheme.key == key) {
            Some(scheme) => (scheme.make)(spec).map_err(refused),
            None => Err(refused("no such scheme".into())),
        }
    }

    fn find(&self, kind: &Kind<'_>) -> Option<&Scheme> {
        let Kind::Custom(key) = kind else { return None };
        self.0.iter().find(|scheme| scheme.key == *key)
    }
}
