//! What a name means: a stage, an image, a named context, or nothing at all.

use lathe_dockerfile::{Diagnostic, Instruction, InstructionKind, Span, Stage, Word, suggest};
use lathe_oci::{Platform, Reference};

use super::{Counts, Cx, Found};
use crate::{
    Base, NamedContext, PlatformChoice, StageBody, StageId, StagePlan, Trigger, WantedImage,
};

/// Where a name stands.
pub(super) struct Place<'a> {
    pub(super) stage: StageId,
    pub(super) span: Span,
    pub(super) trigger: Option<&'a Trigger>,
}

impl Place<'_> {
    fn error(&self, message: &str) -> Diagnostic {
        match self.trigger {
            Some(trigger) => {
                let text = &trigger.text;
                Diagnostic::error(self.span, format!("in the trigger `ONBUILD {text}`: {message}"))
            }
            None => Diagnostic::error(self.span, message),
        }
    }
}

impl Cx<'_> {
    /// Returns the last of the first `before` stages that has this name.
    pub(super) fn find(&self, name: &str, before: usize) -> Option<StageId> {
        let name = name.to_lowercase();
        let stages = &self.file.stages[..before];
        let index = stages.iter().rposition(|stage| stage.key().as_deref() == Some(&name))?;
        u32::try_from(index).ok().map(StageId)
    }

    pub(super) fn platform(&mut self, word: &Word) -> Option<Platform> {
        let text = self.expand(word)?;
        if text.is_empty() {
            let message = format!("the platform `{}` is empty after expansion", word.raw);
            let help = "a platform looks like linux/amd64; the builder's own is `$BUILDPLATFORM`";
            self.error(Diagnostic::error(word.span, message).help(help));
            return None;
        }
        match parse_platform(&text, &self.options.build_platform) {
            Ok(platform) => Some(platform),
            Err(error) => {
                let help = "a platform looks like linux/amd64 or linux/arm/v7";
                self.error(Diagnostic::error(word.span, error.to_string()).help(help));
                None
            }
        }
    }

    /// Returns what a stage starts from.
    pub(super) fn base(
        &mut self,
        stage: &Stage,
        id: StageId,
        platform: &Platform,
    ) -> Option<(Base, StageBody)> {
        let word = &stage.base;
        let text = self.expand(word)?;
        if text.is_empty() {
            let message = format!("the base name `{}` is empty after expansion", word.raw);
            let help = "give the variable a default before the first FROM: `ARG NAME=value`";
            self.error(Diagnostic::error(word.span, message).help(help));
            return None;
        }
        if let Some(key) = stage.key()
            && let Some((name, context)) = self.options.context(&key)
        {
            return Some((of_context(name, context, platform), StageBody::Replaced));
        }
        let place = Place { stage: id, span: word.span, trigger: None };
        let base = match self.find(&text, id.index()) {
            Some(found) => Base::Stage(found),
            None if text == "scratch" => Base::Scratch,
            None => self.image(&text, &place, platform)?,
        };
        Some((base, StageBody::Run))
    }

    /// Adds what an instruction copies or mounts from; tells whether all of it is known.
    pub(super) fn add_froms(
        &mut self,
        plan: &mut StagePlan,
        instruction: &Instruction,
        trigger: Option<&Trigger>,
    ) -> bool {
        let mut complete = true;
        for word in from_words(instruction) {
            if plan.froms.contains_key(&word.raw) {
                continue;
            }
            let span = if trigger.is_some() { plan.base_span } else { word.span };
            let place = Place { stage: plan.id, span, trigger };
            match self.from(&word.raw, &place) {
                Some(from) => {
                    plan.froms.insert(word.raw.clone(), from);
                    plan.from_spans.insert(word.raw.clone(), span);
                }
                None => complete = false,
            }
        }
        complete
    }

    fn from(&mut self, text: &str, place: &Place<'_>) -> Option<Base> {
        if text.contains('$') {
            let help = "name the image in a stage of its own: `FROM image:$TAG AS name`";
            let message = format!("`{text}`: variables are not expanded in `from`");
            self.error(place.error(&message).help(help));
            return None;
        }
        let count = self.file.stages.len();
        let numbered = text.parse::<u32>().ok().map(StageId);
        let Some(found) = self.find(text, count).or(numbered) else {
            if text == "scratch" {
                return Some(Base::Scratch);
            }
            // Images that are copied from are the target's, also in a stage for another platform.
            let platform = self.options.platform.clone();
            return self.image(text, place, &platform);
        };
        if found < place.stage {
            return Some(Base::Stage(found));
        }
        if found.index() >= count {
            let message = format!("there is no stage {text}: the stages are numbered from 0");
            self.error(place.error(&message));
            return None;
        }
        if found == place.stage {
            self.error(place.error(&format!("stage `{text}` cannot copy from itself")));
            return None;
        }
        let message = format!("stage `{text}` must be defined before the stage that uses it");
        let defined = self.file.stages[found.index()].span;
        let error = place.error(&message).label(defined, "it is defined here");
        self.errors.push(Found { counts: Counts::Later(place.stage, found), error });
        // What it needs is needed, so that what is wrong there is told, too.
        Some(Base::Stage(found))
    }

    fn image(&mut self, text: &str, place: &Place<'_>, platform: &Platform) -> Option<Base> {
        match Reference::parse(text) {
            Ok(reference) => Some(match self.options.context(text) {
                Some((name, context)) => of_context(name, context, platform),
                None => wanted(&reference, platform),
            }),
            Err(error) => {
                let names: Vec<String> = self.file.stages.iter().filter_map(Stage::key).collect();
                let near = suggest(&text.to_lowercase(), names.iter().map(String::as_str));
                self.error(place.error(&error.to_string()).did_you_mean(near));
                None
            }
        }
    }

    /// Returns the platform of a stage on an image: the wanted one, or that of the image where
    /// nobody said which one is wanted and the builder can run the image's.
    pub(super) fn adopted(&self, stage: &Stage, image: &WantedImage) -> Platform {
        let PlatformChoice::Assumed { runnable } = &self.options.platform_choice else {
            return image.platform.clone();
        };
        let Some(pinned) = self.known.images.get(image) else { return image.platform.clone() };
        let found = pinned.config.platform();
        let same =
            |other: &Platform| (&other.os, &other.architecture) == (&found.os, &found.architecture);
        if stage.platform.is_some() || same(&image.platform) {
            return image.platform.clone();
        }
        runnable.iter().find(|other| same(other)).unwrap_or(&image.platform).clone()
    }
}

/// Operating systems that may stand for a platform of the builder's architecture.
const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];

/// Architectures that may stand for a platform of the builder's operating system, with those that
/// [`Platform`] takes for another word for them.
const ARCHITECTURES: [&str; 16] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armhf", "i386", "loong64", "mips64le", "ppc64le",
    "riscv64", "s390x", "wasm", "x86-64", "x86_64", "mips64",
];

/// Reads a platform as containerd does: a system or an architecture alone is completed.
fn parse_platform(text: &str, own: &Platform) -> Result<Platform, lathe_oci::Error> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        system if SYSTEMS.contains(&system) => {
            Ok(Platform { os: lower, os_version: None, ..own.clone() })
        }
        "i386" => format!("{}/386", own.os).parse(),
        architecture if ARCHITECTURES.contains(&architecture) => {
            format!("{}/{architecture}", own.os).parse()
        }
        _ => text.parse(),
    }
}

fn wanted(reference: &Reference, platform: &Platform) -> Base {
    Base::Image(Box::new(WantedImage {
        reference: reference.clone().with_default_tag(),
        platform: platform.clone(),
    }))
}

fn of_context(name: &str, context: &NamedContext, platform: &Platform) -> Base {
    match context {
        NamedContext::Files => Base::Context(name.to_owned()),
        NamedContext::Image(image) if image.familiar() == "scratch" => Base::Scratch,
        NamedContext::Image(image) => wanted(image, platform),
    }
}

/// Returns the words that name another stage or an image, other than the base.
fn from_words(instruction: &Instruction) -> Vec<&Word> {
    let words: Vec<&Word> = match &instruction.kind {
        InstructionKind::Copy(copy) => copy.from.iter().collect(),
        InstructionKind::Run(run) => run.mounts.iter().filter_map(|mount| mount.from()).collect(),
        _ => Vec::new(),
    };
    words.into_iter().filter(|word| !word.raw.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_may_be_a_system_or_an_architecture_alone() {
        let own: Platform = "linux/arm/v7".parse().unwrap();
        let check = |text: &str, expected: &str| {
            let found = parse_platform(text, &own).map(|platform| platform.to_string());
            assert_eq!(found.ok().as_deref(), Some(expected), "{text}");
        };
        check("linux", "linux/arm/v7");
        check("Windows", "windows/arm/v7");
        check("arm64", "linux/arm64");
        check("x86_64", "linux/amd64");
        check("i386", "linux/386");
        check("linux/s390x", "linux/s390x");
        for text in ["", "plan9os", "a/b/c/d", "linux/"] {
            assert!(parse_platform(text, &own).is_err(), "{text}");
        }
    }
}
