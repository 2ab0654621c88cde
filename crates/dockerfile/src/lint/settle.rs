//! Which findings are wanted: `# check=` at the top, above instructions, and
//! from the build argument.

use crate::ast::Dockerfile;
use crate::comments::{CheckOptions, check_comments};
use crate::diagnostic::{Diagnostic, Rule, Severity};
use crate::span::Span;

/// Applies `# check=` to findings of the parser, of `lint` and of the front
/// end.
///
/// `given` is what the build argument `BUILDKIT_DOCKERFILE_CHECK` says; it
/// takes the place of the directive. Comments `# check=skip=…` above an
/// instruction hold for that instruction alone. Experimental findings go
/// unless asked for, `error=true` makes errors of warnings; the rest is sorted
/// by place, each finding once. Syntax errors stay.
pub fn settle(
    file: &Dockerfile,
    mut findings: Vec<Diagnostic>,
    given: Option<&CheckOptions>,
) -> Vec<Diagnostic> {
    let directive = file.directives.check.as_ref();
    let options = given.cloned().or_else(|| CheckOptions::parse(&directive?.raw).ok());
    let options = options.unwrap_or_default();
    let inline = Inline::of(file);
    findings.retain(|finding| inline.wants(finding, &options));
    if options.error {
        let is_of_file = |rule: Rule| rule != Rule::SyntaxError && !rule.is_of_command_line();
        for finding in findings.iter_mut().filter(|finding| is_of_file(finding.rule)) {
            finding.severity = Severity::Error;
        }
    }
    let place = |finding: &Diagnostic| (finding.span.start, finding.span.end, finding.rule);
    findings.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message)));
    findings.dedup_by(|a, b| place(a) == place(b) && a.message == b.message);
    findings
}

/// The instructions with comments `# check=…` above, in order of place.
struct Inline {
    skips: Vec<(Span, Vec<CheckOptions>)>,
}

impl Inline {
    fn of(file: &Dockerfile) -> Self {
        let args = file.global_args.iter().map(|arg| (arg.span, &arg.comments));
        let stages = file.stages.iter().flat_map(|stage| {
            let instructions = stage.instructions.iter().map(|it| (it.span, &it.comments));
            std::iter::once((stage.span, &stage.comments)).chain(instructions)
        });
        let skips = args.chain(stages).map(|(span, comments)| (span, check_comments(comments)));
        Self { skips: skips.filter(|(_, options)| !options.is_empty()).collect() }
    }

    /// Whether neither the file nor a comment above skips the finding.
    fn wants(&self, finding: &Diagnostic, options: &CheckOptions) -> bool {
        let at = finding.span.start;
        let behind = self.skips.partition_point(|(span, _)| span.start <= at);
        let above = behind
            .checked_sub(1)
            .map(|index| &self.skips[index])
            .filter(|(span, _)| at < span.end.max(span.start + 1));
        let above = above.map_or(&[][..], |(_, options)| options.as_slice());
        if finding.rule.experimental() {
            return std::iter::once(options).chain(above).any(|it| !it.skips(finding.rule));
        }
        std::iter::once(options).chain(above).all(|it| !it.skips(finding.rule))
    }
}
