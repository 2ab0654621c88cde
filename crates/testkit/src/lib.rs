//! Parts that tests are made of. For development only: no product code depends on it.
//!
//! # Invariants
//! - `INV-TESTKIT-LOCAL`: nothing here talks to another machine.
#![forbid(unsafe_code)]

pub mod debian_registry;
pub mod fixture;
pub mod image;
pub mod normal_user;
pub mod registry;
pub mod sandbox;
