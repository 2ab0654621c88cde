//! The client against registries: a fake one that fails on demand, and Debian's.

mod common;
mod debian;
mod download;
mod login;
mod pull;
mod push;
mod tls;
