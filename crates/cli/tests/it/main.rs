//! The program as a user runs it: one file for each feature, one executable for all.
//!
//! Each test has a sandbox of its own (home, store, context), base images come from a registry in
//! this process, and every image that a test builds is read back with all its digests checked.
//! At the end of each test `lathe system check` must find nothing wrong.

use std::{
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use lathe_testkit::{
    fixture::{Entry, ImageFixture, put_index},
    registry::FakeRegistry,
    sandbox::{As, Sandbox, skip},
};

/// Declares scenarios that run as the caller and, if that is root, as a normal user once more.
macro_rules! for_everybody {
    ($($(#[$meta:meta])* fn $name:ident($sandbox:ident) $body:block)*) => { $(
        $(#[$meta])*
        fn $name($sandbox: &lathe_testkit::sandbox::Sandbox) $body

        mod $name {
            #[test]
            fn as_caller() {
                if let Some(sandbox) = crate::sandbox() {
                    super::$name(&sandbox);
                }
            }

            #[test]
            fn as_normal_user() {
                if let Some(sandbox) = crate::normal_user() {
                    super::$name(&sandbox);
                }
            }
        }
    )* };
}

mod builds;
mod cache;
mod concurrency;
mod config;
mod containers;
mod copying;
mod determinism;
mod errors;
mod explain;
mod hostile;
mod images;
mod kill;
mod layers;
mod lazy;
mod outputs;
mod run;
mod sharing;
mod shipping;
mod space;
mod stages;
mod tutorial;

/// The registry that answers for docker.io, with the images that tests are based on.
fn registry() -> Option<&'static FakeRegistry> {
    static REGISTRY: OnceLock<Option<FakeRegistry>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let busybox = ImageFixture::busybox().expect("busybox can be read")?;
        let registry = FakeRegistry::start();
        fill(&registry, &busybox);
        Some(registry)
    });
    registry.as_ref()
}

fn fill(registry: &FakeRegistry, busybox: &ImageFixture) {
    busybox.put(registry, "library/busybox", "latest");
    busybox.put(registry, "library/busybox", "1.35");
    let triggers = serde_json::json!(["RUN echo triggered > /trigger", "ENV TRIGGERED=yes"]);
    busybox.clone().with("OnBuild", triggers).put(registry, "library/triggers", "latest");
    let lower = [
        Entry::dir("d"),
        Entry::file("d/gone", "1"),
        Entry::file("d/kept", "2"),
        Entry::dir("hidden"),
        Entry::file("hidden/old", "3"),
    ];
    let upper = [
        Entry::dir("d"),
        Entry::file("d/.wh.gone", ""),
        Entry::dir("hidden"),
        Entry::file("hidden/.wh..wh..opq", ""),
        Entry::file("hidden/new", "4"),
    ];
    busybox.clone().layer(&lower).layer(&upper).put(registry, "library/layered", "latest");
    let file = |text| ImageFixture::new(serde_json::json!({})).layer(&[Entry::file("which", text)]);
    let both = [file("amd64").architecture("amd64"), file("arm64").architecture("arm64")];
    put_index(registry, "library/several", "latest", &both);
}

/// A sandbox of the caller.
fn sandbox() -> Option<Sandbox> {
    sandbox_of(As::Caller)
}

/// A sandbox of a normal user, if the caller is root.
fn normal_user() -> Option<Sandbox> {
    sandbox_of(As::NormalUser)
}

fn sandbox_of(user: As) -> Option<Sandbox> {
    let Some(registry) = registry() else {
        skip("busybox-static is not installed");
        return None;
    };
    Sandbox::new(Path::new(env!("CARGO_BIN_EXE_lathe")), &registry.host(), user)
}

/// Lets only one test of a kind run at a time: those that need the machine for themselves.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(folder.join("main.rs")).expect("this file");
    for entry in folder.read_dir().expect("this folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(name == "main" || main.contains(&format!("\nmod {name};\n")), "{name}");
    }
}
