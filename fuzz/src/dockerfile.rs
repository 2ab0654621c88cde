//! The parser of Dockerfiles, the lint, and what is shown of both.

use lathe_dockerfile::{Diagnostic, Span, dump, lint, parse, parse_trigger, render, settle};

/// How many of the diagnostics of a text are shown: hundreds would take longer than all else.
const SHOWN: usize = 12;

/// Parses a text as Dockerfile and as trigger, and shows what is wrong with it.
pub fn dockerfile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = parse(&text);
    let whole: String = parsed.file.items.iter().map(|item| item.span.slice(&text)).collect();
    assert_eq!(whole, text, "the spans of the items are the text");
    drop(dump(&parsed.file));
    let mut findings = parsed.diagnostics;
    findings.extend(lint(&parsed.file, &text));
    check_all(&findings, &text);
    let settled = settle(&parsed.file, findings, None);
    assert!(settled.is_sorted_by_key(|finding| finding.span.start), "findings are in order");
    for escape in ['\\', '`'] {
        if let Err(diagnostics) = parse_trigger(&text, escape) {
            check_all(&diagnostics, &text);
        }
    }
}

fn check_all(diagnostics: &[Diagnostic], text: &str) {
    for diagnostic in diagnostics {
        check_span(diagnostic.span, text);
        diagnostic.labels.iter().for_each(|label| check_span(label.span, text));
    }
    let every = diagnostics.len().div_ceil(SHOWN).max(1);
    for diagnostic in diagnostics.iter().step_by(every) {
        let shown = render(diagnostic, text, "Dockerfile");
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "nothing that steers a terminal: {shown:?}"
        );
    }
}

fn check_span(span: Span, text: &str) {
    let range = span.start as usize..span.end as usize;
    assert!(text.get(range).is_some(), "{span:?} lies in a text of {} bytes", text.len());
}
