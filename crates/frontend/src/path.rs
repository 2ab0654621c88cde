//! Paths of images and contexts, as text: they never leave their root.

/// Returns an absolute path without `.`, `..` and doubled slashes; `..` ends at the root.
pub(crate) fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let directory = if path.starts_with('/') { "" } else { directory };
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_inside_the_root() {
        let check = |directory: &str, path: &str, expected: &str| {
            assert_eq!(join(directory, path), expected, "{directory} {path}");
        };
        check("/app", "src", "/app/src");
        check("/app", "./src/", "/app/src");
        check("/app", "/src", "/src");
        check("/app", "../../..", "/");
        check("/", ".", "/");
        check("/a/b", "..//c/./d", "/a/c/d");
    }
}
