//! A place of its own for a test that runs the program as a user does: home, store, context.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    image::Image,
    normal_user::{User, caller, ensure_user},
};

/// Seconds after which a command hangs for sure.
const PATIENCE: &str = "180";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom a sandbox runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Whoever runs the tests.
    Caller,
    /// A normal user. `None` from [`Sandbox::new`] where the tests run as one already.
    NormalUser,
}

/// A folder with home, store, build context and settings; it goes when it drops, and with it all
/// containers in it. At its end the store must be sound.
#[derive(Debug)]
pub struct Sandbox {
    folder: tempfile::TempDir,
    program: PathBuf,
    user: User,
    caller: User,
    commands: AtomicU32,
}

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    folder: String,
}

/// A build that was successful, with the image read back and checked.
#[derive(Debug)]
pub struct Built {
    /// What the command said.
    pub output: Output,
    /// What was built.
    pub image: Image,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Known, and not run.
    Unused,
    /// Its result was there.
    Cached,
    /// Done.
    Ran,
    /// Not successful.
    Failed,
}

/// The steps of a build and what became of them, in the order of events.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What the command said.
    pub output: Output,
    /// Each step's name and fate.
    pub steps: Vec<(String, Fate)>,
    /// Names with `start` or `end`, as they happened.
    pub order: Vec<(String, &'static str)>,
}

/// Returns the name of the running test.
pub fn test_name() -> String {
    thread::current().name().unwrap_or("test").to_owned()
}

/// Returns a program that every user can execute: the same one, or where a folder on the way to it
/// is closed, as the home of root is, a copy, made once for each process.
fn within_reach(program: &Path) -> Result<PathBuf> {
    static COPY: Mutex<Option<(PathBuf, PathBuf)>> = Mutex::new(None);
    let is_open = |folder: &Path| {
        fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    if program.ancestors().skip(1).all(is_open) {
        return Ok(program.to_owned());
    }
    let mut made = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, copy)) = made.as_ref().filter(|(of, _)| of == program) {
        return Ok(copy.clone());
    }
    let folder = std::env::temp_dir().join(format!("lathe-program-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    let copy = folder.join("lathe");
    fs::copy(program, &copy).with_context(|| format!("copy {}", program.display()))?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    *made = Some((program.to_owned(), copy.clone()));
    Ok(copy)
}

/// Says that the running test cannot run here.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skip(reason: &str) {
    eprintln!("SKIP {}: {reason}", test_name());
}

impl Sandbox {
    /// Makes one for a program, with `docker.io` answered by a registry on this machine. `None`,
    /// after a line that says why, where it cannot be.
    pub fn new(program: &Path, registry: &str, user: As) -> Option<Self> {
        let sandbox = Self::try_new(program, registry, user);
        sandbox.unwrap_or_else(|error| {
            skip(&format!("{error:#}"));
            None
        })
    }

    fn try_new(program: &Path, registry: &str, user: As) -> Result<Option<Self>> {
        let caller = caller()?;
        let user = match user {
            As::Caller => caller,
            // The same scenario runs as the caller.
            As::NormalUser if caller.uid != 0 => return Ok(None),
            As::NormalUser => ensure_user()?,
        };
        // Short: sockets below it have at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("lt-").tempdir().context("make a folder")?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let program = if user == caller { program.to_owned() } else { within_reach(program)? };
        let sandbox = Self { folder, program, user, caller, commands: AtomicU32::new(0) };
        sandbox.own(sandbox.folder.path())?;
        for name in ["home", "config", "data", "cache", "run", "tmp", "context"] {
            let path = sandbox.path(name);
            fs::create_dir(&path)?;
            sandbox.own(&path)?;
        }
        fs::set_permissions(sandbox.path("run"), Permissions::from_mode(0o700))?;
        let mirror = format!("{{ location = \"{registry}\", plain-http = true }}");
        let text = format!("[registry.\"docker.io\"]\nmirrors = [{mirror}]\n");
        fs::write(sandbox.path("registries.toml"), text)?;
        sandbox.own(&sandbox.path("registries.toml"))?;
        Ok(Some(sandbox))
    }

    /// Returns a path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the store's folder.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Returns the build context's folder.
    pub fn context(&self) -> PathBuf {
        self.path("context")
    }

    /// Tells whether the program runs as root here.
    pub fn is_root(&self) -> bool {
        self.user.uid == 0
    }

    /// Writes the Dockerfile.
    pub fn dockerfile(&self, text: &str) -> &Self {
        self.file("Dockerfile", text)
    }

    /// Writes a file of the context, with the folders to it.
    pub fn file(&self, name: &str, data: impl AsRef<[u8]>) -> &Self {
        let path = self.parent_made(name);
        fs::write(&path, data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.own(&path).expect("own files can be given away");
        self
    }

    /// Makes a folder of the context.
    pub fn dir(&self, name: &str) -> &Self {
        let path = self.parent_made(name);
        fs::create_dir_all(&path).expect("the context can be written to");
        self.own(&path).expect("own files can be given away");
        self
    }

    /// Makes a symbolic link in the context.
    pub fn symlink(&self, name: &str, target: &str) -> &Self {
        let path = self.parent_made(name);
        symlink(target, path).expect("the context can be written to");
        self
    }

    /// Changes the permissions of a file of the context.
    pub fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.context().join(name), Permissions::from_mode(mode))
            .expect("own files can be changed");
        self
    }

    fn parent_made(&self, name: &str) -> PathBuf {
        let mut folder = self.context();
        let parts: Vec<&str> = name.split('/').collect();
        let (last, parents) = parts.split_last().expect("a name has a part");
        for part in parents {
            folder.push(part);
            if !folder.exists() {
                fs::create_dir(&folder).expect("the context can be written to");
                self.own(&folder).expect("own files can be given away");
            }
        }
        folder.join(last)
    }

    fn own(&self, path: &Path) -> Result<()> {
        if self.user != self.caller {
            chown(path, Some(self.user.uid), Some(self.user.gid))
                .or_else(|_| lchown(path, Some(self.user.uid), Some(self.user.gid)))?;
        }
        Ok(())
    }

    /// Returns a command of the program, with an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.prepare(&mut command);
        command.arg("--root").arg(self.store()).args(arguments);
        command
    }

    /// Sets environment, folder and user of a command.
    pub fn prepare(&self, command: &mut Command) {
        command.env_clear().env("PATH", PATH).current_dir(self.folder.path());
        let folders = [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
            ("LATHE_REGISTRIES_CONFIG", "registries.toml"),
        ];
        for (name, folder) in folders {
            command.env(name, self.path(folder));
        }
        if self.user != self.caller {
            command.uid(self.user.uid).gid(self.user.gid);
        }
    }

    /// Runs the program.
    pub fn lathe(&self, arguments: &[&str]) -> Output {
        self.run(&self.command(arguments), b"")
    }

    /// Runs the program with variables in its environment.
    pub fn lathe_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.run(&command, b"")
    }

    /// Runs the program with something to read.
    pub fn lathe_reading(&self, input: &[u8], arguments: &[&str]) -> Output {
        self.run(&self.command(arguments), input)
    }

    /// Runs a command to its end. Its ends are files, so that nothing that it leaves running can
    /// hold this test up.
    pub fn run(&self, command: &Command, input: &[u8]) -> Output {
        self.try_run(command, input).unwrap_or_else(|error| panic!("{command:?}: {error:#}"))
    }

    fn try_run(&self, command: &Command, input: &[u8]) -> Result<Output> {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let end = |name: &str| self.path(&format!("tmp/{name}-{number}"));
        let mut bounded = Command::new("timeout");
        bounded.args(["--foreground", "-k", "5", PATIENCE]).arg(command.get_program());
        bounded.args(command.get_args());
        self.prepare(&mut bounded);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                bounded.env(name, value);
            }
        }
        fs::write(end("in"), input)?;
        bounded.stdin(File::open(end("in"))?);
        bounded.stdout(File::create(end("out"))?).stderr(File::create(end("err"))?);
        let status = bounded.status()?;
        let line: Vec<String> =
            command.get_args().skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
        let read = |name: &str| -> Result<String> {
            Ok(String::from_utf8_lossy(&fs::read(end(name))?).into_owned())
        };
        Ok(Output {
            line: line.join(" "),
            code: status.code().unwrap_or(255),
            stdout: read("out")?,
            stderr: read("err")?,
            folder: self.folder.path().to_string_lossy().into_owned(),
        })
    }

    /// Runs `lathe build` on the context, without a look at how it ends.
    pub fn try_build(&self, arguments: &[&str]) -> Output {
        self.try_build_with(&[], arguments)
    }

    /// The same with variables in the environment.
    pub fn try_build_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let context = self.context().to_string_lossy().into_owned();
        let metadata = self.metadata().to_string_lossy().into_owned();
        let mut all = vec!["build", "--metadata-file", &metadata];
        all.extend_from_slice(arguments);
        all.push(&context);
        self.lathe_with(variables, &all)
    }

    /// Builds the context and reads the image back, with all digests checked.
    #[track_caller]
    pub fn build(&self, arguments: &[&str]) -> Built {
        self.build_with(&[], arguments)
    }

    /// The same with variables in the environment.
    #[track_caller]
    pub fn build_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Built {
        let output = self.try_build_with(variables, arguments).success();
        let image = self.last_image().unwrap_or_else(|error| panic!("{error:#}\n{output:?}"));
        Built { output, image }
    }

    /// Reads the image that was built last.
    pub fn last_image(&self) -> Result<Image> {
        let metadata: Value = serde_json::from_slice(&fs::read(self.metadata())?)?;
        let digest = metadata["containerimage.digest"].as_str().context("containerimage.digest")?;
        let id = metadata["containerimage.config.digest"].as_str();
        let saved = || {
            let file = self.path("tmp/saved.tar");
            let name = id.context("containerimage.config.digest")?;
            self.lathe(&["save", "-o", &file.to_string_lossy(), name]).success();
            fs::read(&file).with_context(|| file.display().to_string())
        };
        let image = if self.store().join("blobs").join(digest.replace(':', "/")).exists() {
            Image::from_store(&self.store(), digest, &saved)?
        } else {
            // An output has another form of the image, and so another manifest.
            Image { digest: digest.to_owned(), ..Image::from_oci_archive(&saved()?)? }
        };
        anyhow::ensure!(id == Some(image.id.as_str()), "{metadata}");
        Ok(image)
    }

    fn metadata(&self) -> PathBuf {
        self.path("metadata.json")
    }

    /// Builds the context and returns what happened to each step.
    pub fn trace(&self, arguments: &[&str]) -> Trace {
        let mut all = vec!["--progress", "rawjson"];
        all.extend_from_slice(arguments);
        Trace::read(self.try_build(&all))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let listed = self.lathe(&["ps", "-aq"]);
        let containers: Vec<&str> = listed.stdout.split_whitespace().collect();
        if !containers.is_empty() {
            self.lathe(&[&["rm", "-f"], containers.as_slice()].concat());
        }
        let check = self.store().exists().then(|| self.lathe(&["system", "check"]));
        if self.caller.uid != 0 {
            // Files of subordinate ids go in a user namespace only; without any there are none.
            let mut remove = Command::new("unshare");
            remove.args(["--map-auto", "--map-root-user", "--", "rm", "-rf"]).arg(self.store());
            drop(remove.stderr(Stdio::null()).status());
        }
        if let Some(check) = check
            && !thread::panicking()
        {
            assert_eq!(check.code, 0, "the store is not sound: {check:?}");
        }
    }
}

#[expect(clippy::return_self_not_must_use, reason = "checks, chained for their effect")]
impl Output {
    /// Fails the test unless the command was successful.
    #[track_caller]
    pub fn success(self) -> Self {
        self.failure(0)
    }

    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub fn failure(self, code: i32) -> Self {
        let Self { line, code: got, stdout, stderr, .. } = &self;
        assert_eq!(*got, code, "`lathe {line}` ended with {got}\n{stdout}\n{stderr}");
        self
    }

    /// Fails the test unless standard error has this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "no {text:?} from `lathe {}`:\n{}",
            self.line,
            self.stderr
        );
        self
    }

    /// Fails the test if standard error has this text.
    #[track_caller]
    pub fn says_not(&self, text: &str) -> &Self {
        assert!(
            !self.stderr.contains(text),
            "{text:?} from `lathe {}`:\n{}",
            self.line,
            self.stderr
        );
        self
    }

    /// Returns standard error with what differs from run to run named: paths, digests, times.
    pub fn normalized(&self) -> String {
        let mut text = self.stderr.replace(&self.folder, "[SANDBOX]");
        text = replace_runs(&text, "sha256:", |c| c.is_ascii_hexdigit(), "sha256:[DIGEST]");
        text.lines().map(|line| times_named(line) + "\n").collect()
    }
}

/// Replaces a word and the characters after it that belong to it.
fn replace_runs(text: &str, word: &str, belongs: fn(char) -> bool, name: &str) -> String {
    let mut parts = text.split(word);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(name);
        out.push_str(part.trim_start_matches(belongs));
    }
    out
}

/// Names the words of a line that are seconds.
fn times_named(line: &str) -> String {
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| {
            let number = word.strip_suffix('s').unwrap_or(word);
            let time = number.contains('.') && number.parse::<f64>().is_ok();
            if time { "[TIME]" } else { word }
        })
        .collect();
    words.join(" ")
}

impl Trace {
    fn read(output: Output) -> Self {
        let mut steps: Vec<(String, Fate)> = Vec::new();
        let mut order = Vec::new();
        for line in output.stderr.lines() {
            let Ok(document) = serde_json::from_str::<Value>(line) else { continue };
            let vertexes = document["vertexes"].as_array().cloned().unwrap_or_default();
            for vertex in vertexes {
                let Some(name) = vertex["name"].as_str() else { continue };
                let fate = if vertex["error"].is_string() {
                    Fate::Failed
                } else if vertex["cached"] == true {
                    Fate::Cached
                } else if vertex["completed"].is_string() {
                    Fate::Ran
                } else {
                    Fate::Unused
                };
                if fate != Fate::Unused {
                    order.push((name.to_owned(), "end"));
                } else if vertex["started"].is_string() {
                    order.push((name.to_owned(), "start"));
                }
                match steps.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = fate,
                    None => steps.push((name.to_owned(), fate)),
                }
            }
        }
        Self { output, steps, order }
    }

    /// Fails the test unless the build was successful.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> Self {
        Self { output: self.output.clone().success(), ..self }
    }

    /// Returns the instructions with this fate, without the part in brackets, and without what is
    /// internal.
    pub fn with(&self, fate: Fate) -> Vec<&str> {
        self.steps
            .iter()
            .filter(|(name, known)| *known == fate && !name.starts_with("[internal]"))
            .map(|(name, _)| name.split_once("] ").map_or(name.as_str(), |(_, rest)| rest))
            .collect()
    }

    /// Returns the instructions that were run.
    pub fn ran(&self) -> Vec<&str> {
        self.with(Fate::Ran)
    }

    /// Tells whether both steps had begun before either ended.
    pub fn overlap(&self, one: &str, two: &str) -> bool {
        let at = |name: &str, what: &str| {
            self.order.iter().position(|(step, event)| step.contains(name) && *event == what)
        };
        let (Some(a), Some(b)) = (at(one, "start"), at(two, "start")) else { return false };
        let (Some(c), Some(d)) = (at(one, "end"), at(two, "end")) else { return false };
        a.max(b) < c.min(d)
    }
}
