//! The key that was probably meant.

use crate::keys::{ENV_PREFIX, known_keys};

/// The known or claimed key nearest to the unknown `key`, if one is near enough to be a slip of
/// the fingers.
pub(crate) fn suggestion(key: &str, claimed: &[&str]) -> Option<String> {
    if let Some((prefix, name)) = key.split_once(':')
        && nearest(prefix, ["env"]).is_some()
    {
        return Some(format!("{ENV_PREFIX}{}", if name.is_empty() { "NAME" } else { name }));
    }
    let mut candidates: Vec<&str> = known_keys().collect();
    candidates.extend(claimed);
    candidates.push("env");
    nearest(key, candidates).map(|near| if near == "env" { "env:NAME" } else { near }.to_owned())
}

/// The first of the nearest candidates, ignoring case. One edit is allowed, and one more for every
/// four characters after the first four: with more, `docker` would be taken for `socket`.
fn nearest<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let key = lowercase(key);
    let limit = (key.len() / 4).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = lowercase(candidate);
            // The lengths alone may rule it out, and then a key of any length costs nothing.
            if key.len().abs_diff(other.len()) > limit {
                return None;
            }
            Some((distance(&key, &other), candidate)).filter(|(distance, _)| *distance <= limit)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn lowercase(text: &str) -> Vec<char> {
    text.chars().map(|c| c.to_ascii_lowercase()).collect()
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`, no part
/// being edited twice (Damerau's distance, in its optimal string alignment form).
fn distance(a: &[char], b: &[char]) -> usize {
    // Row `i` holds the distance from the first `i` characters of `a` to every beginning of `b`.
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut a_before = None;
    for (i, a_here) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(above.len());
        let mut left = i + 1;
        row.push(left);
        let mut b_before = None;
        // What a swap builds on: two rows up, two columns to the left.
        let mut before_swap = two_above.iter();
        for (b_here, pair) in b.iter().zip(above.windows(2)) {
            let [diagonal, up] = *pair else { break };
            let mut best = (diagonal + usize::from(a_here != b_here)).min(up + 1).min(left + 1);
            if b_before.is_some()
                && let Some(swapped) = before_swap.next()
                && a_before == Some(b_here)
                && b_before == Some(a_here)
            {
                best = best.min(swapped + 1);
            }
            row.push(best);
            left = best;
            b_before = Some(b_here);
        }
        two_above = std::mem::replace(&mut above, row);
        a_before = Some(a_here);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        let table = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("python", "python", 0),
            ("pyhton", "python", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
            ("chdri", "chdir", 1),
            ("ssh", "sshd", 1),
            ("kitten", "sitting", 3),
            // Optimal alignment does not edit between the two halves of a swap.
            ("ca", "abc", 3),
        ];
        for (a, b, expected) in table {
            assert_eq!(distance(&lowercase(a), &lowercase(b)), expected, "{a} {b}");
            assert_eq!(distance(&lowercase(b), &lowercase(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn suggests_what_was_meant() {
        let table = [
            ("pyhton", Some("python")),
            ("chdri", Some("chdir")),
            ("Popen", Some("popen")),
            ("PYTHON", Some("python")),
            ("ssh-config", Some("ssh_config")),
            ("install_via", Some("installvia")),
            ("env", Some("env:NAME")),
            ("evn", Some("env:NAME")),
            ("evn:HOME", Some("env:HOME")),
            ("ENV:HOME", Some("env:HOME")),
            ("evn:", Some("env:NAME")),
            ("dokcer", Some("docker")),
            ("label:x", None),
            ("x", None),
            ("kubernetes", None),
        ];
        for (key, expected) in table {
            assert_eq!(suggestion(key, &["docker"]).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn claimed_keys_must_be_given() {
        assert_eq!(suggestion("dokcer", &[]), None);
        assert_eq!(suggestion("docker", &[]), None);
    }
}
