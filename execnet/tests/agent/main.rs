//! Native agents through the facade. This program is its own agent: `main` decides which of the two it is.

mod calling;
mod deploying;
mod ending;
#[cfg(feature = "ssh")]
mod over_ssh;
#[cfg(feature = "socket")]
mod served;
mod support;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use execnet_testing::WATCHDOG;
use libtest_mimic::{Arguments, Trial};

pub(crate) type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// A list of async functions as tests, each under its name.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::Test] =
            &[$((concat!(module_path!(), "::", stringify!($name)), || Box::pin($name()))),*];
    };
}

fn main() -> ExitCode {
    execnet_agent::run_if_agent(support::agent);
    let mut tests = [calling::TESTS, deploying::TESTS, ending::TESTS].concat();
    #[cfg(feature = "ssh")]
    tests.extend(over_ssh::TESTS);
    #[cfg(feature = "socket")]
    tests.extend(served::TESTS);
    let trials = tests.into_iter().map(|(name, test)| {
        let name = name.strip_prefix("agent::").unwrap_or(name);
        Trial::test(name, move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::time::timeout(WATCHDOG, test()).await.expect("it hangs");
            });
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
