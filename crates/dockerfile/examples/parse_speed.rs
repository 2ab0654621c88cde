//! Prints how long a Dockerfile of 10,000 lines takes to parse and to check.
//!
//! The text is made here: stages with mixed instructions, continuations,
//! heredocs and variables, as people write them. The least of several runs
//! counts, since the machine may be busy with other things.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How many lines the text has.
const LINES: usize = 10_000;

/// How often parsing is measured.
const RUNS: usize = 15;

fn main() {
    let text = text();
    let mut parse_time = Duration::MAX;
    let mut lint_time = Duration::MAX;
    let mut findings = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        let parsed = lathe_dockerfile::parse(&text);
        parse_time = parse_time.min(start.elapsed());
        assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics.first());
        let start = Instant::now();
        let raw = lathe_dockerfile::lint(&parsed.file, &text);
        let settled = lathe_dockerfile::settle(&parsed.file, raw, None);
        lint_time = lint_time.min(start.elapsed());
        findings = settled.len();
    }
    #[expect(clippy::print_stdout, reason = "a program that prints its result")]
    {
        println!(
            "lines={} parse_ms={:.3} lint_ms={:.3} findings={findings}",
            text.lines().count(),
            parse_time.as_secs_f64() * 1000.0,
            lint_time.as_secs_f64() * 1000.0,
        );
    }
}

/// A Dockerfile of [`LINES`] lines.
fn text() -> String {
    let mut text = String::from("# syntax=docker/dockerfile:1\nARG VERSION=18\n\n");
    let mut stage = 0;
    while text.lines().count() < LINES {
        // A string is written without errors.
        let _ = push_stage(&mut text, stage);
        stage += 1;
    }
    let end = text.lines().take(LINES).map(|line| line.len() + 1).sum();
    // The last stage may be cut inside of a heredoc or a continuation.
    let end = text[..end].rfind("\nFROM ").map_or(end, |at| at + 1);
    text.truncate(end);
    while text.lines().count() < LINES {
        text.push_str("ENV FILL=\"the rest\" AND=$FILL\n");
    }
    text
}

/// One stage, built on the one before.
fn push_stage(text: &mut String, stage: usize) -> std::fmt::Result {
    let base = match stage {
        0 => "node:${VERSION}-alpine".to_owned(),
        _ => format!("stage-{}", stage - 1),
    };
    writeln!(text, "# stage-{stage} builds part {stage}")?;
    writeln!(text, "FROM --platform=$BUILDPLATFORM {base} AS stage-{stage}")?;
    writeln!(text, "WORKDIR /app/{stage}\nARG TARGET={stage} MODE\nENV A=1 B=\"two words\" C=$A")?;
    writeln!(text, "COPY --chown=node:node --chmod=644 package.json package-lock.json ./")?;
    writeln!(text, "RUN --mount=type=cache,target=/root/.npm,sharing=locked \\")?;
    writeln!(text, "    --mount=type=secret,id=npmrc \\\n    # a comment in between")?;
    for step in 0..8 {
        writeln!(text, "    npm run step-{step} -- --output \"$OUT/{step}\" 'quoted' && \\")?;
    }
    writeln!(text, "    true\n\nRUN <<EOF\nset -e")?;
    for line in 0..6 {
        writeln!(text, "echo \"${{HOME}}/{line}\" | sed 's/a/b/' > /tmp/{line}")?;
    }
    writeln!(text, "EOF\nCOPY <<'one' <<two /etc/conf/\nkey = value\none\n$VERSION\ntwo")?;
    writeln!(text, "LABEL org.example.title=\"part {stage}\" org.example.\"odd\"=x")?;
    writeln!(text, "EXPOSE 80 443/tcp\nUSER 1000:1000\nVOLUME [\"/data\", \"/logs\"]")?;
    writeln!(text, "HEALTHCHECK --interval=30s --timeout=3s CMD curl -f http://localhost/")?;
    writeln!(text, "ENTRYPOINT [\"/app/main\", \"--flag\"]\nCMD [\"serve\"]\n")
}
