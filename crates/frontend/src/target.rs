//! What lowering needs to know of images, and what it makes.

use std::collections::{BTreeMap, BTreeSet};

use lathe_dockerfile::Diagnostic;
use lathe_graph::{BuildGraph, SourceOp, VertexId};
use lathe_oci::{Descriptor, Digest, ImageConfig, Platform};

use crate::WantedImage;

/// An image with its tag pinned.
#[derive(Clone, Debug, PartialEq)]
pub struct PinnedImage {
    /// The manifest for the platform.
    pub manifest: Digest,
    /// The config.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// The answer to each wanted image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolution {
    /// The images.
    pub images: BTreeMap<WantedImage, PinnedImage>,
    /// Images that could not be had, where checks go on without them.
    pub unknown: BTreeSet<WantedImage>,
}

/// An item of the image's history that this build adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryItem {
    /// The instruction, as docker shows it.
    pub created_by: String,
    /// Whose output the layer is; `None` if the instruction makes no layer.
    pub vertex: Option<VertexId>,
}

/// What is to be made of the outputs of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageTarget {
    /// What it is for.
    pub platform: Platform,
    /// Whose output is the image's file tree; `None` if it is empty.
    pub vertex: Option<VertexId>,
    /// The config, without layers; its history is that of the base image.
    pub config: ImageConfig,
    /// The base image that the layers of this build go on top of.
    pub base: Option<PinnedImage>,
    /// What this build adds to the history, each with its layer.
    pub history: Vec<HistoryItem>,
}

/// What `SOURCE_DATE_EPOCH` means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Epoch {
    /// Nothing: things have the time when they are made.
    #[default]
    Unset,
    /// Seconds since 1970.
    Seconds(i64),
    /// The time of the build context (`context`) or of a named one: that of its commit or
    /// download.
    Context(String),
    /// The time of the one download of a stage.
    Source(SourceOp),
}

/// A Dockerfile, lowered.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// What to run.
    pub graph: BuildGraph,
    /// What to make of it.
    pub target: ImageTarget,
    /// What `SOURCE_DATE_EPOCH` means.
    pub epoch: Epoch,
    /// What the user should know, but does not stop the build.
    pub warnings: Vec<Diagnostic>,
}
