//! Commands around images.
