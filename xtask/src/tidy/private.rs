//! Nothing in the tree tells where it was written: paths of a machine, addresses of a private network.

use std::fs;
use std::net::Ipv4Addr;

use super::Finding;
use super::rust::line_of;
use super::tree::Tree;

/// Private addresses that mean something to lathe, or that stand for any in tests. The first number or two.
const KNOWN_NETWORKS: [(&str, &str); 2] =
    [("10.88.", "the network of containers"), ("10.0.0.", "any address, in tests")];

/// Folders below `/` that each machine has, so that paths into them tell nothing.
const STANDARD: [&str; 20] = [
    "app", "bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "src", "srv", "sys", "tmp", "usr", "var",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let places = own_places(&tree.root);
    let mut findings = Vec::new();
    for (path, file) in &tree.files {
        for (line, text) in file.text.lines().enumerate() {
            if let Some(place) = places.iter().find(|place| names(text, place)) {
                let text = format!("`{place}` is a path of this machine");
                findings.push(Finding::new(path, line + 1, "private", text));
            }
        }
        for (position, address) in private_addresses(&file.text) {
            let text = format!("{address} is an address of a private network");
            findings.push(Finding::new(path, line_of(&file.text, position), "private", text));
        }
    }
    findings
}

/// Returns paths that are this machine's own: the repository's, and what lies beside it.
fn own_places(root: &str) -> Vec<String> {
    let Some((parent, _)) = root.rsplit_once('/') else { return Vec::new() };
    let mut places = vec![root.to_owned()];
    let folder = parent.trim_start_matches('/');
    if folder.is_empty() {
        // A repository in `/`, as containers have it: its name is a common word.
        return Vec::new();
    }
    if !folder.contains('/') && !STANDARD.contains(&folder) {
        // Not being able to list it means that there is nothing to know of it.
        let beside = fs::read_dir(parent).into_iter().flatten().flatten();
        places.extend(beside.map(|entry| entry.path().display().to_string()));
    }
    places
}

/// Returns whether a line has this path, and not only a longer one.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        let after = line[position + place.len()..].chars().next();
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
        !before.is_some_and(goes_on)
            && !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-')
    })
}

/// Returns private IPv4 addresses, by RFC 1918.
fn private_addresses(text: &str) -> Vec<(usize, Ipv4Addr)> {
    let mut found = Vec::new();
    let mut position = 0;
    for word in
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_'))
    {
        if let Ok(address) = word.trim_end_matches('.').parse::<Ipv4Addr>()
            && address.is_private()
            && !KNOWN_NETWORKS.iter().any(|(known, _)| word.starts_with(known))
        {
            found.push((position, address));
        }
        // The separator is one character, of any length.
        position += word.len();
        position += text[position..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_found() {
        let text = format!("é 127.0.0.1 10.88.0.1 version 1.10.255.1.2 {}.168.7.9:80 x\n", 192);
        let found = private_addresses(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(text[found[0].0..].starts_with("192"));
    }

    #[test]
    fn the_own_path_is_found() {
        assert!(names("see /somewhere/lathe/src", "/somewhere/lathe"));
        assert!(!names("see /somewhere/lathe-two", "/somewhere/lathe"));
        assert!(!names("see /also/somewhere/lathe", "/somewhere/lathe"));
    }

    #[test]
    fn a_repository_in_the_root_folder_has_no_private_path() {
        assert!(own_places("/lathe").is_empty());
    }
}
