//! Where the context and the Dockerfile come from: what stands at the end of the command line.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    ContextInput, DockerfileInput, Inputs, LayoutReference, NamedInput, Stream, is_archive,
    parse_remote, redact,
};
use lathe_oci::Reference;

use crate::{args::BuildArgs, env::Places, term};

/// Bytes that tell an archive from a Dockerfile.
const HEAD: usize = 1024;

pub(super) fn inputs(places: &Places, args: &BuildArgs) -> Result<Inputs> {
    let named = named(places, &args.meaning.build_contexts)?;
    let file = args.file.as_deref();
    if args.path == "-" {
        if file == Some("-") {
            bail!("invalid argument: can't use stdin for both build context and dockerfile");
        }
        let (dockerfile, context) = piped(file)?;
        return Ok(Inputs { dockerfile, context, named });
    }
    let context = match remote_context(&args.path) {
        Some(remote) => ContextInput::Remote(remote?),
        None => ContextInput::Folder(places.absolute(&args.path)),
    };
    let dockerfile = match (file, &context) {
        (Some("-"), _) => {
            let text = term::read_stdin();
            DockerfileInput::Text(text.context("reading the Dockerfile from standard input")?)
        }
        (Some(file), ContextInput::Folder(_)) => DockerfileInput::Path(places.absolute(file)),
        (None, ContextInput::Folder(folder)) => DockerfileInput::Path(dockerfile_of(folder)),
        (file, _) => inside(file),
    };
    Ok(Inputs { dockerfile, context, named })
}

/// Parts standard input into an archive and a Dockerfile.
fn piped(file: Option<&str>) -> Result<(DockerfileInput, ContextInput)> {
    let mut stdin = term::stdin();
    let mut head = Vec::new();
    let reading = "reading standard input";
    stdin.by_ref().take(HEAD as u64).read_to_end(&mut head).context(reading)?;
    if is_archive(&head) {
        let stream = Stream::new(std::io::Cursor::new(head).chain(stdin));
        return Ok((inside(file), ContextInput::Archive(stream)));
    }
    stdin.read_to_end(&mut head).context(reading)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    Ok((DockerfileInput::Text(text), ContextInput::Empty))
}

/// A Dockerfile of a context that is brought.
fn inside(file: Option<&str>) -> DockerfileInput {
    DockerfileInput::Inside(PathBuf::from(file.unwrap_or("Dockerfile").trim_start_matches("./")))
}

/// Reads a context that is no folder here, `None` if it is one.
fn remote_context(path: &str) -> Option<Result<lathe_engine::Remote>> {
    // A folder of that name wins over a shorthand such as `github.com/…`.
    if !path.contains("://") && Path::new(path).exists() {
        return None;
    }
    let remote = lathe_engine::parse_remote_context(path)?;
    Some(remote.with_context(|| format!("invalid build context `{}`", redact(path))))
}

/// `Dockerfile`, or as BuildKit also takes it, `dockerfile`.
fn dockerfile_of(context: &Path) -> PathBuf {
    let (usual, lower) = (context.join("Dockerfile"), context.join("dockerfile"));
    if !usual.exists() && lower.exists() { lower } else { usual }
}

/// Reads `--build-context NAME=VALUE`.
fn named(places: &Places, texts: &[String]) -> Result<BTreeMap<String, NamedInput>> {
    texts
        .iter()
        .map(|text| {
            let context = || format!("invalid build context {text}, expected name=value");
            let (name, value) = text.split_once('=').with_context(context)?;
            if name.is_empty() || value.is_empty() {
                bail!(context());
            }
            let input = named_input(places, value);
            Ok((name.to_owned(), input.with_context(|| format!("--build-context {name}"))?))
        })
        .collect()
}

fn named_input(places: &Places, value: &str) -> Result<NamedInput> {
    if let Some(image) = value.strip_prefix("docker-image://") {
        let reference = Reference::parse(image)?;
        return Ok(NamedInput::Image(reference.with_default_tag()));
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        let (folder, image) = layout_reference(layout)?;
        return Ok(NamedInput::Layout { folder: places.absolute(folder), image });
    }
    if let Some(target) = value.strip_prefix("target:").or_else(|| value.strip_prefix("input:")) {
        bail!("`{value}` is a word of bake files; build `{target}` first and name its image");
    }
    match parse_remote(value) {
        Some(remote) => Ok(NamedInput::Remote(remote?)),
        None => Ok(NamedInput::Folder(places.absolute(value))),
    }
}

/// Parts `FOLDER[:TAG][@DIGEST]`.
fn layout_reference(text: &str) -> Result<(&str, LayoutReference)> {
    if let Some((folder, digest)) = text.split_once('@') {
        let digest = digest.parse().with_context(|| format!("`{digest}` is no digest"))?;
        // A tag beside a digest says nothing more.
        let folder = folder.rsplit_once(':').map_or(folder, |(folder, _)| folder);
        return Ok((folder, LayoutReference::Digest(digest)));
    }
    let tag = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    Ok(match tag {
        Some((folder, tag)) => (folder, LayoutReference::Tag(tag.to_owned())),
        None => (text, LayoutReference::Only),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_a_tag_a_digest_or_neither() {
        let check = |text: &str, folder: &str, expected: &str| {
            let (found, image) = layout_reference(text).unwrap();
            assert_eq!((found, format!("{image:?}").as_str()), (folder, expected));
        };
        check("/a/b", "/a/b", "Only");
        check("/a/b:1.2", "/a/b", "Tag(\"1.2\")");
        check("./x:y/z", "./x:y/z", "Only");
        assert!(layout_reference("/a@sha256:zz").is_err());
    }
}
