//! What must hold for any text at all.

use lathe_dockerfile::{
    CheckOptions, Span, detect_syntax, dump, expand, expand_heredoc, expand_shown, expand_words,
    lint, parse, parse_trigger, render, settle,
};
use proptest::prelude::*;

/// Files as people write them, to be mutated.
const SAMPLES: [&str; 8] = [
    include_str!("../test_data/ok/everything.dockerfile"),
    include_str!("../test_data/ok/bom-crlf-backtick.dockerfile"),
    include_str!("../test_data/ok/json-traps.dockerfile"),
    include_str!("../test_data/ok/lines.dockerfile"),
    include_str!("../test_data/ok/node.dockerfile"),
    include_str!("../test_data/ok/python.dockerfile"),
    include_str!("../test_data/err/flags.dockerfile"),
    include_str!("../test_data/err/unterminated.dockerfile"),
];

/// Parses and uses all that comes of it; checks what always holds.
fn exercise(text: &str) -> Result<(), TestCaseError> {
    let parsed = parse(text);
    let mut at = 0;
    for item in &parsed.file.items {
        prop_assert_eq!(item.span.start, at, "a gap or an overlap in {:?}", text);
        at = item.span.end;
    }
    prop_assert_eq!(at as usize, text.len(), "the end is missing in {:?}", text);
    let joined: String = parsed.file.items.iter().map(|item| item.span.slice(text)).collect();
    prop_assert_eq!(joined, text);
    for stage in &parsed.file.stages {
        prop_assert!(fits(stage.span, text));
        for instruction in &stage.instructions {
            prop_assert!(fits(instruction.span, text), "{:?}", instruction);
        }
    }
    let mut findings = lint(&parsed.file, text);
    findings.extend(parsed.diagnostics);
    for finding in &findings {
        prop_assert!(fits(finding.span, text), "{:?}", finding);
        prop_assert!(!render(finding, text, "Dockerfile").is_empty());
    }
    drop(dump(&parsed.file));
    let settled = settle(&parsed.file, findings.clone(), None);
    prop_assert!(settled.iter().all(|it| findings.iter().any(|other| other.span == it.span)));
    prop_assert!(settled.is_sorted_by_key(|it| (it.span.start, it.span.end)));
    if let Err(errors) = parse_trigger(text, parsed.file.escape) {
        prop_assert!(!errors.is_empty());
        prop_assert!(errors.iter().all(|it| fits(it.span, text)));
    }
    if let Some(syntax) = detect_syntax(text) {
        prop_assert!(fits(syntax.span, text));
    }
    drop(CheckOptions::parse(text));
    Ok(())
}

/// Whether a span lies in the text, on character boundaries.
fn fits(span: Span, text: &str) -> bool {
    span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some()
}

/// Keywords with the characters that mean something.
const LIKELY: &str = concat!(
    "((FROM|RUN|COPY|ADD|ENV|ARG|ONBUILD|HEALTHCHECK|#|SHELL|CMD|EXPOSE)?",
    "[ \"'\\[\\]\\\\$<\\-=,a-zé\\n\\r\\t{}:/*#%A-C]{0,20}\n?){0,12}",
);

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed(text in any::<String>()) {
        exercise(&text)?;
    }

    #[test]
    fn text_that_looks_like_a_dockerfile_is_parsed(text in LIKELY) {
        exercise(&text)?;
    }

    #[test]
    fn mutated_files_are_parsed(
        sample in prop::sample::select(&SAMPLES[..]),
        returns in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "\\PC{0,4}"), 1..6),
    ) {
        let sample = if returns { sample.replace('\n', "\r\n") } else { sample.to_owned() };
        let mut text: Vec<char> = sample.chars().collect();
        for (index, length, insert) in cuts {
            let at = index.index(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        exercise(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_word_is_expanded_or_refused(word in "[${}:#%/?*+\\-'\"\\\\a-cé \n]{0,24}") {
        let env = [("a", "x y"), ("b", ""), ("c", "éa/b")];
        for escape in ['\\', '`'] {
            let errors = [
                expand(&word, &env[..], escape).err(),
                expand_words(&word, &env[..], escape).err(),
                expand_heredoc(&word, &env[..]).err(),
            ];
            let shown = expand_shown(&word, &env[..], escape);
            prop_assert!(errors[0].is_none() || shown == word);
            for unset in expand(&word, &env[..], escape).unwrap_or_default().unset_at {
                prop_assert_eq!(&word[unset.range], unset.name);
            }
            for error in errors.into_iter().flatten() {
                prop_assert!(word.is_char_boundary(error.offset()), "{} {}", word, error);
            }
        }
    }
}
