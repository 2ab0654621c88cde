//! The stages that a target needs, with every name resolved.

use std::collections::BTreeMap;

use lathe_dockerfile::{Instruction, Span};
use lathe_oci::{Platform, Reference};

/// Position of a stage in the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub u32);

impl StageId {
    /// Returns the position in [`lathe_dockerfile::Dockerfile::stages`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An image that a build needs to know before it can be lowered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WantedImage {
    /// Its name, with the default tag filled in.
    pub reference: Reference,
    /// For which platform.
    pub platform: Platform,
}

/// What a stage starts from, or a `COPY --from` copies from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// A stage that comes before.
    Stage(StageId),
    /// An image.
    Image(Box<WantedImage>),
    /// The files of a named context.
    Context(String),
}

/// Whether the instructions of a stage are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageBody {
    /// They are.
    Run,
    /// A named context has the stage's name and takes its place.
    Replaced,
}

/// An `ONBUILD` instruction of a base, which is run right behind `FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The text behind `ONBUILD`.
    pub text: String,
    /// What it says; its spans are of `text`, not of the Dockerfile.
    pub instruction: Instruction,
}

/// A stage that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePlan {
    /// Which stage of the file.
    pub id: StageId,
    /// Its name, or `stage-N`.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// What it is for.
    pub platform: Platform,
    /// Whether its own instructions are run.
    pub body: StageBody,
    /// What its base wants to be run first.
    pub triggers: Vec<Trigger>,
    /// Each name that its `COPY --from` and `RUN --mount from=` use, as typed.
    pub froms: BTreeMap<String, Base>,
    /// Where each of them stands first; that of a trigger is at the `FROM`.
    pub from_spans: BTreeMap<String, Span>,
    /// Where the base is named.
    pub base_span: Span,
}

/// The stages that a target needs; each after those it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages, in the order of the file.
    pub stages: Vec<StagePlan>,
    /// The stage that was asked for.
    pub target: StageId,
    /// The values of `ARG`s before the first `FROM`, with the platform arguments.
    pub global_args: BTreeMap<String, String>,
}

impl StageGraph {
    /// Returns the images to pin, each once, with the place that names it first.
    pub fn wanted(&self) -> BTreeMap<WantedImage, Span> {
        let mut wanted = BTreeMap::new();
        for stage in &self.stages {
            let froms = stage.froms.iter().map(|(name, base)| (base, stage.from_spans[name]));
            for (base, span) in std::iter::once((&stage.base, stage.base_span)).chain(froms) {
                if let Base::Image(image) = base {
                    wanted.entry(WantedImage::clone(image)).or_insert(span);
                }
            }
        }
        wanted
    }

    /// Returns the stable text form.
    pub fn dump(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for stage in &self.stages {
            let base = |base: &Base| match base {
                Base::Scratch => "scratch".to_owned(),
                Base::Stage(id) => format!("stage {}", id.0),
                Base::Image(image) => format!("image {} {}", image.reference, image.platform),
                Base::Context(name) => format!("context {name}"),
            };
            // Writing to a string cannot fail.
            let replaced = if stage.body == StageBody::Replaced { ", replaced" } else { "" };
            let from = base(&stage.base);
            let _ = writeln!(text, "{} {} from {from}{replaced}", stage.id.0, stage.name);
            for trigger in &stage.triggers {
                let _ = writeln!(text, "    ONBUILD {}", trigger.text);
            }
            for (name, from) in &stage.froms {
                let _ = writeln!(text, "    {name}: {}", base(from));
            }
        }
        let _ = writeln!(text, "target {}", self.target.0);
        text
    }
}
