//! `popen//prefork`: workers that are forked from an interpreter of the group, which is kept warm.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use execnet_transport::{Popen, Prefork, Transport};
use execnet_xspec::XSpec;

use super::{compiled, local};
use crate::GatewayError;

/// The warm interpreters of a group. Each lives until the group and the gateways that came from it are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarmInterpreters(Arc<Mutex<HashMap<Start, Prefork>>>);

/// What an interpreter has from its start, and hands down to its children: two gateways with the same may share one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Start {
    argv: Vec<String>,
    set: Vec<(String, String)>,
    /// This program's own environment and directory, which it may change from time to time.
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
}

impl WarmInterpreters {
    /// The transport that forks from the interpreter for this specification.
    pub(super) async fn transport(&self, spec: &XSpec) -> Result<Box<dyn Transport>, GatewayError> {
        let (python, label) = local::python(spec)?;
        let mut argv = python;
        if spec.dont_write_bytecode() {
            argv.push("-B".to_owned());
        }
        argv.extend(["-c".to_owned(), execnet_agent::prefork_line()]);
        let set: Vec<_> =
            spec.env().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let start = Start {
            argv: argv.clone(),
            set: set.clone(),
            environment: std::env::vars_os().collect(),
            directory: std::env::current_dir().ok(),
        };
        let known = self.lock().get(&start).cloned();
        if let Some(prefork) = known {
            return Ok(Box::new(prefork));
        }
        let source = execnet_agent::prefork_source_with(&compiled::find(spec).await);
        // Another gateway may have come first meanwhile.
        let prefork = self
            .lock()
            .entry(start)
            .or_insert_with(|| {
                let mut popen = Popen::new(argv).label(format!("prefork {label}"));
                for (name, value) in set {
                    popen = popen.env(name, value);
                }
                Prefork::new(popen, source)
            })
            .clone();
        Ok(Box::new(prefork))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Start, Prefork>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
