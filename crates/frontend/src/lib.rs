//! Stages, resolution, lowering to the build graph.
