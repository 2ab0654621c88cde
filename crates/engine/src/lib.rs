//! The pipeline, from request to outcome.
