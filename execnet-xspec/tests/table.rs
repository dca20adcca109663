//! Accepted and refused specifications, side by side.

use std::ops::Range;

use execnet_xspec::{ErrorKind, XSpec};

/// Text, and the entries it holds.
type Accepted = (&'static str, &'static [(&'static str, Option<&'static str>)]);

const ACCEPTED: &[Accepted] = &[
    ("popen", &[("popen", None)]),
    ("popen//python=python3", &[("popen", None), ("python", Some("python3"))]),
    ("ssh=-p 2222 me@host", &[("ssh", Some("-p 2222 me@host"))]),
    ("ssh=''me@host", &[("ssh", Some("''me@host"))]),
    ("vagrant_ssh=default", &[("vagrant_ssh", Some("default"))]),
    ("socket=[::1]:8888", &[("socket", Some("[::1]:8888"))]),
    ("socket//installvia=gw0", &[("socket", None), ("installvia", Some("gw0"))]),
    ("installvia=gw0//socket", &[("installvia", Some("gw0")), ("socket", None)]),
    ("command=docker exec -i c python3", &[("command", Some("docker exec -i c python3"))]),
    // Cut at the first `=`.
    ("env:A=b=c", &[("env:A", Some("b=c"))]),
    ("a==", &[("a", Some("="))]),
    // Single slashes, and a final one.
    ("chdir=/a/b", &[("chdir", Some("/a/b"))]),
    ("popen//chdir=/a/", &[("popen", None), ("chdir", Some("/a/"))]),
    ("a/b/", &[("a/b/", None)]),
    // Spaces belong to values.
    ("chdir= a b ", &[("chdir", Some(" a b "))]),
    ("id=a'b", &[("id", Some("a'b"))]),
    // Variables.
    ("env:A=", &[("env:A", Some(""))]),
    ("env:A=1//env:B=2", &[("env:A", Some("1")), ("env:B", Some("2"))]),
    ("env:A=1//env:a=2", &[("env:A", Some("1")), ("env:a", Some("2"))]),
    ("env:_=x", &[("env:_", Some("x"))]),
    ("env:é=日本", &[("env:é", Some("日本"))]),
    ("env:A='", &[("env:A", Some("'"))]),
    // Numbers and names.
    ("nice=-20", &[("nice", Some("-20"))]),
    ("nice=+19", &[("nice", Some("+19"))]),
    ("execmodel=main_thread_only", &[("execmodel", Some("main_thread_only"))]),
    // Optional values.
    ("agent", &[("agent", None)]),
    ("agent=./a --x", &[("agent", Some("./a --x"))]),
    // Words.
    (r#"python="a b" 'c'\ d"#, &[("python", Some(r#""a b" 'c'\ d"#))]),
    ("command=curl http:/''/x", &[("command", Some("curl http:/''/x"))]),
    // Unknown keys may be anything the grammar allows.
    ("mykey", &[("mykey", None)]),
    ("mykey=", &[("mykey", Some(""))]),
    ("POPEN=x//env", &[("POPEN", Some("x")), ("env", None)]),
    ("x=\"'\\", &[("x", Some("\"'\\"))]),
    ("x_=\t\n", &[("x_", Some("\t\n"))]),
];

/// Text, where it is wrong, and what is said about it.
type Refused = (&'static str, Range<usize>, &'static str);

const REFUSED: &[Refused] = &[
    (
        "",
        0..0,
        "the specification is empty; expected `key` or `key=value`, joined by `//`, such as `popen`",
    ),
    // Empty parts.
    ("popen//", 7..7, EMPTY_SEGMENT),
    ("//popen", 0..0, EMPTY_SEGMENT),
    ("a////b", 3..3, EMPTY_SEGMENT),
    ("//", 0..0, EMPTY_SEGMENT),
    ("=x", 0..1, "no key before `=`; expected `key=value`"),
    ("a//=", 3..4, "no key before `=`; expected `key=value`"),
    // Keys.
    ("_x=1", 0..1, "key `_x` starts with `_`; expected another first character"),
    ("a//__b", 3..4, "key `__b` starts with `_`; expected another first character"),
    (" popen", 0..1, "key ` popen` holds whitespace; expected none around a key or within it"),
    ("popen ", 5..6, "key `popen ` holds whitespace; expected none around a key or within it"),
    ("a//b\tc=d", 4..5, "key `b\\tc` holds whitespace; expected none around a key or within it"),
    (
        "é\u{3000}=d",
        2..5,
        "key `é\\u{3000}` holds whitespace; expected none around a key or within it",
    ),
    ("env:A B=1", 5..6, "key `env:A B` holds whitespace; expected none around a key or within it"),
    (
        "chdir=/a///popen",
        10..11,
        "key `/popen` starts with `/`; expected `//` and then a key (a value that ends in `/` can \
         only stand last)",
    ),
    ("po\0pen", 2..3, "key `po\\0pen` holds a NUL byte; expected none anywhere"),
    ("id=é\0", 5..6, "the value of `id` holds a NUL byte; expected none anywhere"),
    ("mykey=\0", 6..7, "the value of `mykey` holds a NUL byte; expected none anywhere"),
    // Twice.
    ("popen//popen", 7..12, "key `popen` given twice (first at 0..5)"),
    ("id=a//popen//id=a", 13..15, "key `id` given twice (first at 0..2)"),
    ("env:A=1//env:A=2", 9..14, "key `env:A` given twice (first at 0..5)"),
    ("é//é=x", 4..6, "key `é` given twice (first at 0..2)"),
    // Values missing.
    ("ssh", 0..3, "`ssh` has no value; expected `ssh=[OPTION]... [USER@]HOST`"),
    (
        "popen//env:A",
        7..12,
        "`env:A` has no value; expected `env:NAME=VALUE`, or `env:NAME=` for an empty value",
    ),
    ("nice", 0..4, "`nice` has no value; expected `nice=NUMBER`"),
    ("popen//id", 7..9, "`id` has no value; expected `id=NAME`"),
    (
        "id=a//socket",
        6..12,
        "`socket` has no value; expected `socket=HOST:PORT`, or `socket` beside `installvia=ID`",
    ),
    // Values empty.
    ("ssh=", 4..4, "the value of `ssh` is empty; expected `ssh=[OPTION]... [USER@]HOST`"),
    ("ssh= \t", 4..6, "the value of `ssh` is empty; expected `ssh=[OPTION]... [USER@]HOST`"),
    (
        "popen//python=",
        14..14,
        "the value of `python` is empty; expected `python=VERSION` or `python=PROGRAM [ARGUMENT]...`",
    ),
    (
        "command='' x",
        8..12,
        "the value of `command` is empty; expected `command=PROGRAM [ARGUMENT]...`",
    ),
    ("id=//popen", 3..3, "the value of `id` is empty; expected `id=NAME`"),
    (
        "agent=",
        6..6,
        "the value of `agent` is empty; expected `agent` or `agent=PROGRAM [ARGUMENT]...`",
    ),
    ("nice=", 5..5, "the value of `nice` is empty; expected `nice=NUMBER`"),
    // Values where none belongs.
    ("popen=x", 6..7, "`popen` takes no value; expected `popen` alone"),
    ("popen=", 6..6, "`popen` takes no value; expected `popen` alone"),
    (
        "popen//dont_write_bytecode=1",
        27..28,
        "`dont_write_bytecode` takes no value; expected `dont_write_bytecode` alone",
    ),
    // Wrong values.
    ("nice=20", 5..7, "`20` is no niceness; expected an integer from -20 to 19"),
    ("nice=-21", 5..8, "`-21` is no niceness; expected an integer from -20 to 19"),
    ("nice=1.5", 5..8, "`1.5` is no niceness; expected an integer from -20 to 19"),
    ("nice= 1", 5..7, "` 1` is no niceness; expected an integer from -20 to 19"),
    ("nice=99999999999", 5..16, "`99999999999` is no niceness; expected an integer from -20 to 19"),
    (
        "execmodel=threads",
        10..17,
        "`threads` is no execution model; expected `thread` or `main_thread_only`",
    ),
    (
        "popen//execmodel=gevent",
        17..23,
        "`gevent` is no execution model; expected `thread` or `main_thread_only` \
         (eventlet and gevent are not supported)",
    ),
    ("env:=x", 0..4, "`env:` names no variable; expected `env:NAME=VALUE`"),
    ("env:", 0..4, "`env:` names no variable; expected `env:NAME=VALUE`"),
    // Words.
    ("ssh=a 'b//popen", 6..8, "the value of `ssh` has no closing '; expected shell words"),
    ("python=é \"x\\\"", 10..14, "the value of `python` has no closing \"; expected shell words"),
    ("command=a\\", 9..10, "the value of `command` ends in a lone backslash; expected shell words"),
];

const EMPTY_SEGMENT: &str = "nothing stands here; expected `key` or `key=value`, or one `//` less";

#[test]
fn accepted() {
    for (text, entries) in ACCEPTED {
        let spec = XSpec::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = spec.entries().map(|entry| (entry.key(), entry.value())).collect();
        assert_eq!(found, *entries, "{text:?}");
        assert_eq!(spec.to_string(), *text);
    }
}

#[test]
fn refused() {
    for (text, span, message) in REFUSED {
        let error = match XSpec::parse(text) {
            Ok(_) => panic!("accepted: {text:?}"),
            Err(error) => error,
        };
        assert_eq!(error.kind().to_string(), *message, "{text:?}");
        assert_eq!(error.span(), *span, "{text:?}");
    }
}

#[test]
fn the_first_fault_is_the_one_reported() {
    let error = XSpec::parse("nice=x//nice=y//_").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidNice { found: "x".to_owned() });
}

#[test]
fn a_rendered_error_shows_the_place() {
    let error = XSpec::parse("ssh=日本 'x//id=\u{1b}").unwrap_err();
    let expected = [
        "the value of `ssh` has no closing '; expected shell words",
        r"  ssh=日本 'x//id=\u{1b}",
        "           ^^",
    ];
    assert_eq!(error.render(), expected.join("\n"));
}
