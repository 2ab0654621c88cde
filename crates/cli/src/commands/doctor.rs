//! `lathe doctor`.

use std::path::Path;

use anyhow::Result;

use crate::{
    args::DoctorArgs,
    env::Places,
    render::{self, Grade},
    term,
};

/// Looks at the machine; exit code 1 when builds cannot work.
pub(super) fn doctor(args: &DoctorArgs, places: &Places) -> Result<u8> {
    let facts = lathe_userns::doctor::facts(existing(&places.root));
    let findings = render::findings(&facts);
    let text = match args.format.as_deref() {
        Some(format) => render::document(format, &render::doctor_json(&facts, &findings))?,
        None => render::doctor(&facts, &findings),
    };
    term::out(&text)?;
    let broken = findings.iter().any(|finding| finding.grade == Grade::Broken);
    Ok(u8::from(broken))
}

/// The nearest folder above a path that exists: the store may not have been made yet.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}
