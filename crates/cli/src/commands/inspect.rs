//! `lathe inspect`.

use anyhow::{Context as _, Result, anyhow};
use lathe_engine::{container, images};
use serde_json::Value;

use super::{Session, container_document::container_document};
use crate::{
    args::{InspectArgs, InspectType},
    failure, render, term,
};

/// Prints what is found, then what is not; exit code 1 when something is not.
pub(super) fn inspect(session: &Session, args: &InspectArgs) -> Result<u8> {
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for name in &args.names {
        match one(session, name, args.kind) {
            Ok(document) => documents.push(document),
            Err(error) => errors.push(error),
        }
    }
    if !documents.is_empty() || args.format.is_none() {
        term::out(&render::inspect(&documents, args.format.as_deref())?)?;
    }
    for error in &errors {
        term::err(&failure::report(error).text);
    }
    Ok(u8::from(!errors.is_empty()))
}

/// Finds one object; a container's name hides an image's.
fn one(session: &Session, name: &str, kind: Option<InspectType>) -> Result<Value> {
    if kind != Some(InspectType::Image) {
        match session.containers().find(name) {
            Ok(view) => return Ok(container_document(&view)),
            Err(container::Error::NotFound(_)) if kind.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    match images::inspect(&session.quiet_engine(), name) {
        Ok(image) => serde_json::to_value(image).context("writing the document of an image"),
        Err(images::Error::NoSuchImage { .. }) if kind.is_none() => {
            Err(anyhow!("no such object: {name}"))
        }
        Err(error) => Err(error.into()),
    }
}
