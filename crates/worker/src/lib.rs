//! Runs the operations of the build graph on snapshots.
