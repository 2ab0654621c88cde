//! Why steps were run: `build --explain`, `build --dry-run`, `lathe why-not-cached`.

use anyhow::Result;
use lathe_engine::{BuildSummary, Engine, StepReport, why_not_cached};
use lathe_event::Disposition;
use serde_json::json;

use super::{Session, builds};
use crate::{
    args::WhyArgs,
    progress::safe,
    render::{self, StepRow, StepWord},
    term,
};

/// Prints why the steps of a build were run.
pub(super) fn why(session: &Session, args: &WhyArgs) -> Result<u8> {
    let engine: Engine = session.quiet_engine();
    let id = builds::id(&engine, args.build.as_deref())?;
    let explanation = why_not_cached(&engine, id.as_deref())?;
    let rows = rows(&explanation.steps);
    let text = match args.format.as_deref() {
        Some(format) => {
            let document = json!({
                "Build": explanation.build.id,
                "Name": builds::name(&explanation.build),
                "Before": explanation.before,
                "Steps": render::steps_document(&rows),
            });
            render::document(format, &document)?
        }
        None => text(&explanation.build, explanation.before.as_deref(), &rows),
    };
    term::out(&text)?;
    Ok(0)
}

fn text(build: &BuildSummary, before: Option<&str>, rows: &[StepRow]) -> String {
    let compared = match before {
        Some(before) => format!("compared with {before}"),
        None => "there was none of its kind before".to_owned(),
    };
    format!("build {} of {}: {compared}\n{}", build.id, builds::name(build), render::steps(rows))
}

/// From what the engine reports to what is printed.
pub(super) fn rows(steps: &[StepReport]) -> Vec<StepRow> {
    let row = |step: &StepReport| StepRow {
        name: safe(&step.name),
        line: step.line,
        word: match step.disposition {
            Disposition::Hit => StepWord::Hit,
            Disposition::Ran => StepWord::Ran,
            Disposition::Skipped => StepWord::NotNeeded,
            Disposition::WouldRun => StepWord::WouldRun,
            Disposition::Unknown => StepWord::MayRun,
        },
        cause: step.cause.as_ref().map(|cause| safe(&cause.to_string())),
        seconds: step.duration.as_secs_f64(),
        cost: step.cost.as_secs_f64(),
    };
    steps.iter().map(row).collect()
}
