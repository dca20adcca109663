//! Specifications from any text.

use execnet_xspec::XSpec;

/// A specification prints as its text and is found again in its entries; an error points into the text.
pub fn xspec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match XSpec::parse(text) {
        Ok(spec) => {
            assert_eq!(spec.to_string(), text);
            let parts: Vec<_> = spec.entries().map(|entry| &text[entry.span()]).collect();
            assert_eq!(parts.join("//"), text);
            let again = spec.to_builder().build();
            assert!(again.is_ok(), "{text:?}: {again:?}");
            let _ = (spec.kind(), spec.refuse_unclaimed(&[]), spec.python(), spec.nice());
        }
        Err(error) => {
            let span = error.span();
            assert!(text.get(span.clone()).is_some(), "{text:?}: {span:?}");
            assert!(!error.to_string().contains('\n'), "{error}");
            assert!(!error.render().is_empty());
        }
    }
}
