//! References to images.

use lathe_oci::Reference;

/// Parses a reference and what it is shown as.
pub fn reference(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(reference) = Reference::parse(&text) else { return };
    let again = |shown: &str| {
        let parsed = Reference::parse(shown);
        assert_eq!(parsed.as_ref().ok(), Some(&reference), "{text:?} is shown as {shown:?}");
    };
    again(&reference.to_string());
    again(&reference.familiar());
    let name = Reference::parse(&reference.name()).expect("a name is a reference");
    assert_eq!(name.repository(), reference.repository());
    assert!(name.tag().is_none() && name.digest().is_none(), "{name} is only a name");
    let tagged = reference.clone().with_default_tag();
    assert!(tagged.tag().is_some() || tagged.digest().is_some(), "{tagged} names one image");
    assert!(!reference.repository().split('/').any(|part| matches!(part, "" | "." | "..")));
}
