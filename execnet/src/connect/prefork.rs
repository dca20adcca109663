//! `popen//prefork`: workers that are forked from an interpreter of the group, which is kept warm.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use execnet_transport::{Popen, Prefork, Transport};
use execnet_xspec::XSpec;

use super::local;
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
    pub(super) fn transport(&self, spec: &XSpec) -> Result<Box<dyn Transport>, GatewayError> {
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
        let mut warm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let prefork = warm.entry(start).or_insert_with(|| {
            let mut popen = Popen::new(argv).label(format!("prefork {label}"));
            for (name, value) in set {
                popen = popen.env(name, value);
            }
            Prefork::new(popen, execnet_agent::prefork_source())
        });
        Ok(Box::new(prefork.clone()))
    }
}
