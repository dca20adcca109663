//! Parse, print, parse again; and no text, however odd, does harm.

use execnet_xspec::{ErrorKind, SpecError, XSpec, is_known_key, known_keys};
use proptest::prelude::*;

type Pairs = Vec<(String, Option<String>)>;

/// Pieces of specifications in any order: nearly right, so that every branch is reached.
fn soup() -> impl Strategy<Value = String> {
    let known: Vec<&str> = known_keys().collect();
    let piece = prop_oneof![
        4 => proptest::sample::select(known).prop_map(str::to_owned),
        4 => Just("//".to_owned()),
        3 => Just("=".to_owned()),
        1 => proptest::sample::select(vec![
            "env:", "env:A", "/", "_", " ", "'", "\"", "\\", "\0", "\u{301}", "é", "日", "3.11",
            "-20", "20", "thread", "gevent", "key",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A text that must be accepted, with the entries it holds.
fn valid() -> impl Strategy<Value = (String, Pairs)> {
    let text = "[a-z /='\"\\\\é日]{0,8}[a-z]".prop_filter("no delimiter", |s| !s.contains("//"));
    let words = "[a-z]{1,4}( -[a-z])?( 'é b')?( \"c\\\\\"\")?";
    let entry = prop_oneof![
        Just(("popen".to_owned(), None)),
        Just(("agent".to_owned(), None)),
        proptest::sample::select(vec!["id", "chdir", "via", "socket", "tls_ca", "vagrant_ssh"])
            .prop_flat_map(move |key| text.clone().prop_map(move |v| (key.to_owned(), Some(v)))),
        proptest::sample::select(vec!["ssh", "python", "command"])
            .prop_flat_map(move |key| words.prop_map(move |v| (key.to_owned(), Some(v)))),
        (-20..=19i32).prop_map(|nice| ("nice".to_owned(), Some(nice.to_string()))),
        ("env:[A-Z_]{1,3}", "[ -.0-~]{0,6}").prop_map(|(key, value)| (key, Some(value))),
        ("[a-z]{1,2}[0-9]", proptest::option::of("[ -.0-~]{0,6}")),
    ];
    proptest::collection::vec(entry, 1..8).prop_map(|mut entries| {
        let mut seen = std::collections::HashSet::new();
        entries.retain(|(key, _)| seen.insert(key.clone()));
        let texts: Vec<String> = entries
            .iter()
            .map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            })
            .collect();
        (texts.join("//"), entries)
    })
}

fn pairs(spec: &XSpec) -> Pairs {
    spec.entries().map(|e| (e.key().to_owned(), e.value().map(str::to_owned))).collect()
}

/// What holds for every error about `text`.
fn check_error(text: &str, error: &SpecError) {
    let span = error.span();
    assert!(text.get(span.clone()).is_some(), "{span:?} is not a part of {text:?}");
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let rendered = error.render();
    assert_eq!(rendered.lines().count(), 3, "{rendered:?}");
    assert!(rendered.ends_with('^'), "{rendered:?}");
    // Both are bounded by what an excerpt shows, escaped at its longest.
    assert!(message.len() + rendered.len() < 10_000);
}

/// What holds for every text.
fn check_text(text: &str) {
    let spec = match XSpec::parse(text) {
        Ok(spec) => spec,
        Err(error) => return check_error(text, &error),
    };
    assert_eq!(spec.as_str(), text);
    for entry in spec.entries() {
        assert_eq!(text.get(entry.key_span()), Some(entry.key()));
        assert_eq!(entry.value_span().and_then(|span| text.get(span)), entry.value());
        let whole = match entry.value() {
            Some(value) => format!("{}={value}", entry.key()),
            None => entry.key().to_owned(),
        };
        assert_eq!(text.get(entry.span()), Some(whole.as_str()));
        assert_eq!(entry.is_known(), is_known_key(entry.key()));
    }
    // What was read can be composed again, to the same text.
    assert_eq!(spec.to_builder().build().as_ref(), Ok(&spec));
    // The questions asked at connection.
    for claimed in [&[][..], &["key", "日"]] {
        if let Err(error) = spec.kind_among(claimed) {
            check_error(text, &error);
        }
        if let Err(error) = spec.refuse_unclaimed(claimed) {
            check_error(text, &error);
        }
    }
    // A value that was checked is there in its typed form.
    assert_eq!(spec.nice().is_some(), spec.contains("nice"));
    assert_eq!(spec.execmodel().is_some(), spec.contains("execmodel"));
    assert_eq!(spec.agent_command().is_some(), spec.value("agent").is_some());
    for (key, words) in
        [("command", spec.command()), ("ssh", spec.ssh()), ("python", spec.python())]
    {
        assert_eq!(words.is_some(), spec.contains(key), "{key}");
        assert!(words.is_none_or(|words| !words[0].is_empty()), "{key}");
    }
    assert_eq!(spec.env().count(), pairs(&spec).iter().filter(|p| p.0.starts_with("env:")).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_harmless(text in any::<String>()) {
        check_text(&text);
    }

    #[test]
    fn nearly_right_text_is_harmless(text in soup()) {
        check_text(&text);
    }

    #[test]
    fn valid_text_survives((text, entries) in valid()) {
        let spec = XSpec::parse(&text).map_err(|error| TestCaseError::fail(error.render()))?;
        prop_assert_eq!(pairs(&spec), entries);
        let printed = spec.to_string();
        prop_assert_eq!(&printed, &text);
        prop_assert_eq!(XSpec::parse(&printed).unwrap(), spec);
        check_text(&text);
    }

    #[test]
    fn what_is_built_reads_back(
        entries in proptest::collection::vec(("[a/=_ é]{0,3}", proptest::option::of("[b/=' \0]{0,4}")), 0..5),
    ) {
        let builder = entries.iter().fold(XSpec::builder(), |builder, (key, value)| match value {
            Some(value) => builder.set(key, value),
            None => builder.flag(key),
        });
        if let Ok(spec) = builder.build() {
            // The last value of a key counts. An entry that ends in a slash is put last, so the
            // order is not compared here.
            let mut given: std::collections::BTreeMap<_, _> = Default::default();
            given.extend(entries);
            prop_assert_eq!(pairs(&spec).into_iter().collect::<std::collections::BTreeMap<_, _>>(), given);
            check_text(spec.as_str());
        }
    }

    #[test]
    fn any_words_survive(first in "[^\0]{1,6}", rest in proptest::collection::vec("[ab/ '\"\\\\\n\té]{0,6}", 0..4)) {
        let words: Vec<String> = std::iter::once(first).chain(rest).collect();
        let spec = XSpec::builder().words("command", &words).flag("x").build().unwrap();
        prop_assert_eq!(spec.command().unwrap(), &words[..]);
        prop_assert_eq!(spec.entries().len(), 2);
    }

    #[test]
    fn with_changes_one_entry((text, entries) in valid(), id in "[a-z]{1,4}/?") {
        let spec = XSpec::parse(&text).unwrap();
        let changed = match spec.with("id", &id) {
            Ok(changed) => changed,
            // Two entries that end in a slash have no text.
            Err(error) => {
                let two = matches!(error.kind(), ErrorKind::SlashBeforeDelimiter { .. });
                prop_assert!(two && id.ends_with('/') && text.ends_with('/'), "{}", error);
                return Ok(());
            }
        };
        prop_assert_eq!(changed.id(), Some(id.as_str()));
        let others = |pairs: Pairs| pairs.into_iter().filter(|p| p.0 != "id").collect::<Pairs>();
        prop_assert_eq!(others(pairs(&changed)), others(entries));
    }
}
