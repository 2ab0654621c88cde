//! The build graph: vertices, operations, inputs.
