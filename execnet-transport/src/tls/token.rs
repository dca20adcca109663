use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

const LEN: usize = 32;

/// Bound to the derivation below: another one gets another number.
const SALT: &[u8] = b"execnet token v1";
const CLIENT: &[u8] = b"client ed25519";
const SERVER: &[u8] = b"server ed25519";
const ID: &[u8] = b"id";

/// A file longer than this is no token.
const MAX_FILE: u64 = 4096;

/// The secret that both sides of a socket share: 32 bytes. Who has it can run anything on the server.
///
/// In a file it is one line of 64 hexadecimal digits; 32 raw bytes are read as well. The file must
/// be readable by its owner alone.
///
/// ```
/// use execnet_transport::tls::Token;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("token");
/// Token::generate().write_new(&file)?;
/// let token = Token::read(&file)?;
/// assert_eq!(format!("{token:?}"), format!("Token({})", token.id()));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Token(Zeroizing<[u8; LEN]>);

impl Token {
    /// A new one, from the system's random bytes.
    ///
    /// # Panics
    ///
    /// The system has none to give, which does not happen once it has started.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a token that is not random would be worse")]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; LEN]);
        SystemRandom::new().fill(&mut *bytes).expect("the system's random bytes");
        Self(bytes)
    }

    /// Reads a token file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, holds no token, or may be read by others than its owner.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let file = fs::File::open(path).map_err(|source| TokenError::io(path, source))?;
        // Of the open file, which nobody exchanges behind our back.
        let meta = file.metadata().map_err(|source| TokenError::io(path, source))?;
        check_owner(path, &meta)?;
        let mut text = Zeroizing::new(Vec::with_capacity(2 * LEN + 2));
        file.take(MAX_FILE)
            .read_to_end(&mut text)
            .map_err(|source| TokenError::io(path, source))?;
        Self::parse(&text).ok_or_else(|| TokenError::NoToken { path: path.to_owned() })
    }

    /// Writes the token to a new file that only this user may read.
    ///
    /// # Errors
    ///
    /// The file exists, or cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), TokenError> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut line = self.to_hex();
        line.push('\n');
        let written = options.open(path).and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| TokenError::io(path, source))
    }

    /// Names the token without telling it: 32 hexadecimal digits, for logs. The client sends it in clear text.
    #[must_use]
    pub fn id(&self) -> String {
        self.derive(ID).first_chunk::<16>().map(|id| hex(id)).unwrap_or_default()
    }

    /// The 32 bytes, to be given to the other side by a way that is safe.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &*self.0
    }

    /// The token as text, to be given to the other side by a way that is safe.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(&*self.0))
    }

    /// What the client's key is made from.
    pub(crate) fn client_seed(&self) -> Zeroizing<[u8; 32]> {
        self.derive(CLIENT)
    }

    /// What the server's key is made from.
    pub(crate) fn server_seed(&self) -> Zeroizing<[u8; 32]> {
        self.derive(SERVER)
    }

    /// The server's name in the client's greeting, which says which token is meant.
    pub(crate) fn server_name(&self) -> String {
        format!("{}.execnet.invalid", self.id())
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        let filled = Salt::new(HKDF_SHA256, SALT)
            .extract(&*self.0)
            .expand(&[label], Len32)
            .and_then(|okm| okm.fill(&mut *out));
        debug_assert!(filled.is_ok(), "HKDF gives up to 8160 bytes");
        out
    }

    fn parse(text: &[u8]) -> Option<Self> {
        if let Ok(bytes) = <[u8; LEN]>::try_from(text) {
            return Some(Self(Zeroizing::new(bytes)));
        }
        let digits = text.trim_ascii();
        let mut bytes = Zeroizing::new([0; LEN]);
        if digits.len() != 2 * LEN {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let digit = |digit: &u8| char::from(*digit).to_digit(16);
            *byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
        }
        Some(Self(bytes))
    }
}

struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

#[cfg(unix)]
fn check_owner(path: &Path, meta: &fs::Metadata) -> Result<(), TokenError> {
    use std::os::unix::fs::MetadataExt;

    let path = path.to_owned();
    if meta.mode() & 0o077 != 0 && meta.is_file() {
        return Err(TokenError::Open { path, mode: meta.mode() & 0o777 });
    }
    let ours = rustix::process::geteuid().as_raw();
    if meta.uid() != ours && meta.uid() != 0 && ours != 0 {
        return Err(TokenError::Owner { path, owner: meta.uid() });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &fs::Metadata) -> Result<(), TokenError> {
    Ok(())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id())
    }
}

/// A token file is of no use. The caller's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It cannot be read, or written.
    #[error("token file {}: {}", .path.display(), why(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("token file {}: its mode {mode:04o} lets others than its owner read it; run `chmod 600` on it, or make a new one if others may have", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("token file {}: it belongs to the user {owner}, who could exchange it; it must be your own, or root's", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// It holds something else.
    #[error("token file {}: not a token, which is 64 hexadecimal digits or 32 bytes; `execnet-agent token new FILE` makes one", .path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

impl TokenError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file; `execnet-agent token new FILE` makes one",
        io::ErrorKind::AlreadyExists => "the file exists; remove it first, or choose another",
        io::ErrorKind::PermissionDenied => "this user may not open it",
        io::ErrorKind::IsADirectory => "it is a directory",
        _ => "the system refuses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let bytes: Vec<u8> = (0..32).collect();
        Token::parse(&bytes).unwrap()
    }

    /// What a server in Python derives must be the same: this is the scheme, version 1.
    #[test]
    fn what_is_derived_never_changes() {
        assert_eq!(token().id(), "5c9810c02b5e4d939832e2e53f2fabf1");
        assert_eq!(
            hex(&*token().client_seed()),
            "32e632cf70b4891fc87d66930b65d192125c98749f1200e23c66b03760f686db"
        );
        assert_eq!(
            hex(&*token().server_seed()),
            "22b2d69394bfb8715428f32a25caa9c4d26c7088568770d8a400679f187bb6a5"
        );
    }

    #[test]
    fn text_and_bytes_are_the_same_token() {
        let text = format!("  {}\r\n", token().to_hex().to_uppercase());
        assert_eq!(Token::parse(text.as_bytes()).unwrap().id(), token().id());
        for bad in [&b""[..], b"00", &[b'g'; 64], &[b'0'; 63], &[b'0'; 65], &[0; 31], &[0; 33]] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_prints_the_secret() {
        let text = format!("{:?}", token());
        assert!(!text.contains("0001"), "{text}");
    }

    #[test]
    fn two_are_not_the_same() {
        assert_ne!(Token::generate().id(), Token::generate().id());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        token().write_new(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::read(&path).unwrap().id(), token().id());
        assert!(token().write_new(&path).unwrap_err().to_string().contains("the file exists"));
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"),
                "{error}"
            );
        }
        let error = Token::read(dir.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("token new"), "{error}");
    }
}
