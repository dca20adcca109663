//! The words of the `ssh` program's command line.

use super::options::{Options, OptionsError, OptionsFault, check_host};

/// What has been read of them so far.
pub(super) struct Words {
    host: Option<String>,
    /// All the others; their host is empty.
    options: Options,
}

impl Words {
    pub(super) fn read<S: AsRef<str>>(
        words: impl IntoIterator<Item = S>,
    ) -> Result<Options, OptionsError> {
        let mut read = Self { host: None, options: Options::unchecked(String::new()) };
        let mut words = words.into_iter();
        // After `--` a word is no option, whatever it begins with.
        let mut options_end = false;
        while let Some(word) = words.next() {
            let word = word.as_ref();
            match word.strip_prefix('-') {
                Some("-") if !options_end => options_end = true,
                Some(letters) if !options_end && !letters.is_empty() => {
                    let mut next = || words.next().map(|next| next.as_ref().to_owned());
                    read.cluster(word, letters, &mut next)?;
                }
                _ => read.destination(word)?,
            }
        }
        let host = read.host.ok_or_else(|| OptionsError::new("", OptionsFault::NoHost))?;
        Ok(Options { host, ..read.options })
    }

    /// Reads the letters of one word, such as `-4vp22`, taking its value from the next word if need be.
    fn cluster(
        &mut self,
        word: &str,
        letters: &str,
        next: &mut dyn FnMut() -> Option<String>,
    ) -> Result<(), OptionsError> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            match letter {
                // There is never a terminal anyway.
                'T' => {}
                '4' | '6' | 'A' | 'a' | 'C' | 'K' | 'k' | 'q' | 'v' | 'X' | 'x' | 'Y' => {
                    self.options.flags.push(letter);
                }
                'B' | 'b' | 'c' | 'F' | 'I' | 'i' | 'J' | 'l' | 'm' | 'o' | 'P' | 'p' | 'S' => {
                    let attached = rest.as_str();
                    let value =
                        if attached.is_empty() { next() } else { Some(attached.to_owned()) };
                    let value = value.filter(|value| !value.is_empty());
                    let value = value
                        .ok_or_else(|| OptionsError::new(word, OptionsFault::NoValue(letter)))?;
                    return self.valued(letter, value);
                }
                'D' | 'E' | 'e' | 'f' | 'G' | 'g' | 'L' | 'M' | 'N' | 'n' | 'O' | 'Q' | 'R'
                | 's' | 't' | 'V' | 'W' | 'w' | 'y' => {
                    return Err(OptionsError::new(word, OptionsFault::NotHere(letter)));
                }
                _ => return Err(OptionsError::new(word, OptionsFault::Unknown(letter))),
            }
        }
        Ok(())
    }

    fn valued(&mut self, letter: char, value: String) -> Result<(), OptionsError> {
        let keyword = match letter {
            'p' => return self.set_port(&value, &value),
            'l' => {
                // As in ssh, the first one counts.
                self.options.user.get_or_insert(value);
                return Ok(());
            }
            'F' => {
                self.options.config_file = Some(value.into());
                return Ok(());
            }
            'i' => {
                self.options.identity_files.push(value.into());
                return Ok(());
            }
            'J' => {
                self.options.jump.get_or_insert(value);
                return Ok(());
            }
            'o' => {
                let (keyword, value) = setting(&value)?;
                self.options.settings.push((keyword, value));
                return Ok(());
            }
            // The others are short for a keyword.
            'B' => "BindInterface",
            'b' => "BindAddress",
            'c' => "Ciphers",
            'I' => "PKCS11Provider",
            'm' => "MACs",
            'P' => "Tag",
            _ => "ControlPath",
        };
        self.options.settings.push((keyword.to_owned(), value));
        Ok(())
    }

    fn destination(&mut self, word: &str) -> Result<(), OptionsError> {
        if self.host.is_some() {
            return Err(OptionsError::new(word, OptionsFault::SecondHost));
        }
        let (user, host) = match word.strip_prefix("ssh://") {
            Some(rest) => {
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                let (user, place) = split_user(rest);
                let (host, port) = split_port(place);
                if let Some(port) = port {
                    self.set_port(word, port)?;
                }
                (user, host)
            }
            None => split_user(word),
        };
        check_host(word, host)?;
        if let Some(user) = user {
            if user.is_empty() {
                return Err(OptionsError::new(word, OptionsFault::BadHost));
            }
            self.options.user.get_or_insert(user.to_owned());
        }
        self.host = Some(host.to_owned());
        Ok(())
    }

    fn set_port(&mut self, word: &str, port: &str) -> Result<(), OptionsError> {
        let number = port.parse().ok().filter(|port| *port != 0);
        let number = number.ok_or_else(|| OptionsError::new(word, OptionsFault::BadPort))?;
        self.options.port.get_or_insert(number);
        Ok(())
    }
}

/// `KEYWORD=VALUE`, or `KEYWORD VALUE` as a configuration file has it.
fn setting(text: &str) -> Result<(String, String), OptionsError> {
    let text = text.trim();
    let at = text.find(|c: char| c == '=' || c.is_whitespace());
    let (keyword, rest) = text.split_at(at.unwrap_or(text.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let named = !keyword.is_empty() && keyword.chars().all(|c| c.is_ascii_alphanumeric());
    if !named || value.is_empty() {
        return Err(OptionsError::new(text, OptionsFault::BadSetting));
    }
    Ok((keyword.to_owned(), value.to_owned()))
}

/// The user is all before the last `@`: some have one in their names.
pub(super) fn split_user(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, text),
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(super) fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}
