use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Prints as it is written.
///
/// ```
/// use execnet_transport::SocketAddress;
///
/// let address: SocketAddress = "[::1]:8888".parse()?;
/// assert_eq!(address, SocketAddress::Tcp { host: "::1".into(), port: 8888 });
/// assert_eq!(address.to_string(), "[::1]:8888");
/// # Ok::<(), execnet_transport::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketAddress {
    /// A TCP port.
    Tcp {
        /// A name or a number, an IPv6 number without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl FromStr for SocketAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |fault| AddressError { text: text.to_owned(), fault };
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(error("the path is missing"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("the port is missing"))?;
        let host = match host.strip_prefix('[') {
            Some(host) => {
                let host = host.strip_suffix(']').ok_or_else(|| error("the `]` is missing"))?;
                // A zone, as in fe80::1%eth0, is for the system to judge.
                let number = host.split_once('%').map_or(host, |(number, _)| number);
                number.parse::<Ipv6Addr>().map_err(|_| error("no IPv6 address in the brackets"))?;
                host
            }
            None if host.contains(':') => {
                return Err(error("an IPv6 address needs brackets, as in [::1]:8888"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(error("the host is missing; this machine is 127.0.0.1"));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(error("the host contains a blank"));
        }
        let port = port.parse().map_err(|_| error("the port is no number from 0 to 65535"))?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that is no [`SocketAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {text:?}: {fault}; expected HOST:PORT, [IPV6]:PORT or unix:PATH")]
pub struct AddressError {
    text: String,
    fault: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SocketAddress, String> {
        text.parse().map_err(|error: AddressError| error.to_string())
    }

    #[test]
    fn prints_what_was_parsed() {
        for text in
            ["localhost:8888", "10.0.0.1:0", "[::1]:65535", "[fe80::1%lo]:1", "unix:/a b", "unix:x"]
        {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, word) in [
            ("", "port is missing"),
            ("web1", "port is missing"),
            (":8888", "127.0.0.1"),
            ("web1:", "no number"),
            ("web1:65536", "no number"),
            ("web1:-1", "no number"),
            ("::1:8888", "brackets"),
            ("[::1:8888", "`]`"),
            ("[web1]:8888", "no IPv6"),
            ("we b1:8888", "blank"),
            ("unix:", "path is missing"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
            assert!(error.ends_with("expected HOST:PORT, [IPV6]:PORT or unix:PATH"), "{error}");
        }
    }
}
