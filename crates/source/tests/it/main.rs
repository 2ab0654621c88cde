//! Sources against servers in this process, and real git.

mod archive;
mod common;
mod git;
mod git_web;
mod http;
mod layout;
mod pin;
mod verified;
