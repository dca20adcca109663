//! Carries the agent's program to the far end's host, over the link that it will then speak on.
//!
//! A shell script there says on a line of its own whether it has the program; if it has not, it is sent exactly
//! the program's bytes. Nothing else is sent before the script says that the agent starts, so it does not matter how
//! much the programs that it uses read ahead.

use std::sync::LazyLock;

use execnet_agent::AGENT_ARGUMENT;
use execnet_xspec::XSpec;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::image::Image;
use crate::DeployError;
use crate::connect::Patience;

/// What each line of the script begins with. A login shell may have printed something before it.
const MARK: &[u8] = b"execnet-deploy:";
/// So much of what a login shell prints is skipped, and so long a line of the script's is read.
const NOISE: usize = 64 << 10;
const CHUNK: usize = 64 << 10;

/// The script as one line, without its comments.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("deploy.sh").lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
});

/// A program to be there, and the words that start it.
#[derive(Debug)]
pub(in crate::connect) struct Deployment {
    image: Image,
    words: Vec<String>,
}

/// What the script says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// The program is there, and starts.
    Have,
    /// The program's bytes are to follow.
    Need,
}

impl Deployment {
    /// `name` is that of a program which will do as well if it is installed there; empty if none will.
    pub(super) fn new(image: Image, name: &str, spec: &XSpec) -> Self {
        let size = image.size.to_string();
        // Where the format is unknown no machine is the right one; only an installed agent will do.
        let machine = image.machine.unwrap_or("?");
        let fixed =
            ["sh", "-c", &SCRIPT, "execnet", name, &image.hash, &size, machine, AGENT_ARGUMENT];
        let mut words = fixed.map(str::to_owned).to_vec();
        words.extend(spec.env().map(|(name, value)| format!("{name}={value}")));
        Self { image, words }
    }

    /// The words that start the script, each to arrive there as it is.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Sees to it that the agent starts. What follows on the link is the agent's.
    pub(in crate::connect) async fn run<R, W>(
        &self,
        reader: &mut R,
        writer: &mut W,
        patience: &Patience,
    ) -> Result<(), Failed>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut noise = Vec::new();
        let mut word = self.listen(reader, &mut noise).await?;
        if word == Word::Need {
            tracing::info!(program = %self.image.path.display(), bytes = self.image.size, "uploading the agent");
            // When the script has given up on it, what it says is the reason.
            let sent = self.upload(writer, patience).await;
            word = match (self.listen(reader, &mut noise).await, sent) {
                (Err(Failed { error: DeployError::Silent, noise }), Err(error)) => {
                    return Err(Failed { error, noise });
                }
                (word, _) => word?,
            };
        }
        match word {
            Word::Have => Ok(()),
            Word::Need => Err(Failed { error: DeployError::Silent, noise }),
        }
    }

    async fn upload<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut W,
        patience: &Patience,
    ) -> Result<(), DeployError> {
        let path = &self.image.path;
        let read = |source| DeployError::Read { program: path.clone(), source };
        let mut file = File::open(path).await.map_err(read)?;
        let mut chunk = vec![0; CHUNK];
        let mut left = self.image.size;
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(CHUNK));
            let count = file.read(&mut chunk[..most]).await.map_err(read)?;
            if count == 0 {
                return Err(read(std::io::ErrorKind::UnexpectedEof.into()));
            }
            writer.write_all(&chunk[..count]).await.map_err(DeployError::Send)?;
            left -= count as u64;
            patience.renew();
        }
        writer.flush().await.map_err(DeployError::Send)
    }

    /// The next line of the script's. Reads byte by byte: what follows it is not ours.
    async fn listen<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        noise: &mut Vec<u8>,
    ) -> Result<Word, Failed> {
        let mut line = Vec::new();
        loop {
            match reader.read_u8().await {
                Ok(b'\n') => {
                    if let Some(word) = self.word(&line) {
                        return word
                            .map_err(|error| Failed { error, noise: std::mem::take(noise) });
                    }
                    line.push(b'\n');
                    noise.append(&mut line);
                }
                Ok(byte) if line.len() + noise.len() < NOISE => line.push(byte),
                _ => {
                    noise.append(&mut line);
                    return Err(Failed {
                        error: DeployError::Silent,
                        noise: std::mem::take(noise),
                    });
                }
            }
        }
    }

    fn word(&self, line: &[u8]) -> Option<Result<Word, DeployError>> {
        let at = line.windows(MARK.len()).position(|window| window == MARK)?;
        let text = String::from_utf8_lossy(&line[at + MARK.len()..]).trim().to_owned();
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        Some(Err(match first {
            "have" => return Some(Ok(Word::Have)),
            "need" => return Some(Ok(Word::Need)),
            "machine" => DeployError::Machine {
                found: rest.to_owned(),
                ours: self.image.machine.unwrap_or("an unknown machine").to_owned(),
            },
            "nowhere" => DeployError::Nowhere,
            "corrupt" => DeployError::Corrupt {
                arrived: rest.trim().parse().unwrap_or_default(),
                size: self.image.size,
            },
            _ => return None,
        }))
    }
}

/// Why the agent does not start, and what was printed before.
pub(in crate::connect) struct Failed {
    pub(in crate::connect) error: DeployError,
    pub(in crate::connect) noise: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_survives_the_quotes_of_any_shell() {
        for bad in ['\'', '\\', '!', '\n', '`'] {
            assert!(!SCRIPT.contains(bad), "{bad:?} in {}", *SCRIPT);
        }
        assert!(SCRIPT.is_ascii());
    }
}
