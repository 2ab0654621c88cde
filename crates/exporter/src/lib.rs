//! Writes a built image where it was asked for.
