//! The corpora, without libFuzzer: in seconds, for every change.

use std::fs;
use std::path::Path;

use lathe_fuzz::TARGETS;

/// Corpora are to be read by people; what is found beyond is left to whoever fuzzes.
const MOST_FILES: usize = 40;
const MOST_BYTES: u64 = 200 << 10;

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("each target has a corpus")
        .map(|entry| {
            let path = entry.expect("the corpus can be listed").path();
            let content = fs::read(&path).expect("the corpus can be read");
            (path.display().to_string(), content)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_found_before_does_not_crash() {
    for (name, target) in TARGETS {
        for (file, content) in files(name) {
            // Shown only when the test fails, as the last line.
            println!("{file}");
            target(&content);
        }
    }
}

#[test]
fn corpora_are_small() {
    let mut bytes = 0;
    for (name, _) in TARGETS {
        let files = files(name);
        assert!((1..=MOST_FILES).contains(&files.len()), "{name} has {} files", files.len());
        bytes += files.iter().map(|(_, content)| content.len() as u64).sum::<u64>();
    }
    assert!(bytes <= MOST_BYTES, "{bytes} bytes in all");
}
