//! A user's known_hosts, which may hold anything.

use std::path::Path;

use data_encoding::BASE64;
use execnet_transport::ssh::known_hosts::{KnownHosts, Name, Verdict, line};

/// More lines take longer and show nothing new; the same with keys.
const MOST_LINES: usize = 64;
const MOST_KEYS: usize = 6;
/// A key that stands in no file.
const OTHER: &[u8] = b"\0\0\0\x01?nobody has it";

/// The first line is a host, a byte in front of which says on which port; what follows is the file.
///
/// What the lines say together follows from what each says alone, down to its number, and a line speaks of those
/// whom a plain reading of its patterns finds in it. What we would write of an unknown server makes it known.
pub fn known_hosts(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else { return };
    let data = String::from_utf8_lossy(data);
    let (host, text) = data.split_once('\n').unwrap_or((&data, ""));
    let text = text.split('\n').take(MOST_LINES).collect::<Vec<_>>().join("\n");
    let name = match flags & 3 {
        0 => Name::new(host, 22),
        1 => Name::alias(host),
        _ => Name::new(host, 2222),
    };
    let whole = read(&text);
    let lines: Vec<_> = text.split('\n').map(read).collect();
    for key in keys(&text) {
        let verdict = whole.check(&name, &key);
        let types = whole.key_types(&name);
        assert_eq!(told(&verdict), expected(&lines, &name, &key, &types), "{name:?} {key:?}");
        if verdict == Verdict::Unknown
            && let Ok(line) = line(&name, &key, flags & 4 != 0)
        {
            let known = read(&format!("{text}\n{line}\n"));
            assert_eq!(known.check(&name, &key), Verdict::Known, "{line:?}");
            assert!(!matches!(known.check(&name, OTHER), Verdict::Unknown), "{line:?}");
        }
    }
    let authority = whole.authority(&name).map(|place| place.line);
    assert_eq!(authority, first(&lines, &name, |line, name| line.authority(name).is_some()));
    for (text, line) in text.split('\n').zip(&lines) {
        check_patterns(text, line, name.full());
    }
}

fn read(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("known_hosts"), text);
    known
}

/// The keys in a text, and one that is not.
fn keys(text: &str) -> Vec<Vec<u8>> {
    let words = text.split_ascii_whitespace();
    let decoded = words.filter_map(|word| BASE64.decode(word.as_bytes()).ok());
    let mut keys: Vec<_> = decoded.filter(|key| key.len() > 4).take(MOST_KEYS).collect();
    keys.push(OTHER.to_vec());
    keys
}

/// A verdict, the line that it names, and the types of keys.
type Told = (&'static str, Option<usize>, Vec<String>);

fn told(verdict: &Verdict) -> Told {
    match verdict {
        Verdict::Known => ("known", None, Vec::new()),
        Verdict::Unknown => ("unknown", None, Vec::new()),
        Verdict::Changed { at, types } => ("changed", Some(at.line), types.clone()),
        Verdict::Revoked { at } => ("revoked", Some(at.line), Vec::new()),
        other => panic!("{other:?}"),
    }
}

/// What the lines say together.
fn expected(lines: &[KnownHosts], name: &Name, key: &[u8], types: &[String]) -> Told {
    let says = |wanted: &'static str| {
        move |line: &KnownHosts, name: &Name| told(&line.check(name, key)).0 == wanted
    };
    let full = Name::alias(name.full());
    if let Some(at) = first(lines, name, says("revoked")) {
        ("revoked", Some(at), Vec::new())
    } else if first(lines, &full, says("known")).is_some() {
        ("known", None, Vec::new())
    } else if let Some(at) = first(lines, &full, says("changed")) {
        let listed: Vec<_> = lines.iter().flat_map(|line| line.key_types(&full)).collect();
        assert!(listed.iter().all(|it| types.contains(it)), "{listed:?} {types:?}");
        assert!(types.iter().all(|it| listed.contains(it)), "{listed:?} {types:?}");
        ("changed", Some(at), types.to_vec())
    } else if first(lines, name, says("known")).is_some() {
        ("known", None, Vec::new())
    } else {
        ("unknown", None, Vec::new())
    }
}

/// The number of the first line of which this is true: of the name with its port, else of the name without it.
fn first(
    lines: &[KnownHosts],
    name: &Name,
    is_true: impl Fn(&KnownHosts, &Name) -> bool,
) -> Option<usize> {
    let find = |name: &str| {
        let name = Name::alias(name);
        lines.iter().position(|line| is_true(line, &name)).map(|at| at + 1)
    };
    find(name.full()).or_else(|| find(name.host()?))
}

/// A line without a marker speaks of a host when one of its patterns matches, and none that is negated does.
fn check_patterns(text: &str, line: &KnownHosts, name: &str) {
    let fields: Vec<_> = text.split_ascii_whitespace().collect();
    let [hosts, key_type, key, ..] = fields[..] else { return };
    if hosts.starts_with(['|', '@', '#']) {
        return;
    }
    let length = u32::try_from(key_type.len()).expect("a short line").to_be_bytes();
    let start = [&length[..], key_type.as_bytes()].concat();
    let is_key = BASE64.decode(key.as_bytes()).is_ok_and(|key| key.starts_with(&start));
    let (mut plain, mut negated) = (false, false);
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) => negated |= matches(pattern, name),
            None => plain |= matches(pattern, name),
        }
    }
    let speaks = !line.key_types(&Name::alias(name)).is_empty();
    assert_eq!(speaks, is_key && plain && !negated, "{text:?} of {name:?}");
}

/// By the book: whether each start of the pattern matches each start of the name.
fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<_> = name.chars().collect();
    let mut starts = vec![false; name.len() + 1];
    starts[0] = true;
    for wanted in pattern.to_lowercase().chars() {
        let before = starts.clone();
        for at in 0..starts.len() {
            starts[at] = match wanted {
                '*' => before[at] || at > 0 && starts[at - 1],
                '?' => at > 0 && before[at - 1],
                _ => at > 0 && before[at - 1] && name[at - 1] == wanted,
            };
        }
    }
    starts[name.len()]
}
