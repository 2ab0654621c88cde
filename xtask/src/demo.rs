//! `cargo xtask demo`: the tutorial from the first build to the last table, on this machine.
//!
//! Each step says what it does before it does it, and the first one that goes wrong ends the demo with the command
//! that failed and its last output. What is checked is what a reader of the tutorial would check by eye: images are
//! built, a second build is answered from the cache, containers answer over HTTP, a failing test stops a build, and
//! a multi-stage image is smaller than its single-stage twin.

mod http;
mod steps;
mod summary;
mod web;

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::steps::Steps;
use self::summary::{Built, Summary};
use crate::examples::{self, Example};
use crate::lathe::{self, Lathe};
use crate::sh::{self, Cmd};
use crate::{packages, registries, user};

const USAGE: &str =
    "usage: cargo xtask demo [--yes] [--json FILE] [--as-user] [--root DIR] [--lathe FILE]

Builds all examples, runs some of them, and compares the sizes of their images.

  --yes         install missing Debian packages without asking (as root)
  --json FILE   write what was measured as data
  --as-user     as root: do everything once more as a normal user, `lathe-test`
  --root DIR    keep images in this store instead of the user's own
  --lathe FILE  use this program instead of building it";

/// Longest time of a build in which nothing has to be done.
const CACHED: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Debug, Default)]
struct Request {
    yes: bool,
    as_user: bool,
    json: Option<PathBuf>,
    root: Option<PathBuf>,
    program: Option<PathBuf>,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some(request) = parse(arguments)? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let place = std::env::temp_dir().join(format!("lathe-demo-{}", std::process::id()));
    let result = demo(&request, &place);
    // What is left there is worth nothing without this process.
    drop(fs::remove_dir_all(&place));
    result.map(|()| ExitCode::SUCCESS)
}

fn parse(arguments: &[String]) -> Result<Option<Request>> {
    let mut request = Request::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut path = || -> Result<Option<PathBuf>> {
            let value = words.next().with_context(|| format!("`{word}` needs a value"))?;
            Ok(Some(std::path::absolute(value).context("make a path absolute")?))
        };
        match word.as_str() {
            "--yes" | "-y" => request.yes = true,
            "--as-user" => request.as_user = true,
            "--json" => request.json = path()?,
            "--root" => request.root = path()?,
            "--lathe" => request.program = path()?,
            "-h" | "--help" => return Ok(None),
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    Ok(Some(request))
}

fn demo(request: &Request, place: &Path) -> Result<()> {
    install_packages(request.yes)?;
    let program = if let Some(program) = &request.program {
        program.clone()
    } else {
        println!("building lathe in release mode");
        lathe::build_release()?
    };
    println!("looking for base images");
    let registries = registries::prepare(place)?;
    match &registries.standin {
        None => println!("  the public registries answer"),
        Some(address) => println!(
            "  no public registry answers: stand-ins from http://{address}, made of Debian's, npm's and\n  \
             PyPI's packages; their sizes differ from those of the images on Docker Hub"
        ),
    }
    let lathe = Lathe { program, registries: registries.file, root: request.root.clone() };
    println!("what this machine allows (`lathe doctor`):");
    let doctor = lathe.command(&["doctor"]).output()?;
    for line in String::from_utf8_lossy(&doctor.stdout).lines() {
        println!("  {line}");
    }

    let mut summary = Summary { standins: registries.standin.is_some(), ..Summary::default() };
    tour(&lathe, place, &mut summary)?;
    println!("\n{}", lathe.command(&["images"]).read()?);
    println!("\n## Image Size Comparison\n\n{}", summary.table());
    summary.check()?;
    if let Some(file) = &request.json {
        fs::write(file, summary.json()).with_context(|| format!("write {}", file.display()))?;
    }
    if request.as_user {
        again_as_user(&lathe)?;
    }
    println!("the demo is complete: every step did what it should");
    Ok(())
}

/// Builds, builds again, runs, and breaks what has to break.
fn tour(lathe: &Lathe, place: &Path, summary: &mut Summary) -> Result<()> {
    let mut steps =
        Steps::new(2 * examples::ALL.len() + web::SERVERS.len() + web::PROGRAMS.len() + 1);
    println!("\nbuilding the examples:");
    for example in &examples::ALL {
        let first = steps.step(&format!("build {}", example.title()), || {
            lathe.build(example).run()?;
            let size = lathe.size(example.tag)?;
            Ok((summary::human(size), (size, lathe.id(example.tag)?)))
        })?;
        let (size, id) = first.value;
        summary.builds.push(Built { example: *example, first: first.time, again: None, size, id });
    }
    println!("\nbuilding them again: nothing has changed, so nothing is run");
    for built in &mut summary.builds {
        let Built { example, id, .. } = built;
        let again = steps.step(&format!("build {}", example.title()), || {
            lathe.build(example).run()?;
            let now = lathe.id(example.tag)?;
            ensure!(now == *id, "the image has changed: {now} after {id}");
            Ok((String::new(), ()))
        })?;
        ensure!(again.time < CACHED, "{:.1} s: not from the cache", again.time.as_secs_f64());
        built.again = Some(again.time);
    }
    println!("\na failing test must fail the build:");
    steps.step("build testing, with a wrong test", || break_a_test(lathe, place))?;
    println!("\nrunning them:");
    for server in &web::SERVERS {
        let answer = steps.step(&server.title(), || server.visit(lathe))?;
        summary.answers.push((server.example.folder, answer.value));
    }
    for program in &web::PROGRAMS {
        steps.step(&program.title(), || program.run(lathe))?;
    }
    Ok(())
}

/// Builds a copy of the example whose production stage wants its tests to pass, with one that cannot.
fn break_a_test(lathe: &Lathe, place: &Path) -> Result<(String, ())> {
    let copy = place.join("testing");
    Cmd::new("cp").arg("-R").arg(examples::TESTING.context()).arg(&copy).run()?;
    let test = copy.join("tests/test_wrong.py");
    fs::write(&test, "def test_of_a_wrong_price():\n    assert 2 + 2 == 5\n")
        .with_context(|| format!("write {}", test.display()))?;
    let wrong = Example { tag: "demo-testing:wrong", ..examples::TESTING };
    let mut arguments = wrong.arguments();
    arguments.pop();
    let command = lathe.command(&["build", "--progress", "plain"]).args(lathe::lent());
    let command = command.args(arguments).arg(&copy);
    let output = command.output()?;
    ensure!(!output.status.success(), "`{}` succeeded although a test fails", command.line());
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        said.contains("test_of_a_wrong_price"),
        "`{}` does not show which test failed:\n{said}",
        command.line()
    );
    ensure!(lathe.id(wrong.tag).is_err(), "there is an image although its tests failed");
    Ok(("it does".to_owned(), ()))
}

fn install_packages(yes: bool) -> Result<()> {
    let missing = packages::missing(&packages::TO_RUN);
    if missing.is_empty() {
        return Ok(());
    }
    println!("Debian packages that lathe makes use of and that are not installed:");
    for (name, reason) in &missing {
        println!("  {name:<16} {reason}");
    }
    if !sh::is_root() {
        println!("going on without: only root can install them\n");
        return Ok(());
    }
    if yes || confirm("install them with apt-get?")? {
        packages::install(&missing);
    } else {
        println!("going on without\n");
    }
    Ok(())
}

fn confirm(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{question} there is nobody to ask: say --yes");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush().context("write to the terminal")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Runs this program again as a normal user, with the same `lathe` and the user's own store.
fn again_as_user(lathe: &Lathe) -> Result<()> {
    ensure!(sh::is_root(), "--as-user is for root: a normal user only leaves it out");
    println!("\n# Once more, as a normal user\n");
    let user = user::ensure()?;
    let program = std::env::current_exe().context("find the path of this program")?;
    user.command(&program)?.args(["demo", "--yes", "--lathe"]).arg(&lathe.program).stream()
}
