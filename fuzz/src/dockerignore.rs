//! Ignore files, held against a second, plain matcher.

use lathe_pattern::{Glob, IgnoreFile, Walk};

use self::plain::Reference;

#[path = "../../crates/pattern/src/ignore/tests/reference.rs"]
mod plain;

/// The plain matcher is slow on purpose: longer input would only be more of the same.
const LONGEST: usize = 512;

/// Matches paths against an ignore file.
///
/// The input is the ignore file and, behind a NUL byte, paths, one per line.
pub fn dockerignore(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(LONGEST)]);
    let (file, paths) = text.split_once('\0').unwrap_or((&text, "a\na/b\na/b/c.d\nx.d"));
    globs(file, paths);
    let reference = Reference::read(file);
    let ignore = match IgnoreFile::parse(file).compile() {
        Ok(ignore) => ignore,
        Err(error) => {
            assert!(reference.is_none(), "{error}, but not so plainly: {file:?}");
            return;
        }
    };
    let reference = reference.unwrap_or_else(|| panic!("valid, but not so plainly: {file:?}"));
    for path in normal(paths) {
        let excluded = ignore.matches(&path);
        assert_eq!(excluded, reference.walk(&path), "{file:?} on {path:?}");
        let alone = ignore.matches_by_itself(&path);
        assert_eq!(alone, reference.alone(&path), "{file:?} on {path:?} by itself");
        let decision = ignore.decision(&path);
        assert_eq!(decision != Walk::Keep, excluded, "{file:?} on the folder {path:?}");
        // A walk must come to what is not excluded.
        for (at, _) in path.match_indices('/').filter(|_| !excluded) {
            assert_ne!(ignore.decision(&path[..at]), Walk::Skip, "{file:?} on {path:?}");
        }
    }
}

/// The paths that a walk could come to.
fn normal(paths: &str) -> impl Iterator<Item = String> {
    let segments = |path: &str| {
        let segments = path.split('/').filter(|name| !matches!(*name, "" | "." | ".."));
        segments.collect::<Vec<_>>().join("/")
    };
    paths.lines().take(16).map(segments).filter(|path| !path.is_empty())
}

/// As sources of `COPY`, the same patterns match a path if they match it segment by segment.
fn globs(patterns: &str, paths: &str) {
    for glob in patterns.lines().take(4).filter_map(|pattern| Glob::new(pattern).ok()) {
        for path in normal(paths) {
            let mut names = path.split('/').enumerate();
            let whole = path.split('/').count() == glob.depth()
                && names.all(|(at, name)| glob.matches_segment(at, name));
            assert_eq!(glob.matches(&path), whole, "{:?} on {path:?}", glob.as_str());
        }
    }
}
