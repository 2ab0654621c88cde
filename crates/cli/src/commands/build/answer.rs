//! Answers to `--check`, `--call` and `--print`, as text and as BuildKit's documents.

use anyhow::{Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lathe_engine::{
    BuildRequest, CheckReport, Engine, Finding, Outline, Phase, SourceText, Targets,
};
use serde_json::{Value, json};

use crate::{args::CallArgs, progress::safe, render};

/// Exit code of a check that found something.
const FOUND: u8 = 1;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing: the build itself.
    Build,
    Check(Form, Status),
    Outline(Form),
    Targets(Form),
    Describe(Form),
    Print(Phase),
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

/// What the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Findings,
    Ignored,
}

impl Call {
    /// Reads the flags; `--check` and `--print` are short for `--call`.
    pub(super) fn of(args: &CallArgs) -> Result<Self> {
        match (&args.call, args.check, &args.print) {
            (None, false, None) => Ok(Self::Build),
            (None, true, None) => Ok(Self::Check(Form::Text, Status::Findings)),
            (Some(text), false, None) | (None, false, Some(text)) => Self::parse(text),
            _ => bail!("give one of --check, --call and --print"),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut fields = text.split(',');
        let name = fields.next().unwrap_or_default();
        let (mut form, mut status) = (Form::Text, Status::Findings);
        for field in fields {
            match field.trim() {
                "format=json" | "json" => form = Form::Json,
                "format=text" | "text" => form = Form::Text,
                "ignorestatus" | "ignorestatus=true" => status = Status::Ignored,
                other => bail!("invalid field `{other}` of --call={text}: want format=json"),
            }
        }
        Ok(match name {
            "" | "build" => Self::Build,
            "check" | "lint" => Self::Check(form, status),
            "outline" => Self::Outline(form),
            "targets" => Self::Targets(form),
            "describe" | "subrequests.describe" => Self::Describe(form),
            "dockerfile" => Self::Print(Phase::Dockerfile),
            "stages" => Self::Print(Phase::Stages),
            "graph" => Self::Print(Phase::Graph),
            other => bail!(
                "`{other}` is no method: want build, check, outline, targets, \
                 or to print dockerfile, stages, graph"
            ),
        })
    }
}

/// Text for standard output, and the exit code.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) code: u8,
}

pub(super) fn answer(
    engine: &Engine,
    request: &BuildRequest,
    call: Call,
) -> lathe_engine::Result<Answer> {
    let fine = |text| Answer { text, code: 0 };
    Ok(match call {
        Call::Build => fine(String::new()),
        Call::Check(form, status) => {
            let report = lathe_engine::check(engine, request)?;
            let code =
                if report.findings.is_empty() || status == Status::Ignored { 0 } else { FOUND };
            Answer { text: in_form(form, || check_text(&report), || check_json(&report)), code }
        }
        Call::Outline(form) => {
            let (source, outline) = lathe_engine::outline(engine, request)?;
            fine(in_form(form, || outline_text(&outline), || outline_json(&source, &outline)))
        }
        Call::Targets(form) => {
            let (source, targets) = lathe_engine::targets(engine, request)?;
            fine(in_form(form, || targets_text(&targets), || targets_json(&source, &targets)))
        }
        Call::Describe(form) => fine(in_form(form, describe_text, describe_json)),
        Call::Print(phase) => fine(lathe_engine::print(engine, request, phase)?),
    })
}

/// What can be asked, with BuildKit's names for it.
const REQUESTS: [(&str, &str, &str); 4] = [
    ("check", "frontend.lint", "Find what is wrong with the Dockerfile, or could be better"),
    ("outline", "frontend.outline", "List the arguments, secrets, agents and caches of a target"),
    ("targets", "frontend.targets", "List the stages that can be built"),
    ("describe", "frontend.subrequests.describe", "List what can be asked"),
];

fn describe_text() -> String {
    let row = |(name, _, about): (&str, &str, &str)| format!("{name}\t{about}\n");
    render::align(&format!("NAME\tDESCRIPTION\n{}", REQUESTS.map(row).concat()))
}

fn describe_json() -> Value {
    let row = |(_, name, about): (&str, &str, &str)| json!({ "name": name, "version": "1.0.0", "type": "rpc", "description": about });
    Value::Array(REQUESTS.map(row).to_vec())
}

fn in_form(form: Form, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> String {
    match form {
        Form::Text => text(),
        Form::Json => format!("{:#}\n", json()),
    }
}

fn check_text(report: &CheckReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(safe(finding.rendered.trim_end()).as_str());
        text.push_str("\n\n");
    }
    let errors = report.findings.iter().filter(|finding| finding.is_error).count();
    let warnings = report.findings.len() - errors;
    let count = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let found: Vec<String> =
        [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
    let have = if report.findings.len() == 1 { "has" } else { "have" };
    text.push_str("Check complete, ");
    match found.as_slice() {
        [] => text.push_str("no warnings found.\n"),
        found => text.extend([&found.join(" and "), " ", have, " been found!\n"]),
    }
    text
}

fn check_json(report: &CheckReport) -> Value {
    let warning = |finding: &Finding| {
        json!({
            "ruleName": finding.rule,
            "url": page(finding.rule),
            "description": finding.about,
            "detail": finding.message,
            "help": finding.help,
            "level": if finding.is_error { "error" } else { "warning" },
            "location": location(finding.lines),
        })
    };
    let warnings: Vec<Value> =
        report.findings.iter().filter(|finding| !finding.is_error).map(warning).collect();
    let errors: Vec<Value> =
        report.findings.iter().filter(|finding| finding.is_error).map(warning).collect();
    let mut document = json!({ "warnings": warnings, "sources": [source(&report.source)] });
    // BuildKit gives the first one; the others are ours.
    if let Some(first) = report.findings.iter().find(|finding| finding.is_error) {
        document["error"] = json!({ "message": first.message, "location": location(first.lines) });
        document["errors"] = Value::Array(errors);
    }
    document
}

/// Returns the page that BuildKit's documentation has about a rule; our own rules have none.
fn page(rule: &str) -> Option<String> {
    let is_ours = rule.starts_with("lathe/") || rule == "SyntaxError";
    let mut name = String::new();
    let letters: Vec<char> = rule.chars().collect();
    for (index, c) in letters.iter().enumerate() {
        let after_lower = index > 0 && letters[index - 1].is_lowercase();
        let before_lower = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if index > 0 && c.is_uppercase() && (after_lower || before_lower) {
            name.push('-');
        }
        name.extend(c.to_lowercase());
    }
    (!is_ours).then(|| format!("https://docs.docker.com/go/dockerfile/rule/{name}/"))
}

fn location((first, last): (usize, usize)) -> Value {
    json!({
        "sourceIndex": 0,
        "ranges": [{ "start": { "line": first }, "end": { "line": last } }],
    })
}

fn source(source: &SourceText) -> Value {
    json!({
        "filename": source.name,
        "language": "Dockerfile",
        "data": STANDARD.encode(&source.text),
    })
}

fn outline_text(outline: &Outline) -> String {
    let mut text = format!("TARGET:\t{}\n", outline.name);
    if let Some(description) = &outline.description {
        text.extend(["DESCRIPTION:\t", description, "\n"]);
    }
    let mut text = render::align(&text);
    let mut table = |header: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&render::align(&format!("{header}\n{}", rows.concat())));
        }
    };
    let args = outline.args.iter().map(|arg| {
        let value = arg.value.as_deref().unwrap_or_default();
        format!("{}\t{value}\t{}\n", arg.name, arg.description.as_deref().unwrap_or_default())
    });
    table("BUILD ARG\tVALUE\tDESCRIPTION", args.collect());
    let need =
        |name: &str, required: bool| format!("{name}\t{}\n", if required { "true" } else { "" });
    let secrets = outline.secrets.iter().map(|secret| need(&secret.name, secret.required));
    table("SECRET\tREQUIRED", secrets.collect());
    table("SSH\tREQUIRED", outline.ssh.iter().map(|ssh| need(&ssh.name, ssh.required)).collect());
    let caches = outline.cache.iter().map(|cache| format!("{}\n", cache.id));
    table("CACHE MOUNT", caches.collect());
    text
}

fn outline_json(text: &SourceText, outline: &Outline) -> Value {
    let place = |span| location(text.lines(span));
    let args: Vec<Value> = outline
        .args
        .iter()
        .map(|arg| {
            let mut value = json!({ "name": arg.name, "location": place(arg.span) });
            if let Some(description) = &arg.description {
                value["description"] = json!(description);
            }
            if let Some(given) = &arg.value {
                value["value"] = json!(given);
            }
            value
        })
        .collect();
    let need = |name: &str, required: bool, span| {
        let mut value = json!({ "name": name, "location": place(span) });
        if required {
            value["required"] = json!(true);
        }
        value
    };
    let secrets: Vec<Value> = outline
        .secrets
        .iter()
        .map(|secret| need(&secret.name, secret.required, secret.span))
        .collect();
    let ssh: Vec<Value> =
        outline.ssh.iter().map(|ssh| need(&ssh.name, ssh.required, ssh.span)).collect();
    let cache: Vec<Value> = outline
        .cache
        .iter()
        .map(|cache| json!({ "ID": cache.id, "location": place(cache.span) }))
        .collect();
    json!({
        "name": outline.name,
        "description": outline.description,
        "args": args,
        "secrets": secrets,
        "ssh": ssh,
        "cache": cache,
        "sources": [STANDARD.encode(&text.text)],
    })
}

fn targets_text(targets: &Targets) -> String {
    let row = |target: &lathe_engine::Target| {
        let name = target.name.as_deref().unwrap_or_default();
        let default = if target.default { " (default)" } else { "" };
        let shown = format!("{name}{default}");
        format!("{}\t{}\n", shown.trim_start(), target.description.as_deref().unwrap_or_default())
    };
    let rows: Vec<String> = targets.targets.iter().map(row).collect();
    render::align(&format!("TARGET\tDESCRIPTION\n{}", rows.concat()))
}

fn targets_json(text: &SourceText, targets: &Targets) -> Value {
    let row = |target: &lathe_engine::Target| {
        let mut value = json!({
            "name": target.name.as_deref().unwrap_or_default(),
            "default": target.default,
            "base": target.base,
            "location": location(text.lines(target.span)),
        });
        if let Some(description) = &target.description {
            value["description"] = json!(description);
        }
        if let Some(platform) = &target.platform {
            value["platform"] = json!(platform);
        }
        value
    };
    json!({
        "targets": targets.targets.iter().map(row).collect::<Vec<_>>(),
        "sources": [STANDARD.encode(&text.text)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Result<Call> {
        Call::of(&CallArgs { call: Some(text.to_owned()), ..CallArgs::default() })
    }

    #[test]
    fn methods_are_read_as_buildx_reads_them() {
        let check = |text: &str, expected: Call| {
            assert_eq!(call(text).unwrap(), expected, "{text}");
        };
        check("build", Call::Build);
        check("check", Call::Check(Form::Text, Status::Findings));
        check("lint,format=json", Call::Check(Form::Json, Status::Findings));
        check("check,ignorestatus", Call::Check(Form::Text, Status::Ignored));
        check("outline,format=json", Call::Outline(Form::Json));
        check("targets", Call::Targets(Form::Text));
        check("graph", Call::Print(Phase::Graph));
    }

    #[test]
    fn rules_have_pages() {
        let check = |rule: &str, expected: &str| {
            let url = page(rule).unwrap();
            assert_eq!(url.rsplit('/').nth(1), Some(expected), "{url}");
        };
        check("StageNameCasing", "stage-name-casing");
        check("JSONArgsRecommended", "json-args-recommended");
        check("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env");
        assert_eq!(page("lathe/MalformedJSONForm"), None);
    }

    #[test]
    fn wrong_methods_are_told() {
        for text in ["chek", "check,format=yaml", "outline,x"] {
            assert!(call(text).is_err(), "{text}");
        }
        let both = CallArgs { check: true, call: Some("outline".to_owned()), print: None };
        assert!(Call::of(&both).is_err());
    }
}
