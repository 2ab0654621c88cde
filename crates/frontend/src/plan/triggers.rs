//! `ONBUILD`: what a base wants to be run in a stage that starts from it.
//!
//! The triggers of an image come from its config, those of a stage from its own instructions; a
//! stage hands on neither.

use lathe_dockerfile::{Diagnostic, InstructionKind, parse_trigger};

use super::Cx;
use crate::{Base, StageBody, StageId, StagePlan, Trigger};

/// Images do not say which escape character their Dockerfile had.
const DEFAULT_ESCAPE: char = '\\';

impl Cx<'_> {
    /// Adds the triggers of the base of a stage; tells whether all of them can be read.
    pub(super) fn add_triggers(&mut self, plan: &mut StagePlan) -> bool {
        let (texts, escape) = match &plan.base {
            Base::Stage(parent) => (self.triggers_of(*parent), self.file.escape),
            Base::Image(image) => {
                let pinned = self.known.images.get(&**image);
                let texts = pinned.map(|pinned| pinned.config.config.on_build.clone());
                (texts.unwrap_or_default(), DEFAULT_ESCAPE)
            }
            Base::Scratch | Base::Context(_) => return true,
        };
        let mut complete = true;
        for text in texts {
            match parse_trigger(&text, escape) {
                Ok(instruction) => {
                    let trigger = Trigger { text, instruction };
                    complete &= self.add_froms(plan, &trigger.instruction, Some(&trigger));
                    plan.triggers.push(trigger);
                }
                Err(findings) => {
                    complete = false;
                    for finding in findings {
                        let message = format!(
                            "the base wants `ONBUILD {text}` to be run, which cannot be: {}",
                            finding.message
                        );
                        let error = Diagnostic::error(plan.base_span, message);
                        self.error(Diagnostic { help: finding.help, ..error });
                    }
                }
            }
        }
        complete
    }

    fn triggers_of(&self, parent: StageId) -> Vec<String> {
        if self.plans[parent.index()].as_ref().is_some_and(|plan| plan.body != StageBody::Run) {
            return Vec::new();
        }
        let instructions = &self.file.stages[parent.index()].instructions;
        let trigger = |kind: &InstructionKind| match kind {
            InstructionKind::Onbuild(onbuild) => Some(onbuild.trigger.clone()),
            _ => None,
        };
        instructions.iter().filter_map(|instruction| trigger(&instruction.kind)).collect()
    }
}
