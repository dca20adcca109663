//! What the known keys say, typed.

use std::fmt;

use crate::keys::ENV_PREFIX;
use crate::parse::Meaning;
use crate::spec::XSpec;

/// How a Python worker runs several tasks at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExecModel {
    /// The first in the main thread, others beside it in threads.
    Thread,
    /// One after another, all in the main thread.
    MainThreadOnly,
}

impl ExecModel {
    /// The name, as a specification has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::MainThreadOnly => "main_thread_only",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Thread, Self::MainThreadOnly].into_iter().find(|model| model.as_str() == name)
    }
}

impl fmt::Display for ExecModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The value of each known key. Where nothing else is said, `None` means that the key is absent.
///
/// Values of several words (`command`, `ssh`, `python`, `agent`) come split as `sh` splits words:
/// single quotes, double quotes and backslashes work, nothing is expanded. There is always a first
/// word, and it is not empty. [`value`](Self::value) gives the text unsplit.
impl XSpec {
    /// `popen`: a child process on this machine.
    pub fn popen(&self) -> bool {
        self.contains("popen")
    }

    /// `command=`: the program that ends in an interpreter, and its arguments.
    pub fn command(&self) -> Option<&[String]> {
        self.words("command")
    }

    /// `ssh=`: what the `ssh` program would be given: options, then the host.
    ///
    /// The words are only split. Which of them is the host is for the transport to find.
    pub fn ssh(&self) -> Option<&[String]> {
        self.words("ssh")
    }

    /// `vagrant_ssh=`: the name of a Vagrant machine.
    pub fn vagrant_ssh(&self) -> Option<&str> {
        self.value("vagrant_ssh")
    }

    /// `socket=`: the address of a server. `None` also for `socket` alone, which is allowed where
    /// [`installvia`](Self::installvia) says on which gateway the server is to be started.
    pub fn socket(&self) -> Option<&str> {
        self.value("socket")
    }

    /// `via=`: the id of the gateway that makes the connection and passes it on.
    pub fn via(&self) -> Option<&str> {
        self.value("via")
    }

    /// `installvia=`: the id of the gateway on which a socket server is to be started first.
    pub fn installvia(&self) -> Option<&str> {
        self.value("installvia")
    }

    /// `ssh_config=`: the configuration file that ssh is to read.
    pub fn ssh_config(&self) -> Option<&str> {
        self.value("ssh_config")
    }

    /// `ssh_backend=`: the name of the ssh implementation to use. Which there are is for the
    /// transport to say.
    pub fn ssh_backend(&self) -> Option<&str> {
        self.value("ssh_backend")
    }

    /// `python=`: the interpreter and its arguments.
    ///
    /// A first word that is a bare version is the Python of that version: `3` is `python3`, `3.11`
    /// is `python3.11` and `3.13t` is `python3.13t`. A program of such a name is `./3`.
    ///
    /// ```
    /// # use execnet_xspec::XSpec;
    /// let spec = XSpec::parse("popen//python=3.13t -X dev")?;
    /// assert_eq!(spec.python().unwrap(), ["python3.13t", "-X", "dev"]);
    ///
    /// let spec = XSpec::parse("popen//python=sudo -u 'a b' python3")?;
    /// assert_eq!(spec.python().unwrap(), ["sudo", "-u", "a b", "python3"]);
    /// # Ok::<(), execnet_xspec::SpecError>(())
    /// ```
    pub fn python(&self) -> Option<&[String]> {
        self.words("python")
    }

    /// `agent`: the far end is the native agent, not a Python worker.
    pub fn agent(&self) -> bool {
        self.contains("agent")
    }

    /// `agent=`: the agent's program and its arguments. `None` also for `agent` alone, which leaves
    /// the choice of the program to whoever connects.
    pub fn agent_command(&self) -> Option<&[String]> {
        self.words("agent")
    }

    /// `prefork`: start the worker from one that is already warm.
    pub fn prefork(&self) -> bool {
        self.contains("prefork")
    }

    /// `stock`: the socket server is the one that comes with execnet for Python.
    pub fn stock(&self) -> bool {
        self.contains("stock")
    }

    /// `chdir=`: the directory in which the worker is to run.
    pub fn chdir(&self) -> Option<&str> {
        self.value("chdir")
    }

    /// `nice=`: what to add to the worker's niceness, from -20 to 19.
    pub fn nice(&self) -> Option<i32> {
        match self.entry("nice")?.meaning() {
            Meaning::Nice(nice) => Some(*nice),
            _ => None,
        }
    }

    /// `id=`: the name of the gateway within its group.
    pub fn id(&self) -> Option<&str> {
        self.value("id")
    }

    /// `execmodel=`: how the worker runs several tasks at once.
    pub fn execmodel(&self) -> Option<ExecModel> {
        match self.entry("execmodel")?.meaning() {
            Meaning::ExecModel(model) => Some(*model),
            _ => None,
        }
    }

    /// `dont_write_bytecode`: Python is not to write `.pyc` files.
    pub fn dont_write_bytecode(&self) -> bool {
        self.contains("dont_write_bytecode")
    }

    /// `env:NAME=`: the environment variables to set, by name and value, in the order of the text.
    /// A value may be empty.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().filter_map(|entry| {
            Some((entry.key().strip_prefix(ENV_PREFIX)?, entry.value().unwrap_or_default()))
        })
    }

    /// `token_file=`: the file with the secret that both ends of a socket share.
    pub fn token_file(&self) -> Option<&str> {
        self.value("token_file")
    }

    /// `tls_ca=`: the file with the certificates that may vouch for the server.
    pub fn tls_ca(&self) -> Option<&str> {
        self.value("tls_ca")
    }

    /// `tls_cert=`: the file with our own certificate.
    pub fn tls_cert(&self) -> Option<&str> {
        self.value("tls_cert")
    }

    /// `tls_key=`: the file with the key of our own certificate.
    pub fn tls_key(&self) -> Option<&str> {
        self.value("tls_key")
    }

    /// `server_name=`: the name that the server's certificate must bear, if it is not the host's.
    pub fn server_name(&self) -> Option<&str> {
        self.value("server_name")
    }

    fn words(&self, key: &str) -> Option<&[String]> {
        match self.entry(key)?.meaning() {
            Meaning::Words(words) => Some(words),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> XSpec {
        text.parse().unwrap()
    }

    #[test]
    fn flags() {
        let all = spec("popen//agent//prefork//stock//dont_write_bytecode");
        assert!(all.popen() && all.agent() && all.prefork());
        assert!(all.stock() && all.dont_write_bytecode());
        assert_eq!(all.agent_command(), None);
        let none = spec("x");
        assert!(!(none.popen() || none.agent() || none.prefork()));
        assert!(!(none.stock() || none.dont_write_bytecode()));
    }

    #[test]
    fn texts() {
        type Field = fn(&XSpec) -> Option<&str>;
        let table: [(&str, Field); 13] = [
            ("vagrant_ssh", XSpec::vagrant_ssh),
            ("socket", XSpec::socket),
            ("via", XSpec::via),
            ("installvia", XSpec::installvia),
            ("ssh_config", XSpec::ssh_config),
            ("ssh_backend", XSpec::ssh_backend),
            ("chdir", XSpec::chdir),
            ("id", XSpec::id),
            ("token_file", XSpec::token_file),
            ("tls_ca", XSpec::tls_ca),
            ("tls_cert", XSpec::tls_cert),
            ("tls_key", XSpec::tls_key),
            ("server_name", XSpec::server_name),
        ];
        for (key, field) in table {
            let value = " 'a' =\\b ";
            assert_eq!(field(&spec(&format!("{key}={value}"))), Some(value), "{key}");
            assert_eq!(field(&spec("popen")), None, "{key}");
        }
        assert_eq!(spec("socket//installvia=gw0").socket(), None);
    }

    #[test]
    fn words() {
        type Field = fn(&XSpec) -> Option<&[String]>;
        let table: [(&str, Field); 4] = [
            ("command", XSpec::command),
            ("ssh", XSpec::ssh),
            ("python", XSpec::python),
            ("agent", XSpec::agent_command),
        ];
        for (key, field) in table {
            let spec_of_words = spec(&format!("{key}= a 'b c' "));
            assert_eq!(field(&spec_of_words).unwrap(), ["a", "b c"], "{key}");
            assert_eq!(field(&spec("popen")), None, "{key}");
        }
        assert!(spec("agent=x").agent());
    }

    #[test]
    fn versions_name_only_the_interpreter() {
        for (value, words) in [
            ("3", &["python3"][..]),
            ("3.11", &["python3.11"]),
            ("3.13t", &["python3.13t"]),
            ("3.11 -X dev", &["python3.11", "-X", "dev"]),
            ("python3", &["python3"]),
            ("./3", &["./3"]),
            ("nice 3", &["nice", "3"]),
        ] {
            assert_eq!(spec(&format!("python={value}")).python().unwrap(), words);
        }
        assert_eq!(spec("command=3").command().unwrap(), ["3"]);
    }

    #[test]
    fn numbers_and_names() {
        for (value, nice) in [("5", 5), ("+5", 5), ("-20", -20), ("19", 19), ("-0", 0)] {
            assert_eq!(spec(&format!("nice={value}")).nice(), Some(nice));
        }
        assert_eq!(spec("popen").nice(), None);
        for model in [ExecModel::Thread, ExecModel::MainThreadOnly] {
            assert_eq!(spec(&format!("execmodel={model}")).execmodel(), Some(model));
        }
        assert_eq!(spec("popen").execmodel(), None);
    }

    #[test]
    fn env_keeps_its_order() {
        let spec = spec("env:B=2//popen//env:A=//env:_=x=y");
        assert_eq!(spec.env().collect::<Vec<_>>(), [("B", "2"), ("A", ""), ("_", "x=y")]);
    }
}
