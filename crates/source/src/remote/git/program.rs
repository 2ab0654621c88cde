//! Running git: nothing of the user's or machine's configuration, no questions, no hooks, and
//! nothing secret on a command line.
//!
//! Git reads configuration from variables of its own (`GIT_CONFIG_COUNT`), which other users
//! cannot see; that is how credentials and everything else get there. The environment has nothing
//! that is not listed here.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::DirBuilder,
    io::{Read, Write as _},
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use lathe_event::Cancel;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::url::{GitUrl, Protocol};
use crate::{Error, Result, remote::SshAccess};

/// Variables of ours that git gets as well: where programs, proxies, certificates and the ssh
/// agent are.
const INHERITED: [&str; 13] = [
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSH_AUTH_SOCK",
    "TMPDIR",
];

/// Configuration of every call.
const CONFIGURATION: [(&str, &str); 14] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.autocrlf", "false"),
    ("core.symlinks", "true"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("checkout.workers", "0"),
    ("submodule.recurse", "false"),
    ("transfer.bundleURI", "false"),
    // A connection that brings nothing for a minute is dead.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("safe.directory", "*"),
];

/// Most bytes of git's messages that are kept.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// Most characters of them that are shown.
const SHOWN: usize = 600;

/// Git, with what it is to know of one repository.
pub(super) struct Git<'a> {
    pub(super) url: &'a GitUrl,
    /// An empty folder: `HOME`, and where git runs while there is no repository.
    pub(super) home: &'a Path,
    /// Where keys of ssh hosts are remembered.
    pub(super) known_hosts: &'a Path,
    /// `Authorization` for the origin of the URL.
    pub(super) authorization: Option<String>,
    pub(super) ssh: &'a SshAccess,
    pub(super) cancel: &'a Cancel,
}

/// One call of git.
#[derive(Default)]
pub(super) struct Call<'a> {
    /// What the user gets by it, for errors: `fetch`.
    pub(super) action: &'static str,
    /// The repository's own folder.
    pub(super) git_dir: Option<&'a Path>,
    /// Where the files are.
    pub(super) work_tree: Option<&'a Path>,
    /// Another index than the repository's.
    pub(super) index: Option<&'a Path>,
    /// Bytes for its standard input.
    pub(super) input: Option<Vec<u8>>,
}

impl Git<'_> {
    /// Runs git; returns what it writes to its standard output.
    ///
    /// # Errors
    /// [`Error::Git`] with git's own words, [`Error::NoGit`] if it is not installed.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        call: &Call<'_>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut command = self.command(call);
        command.args(arguments);
        let failed = |source| Error::Io { action: "run", subject: "git".to_owned(), source };
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoGit,
            _ => failed(error),
        })?;
        let finished = self.wait(child, call.input.as_deref()).map_err(failed)?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if finished.status.success() {
            return Ok(finished.output);
        }
        Err(Error::Git {
            action: call.action,
            url: self.url.text.clone(),
            message: self.message(&finished),
        })
    }

    /// As [`Git::run`], for output that is one word.
    pub(super) fn word<S: AsRef<OsStr>>(
        &self,
        call: &Call<'_>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let output = self.run(call, arguments)?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    fn command(&self, call: &Call<'_>) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let allowed = match self.url.protocol {
            Protocol::File => "file:http:https:ssh:git",
            Protocol::Web | Protocol::Ssh | Protocol::Git => "http:https:ssh:git",
        };
        command
            .env("HOME", self.home)
            .env("XDG_CONFIG_HOME", self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ADVICE", "0")
            .env("GIT_CEILING_DIRECTORIES", self.home.parent().unwrap_or(self.home))
            .env("GIT_ALLOW_PROTOCOL", allowed)
            .env("GIT_SSH_VARIANT", "ssh")
            .env("GIT_SSH_COMMAND", self.ssh_command())
            .current_dir(call.work_tree.unwrap_or(self.home));
        match self.ssh {
            SshAccess::Environment => {}
            SshAccess::Agent(socket) => {
                command.env("SSH_AUTH_SOCK", socket);
            }
            SshAccess::Keys(_) => {
                command.env_remove("SSH_AUTH_SOCK");
            }
        }
        self.configure(&mut command);
        if let Some(path) = call.git_dir {
            command.env("GIT_DIR", path);
        }
        if let Some(path) = call.work_tree {
            command.env("GIT_WORK_TREE", path);
        }
        if let Some(path) = call.index {
            command.env("GIT_INDEX_FILE", path);
        }
        // A group of its own, so that what git starts can be stopped with it.
        command
            .process_group(0)
            .stdin(if call.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn configure(&self, command: &mut Command) {
        let mut settings: Vec<(String, String)> = CONFIGURATION
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        if let Some(authorization) = &self.authorization {
            let key = format!("http.{}/.extraHeader", self.url.origin);
            settings.push((key, format!("Authorization: {authorization}")));
            // Git would take the header along to wherever it is sent.
            settings.push(("http.followRedirects".to_owned(), "false".to_owned()));
        }
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
    }

    /// Returns the program for ssh: no configuration and no questions. The key of a host is
    /// remembered when it is seen for the first time, and must stay the same from then on.
    fn ssh_command(&self) -> OsString {
        let mut known = vec![self.known_hosts.to_owned()];
        // ssh would look for it in the home of the user that it runs as, which in a user namespace
        // is root.
        known
            .extend(std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh/known_hosts")));
        // Within `'…'` for the shell and `"…"` for ssh.
        let quoted = |path: &PathBuf| {
            let plain = |text: &&str| !text.contains(['"', '\'', '\\', '%', '$']);
            path.to_str().filter(plain).map(|path| format!("\"{path}\""))
        };
        let known: Vec<String> = known.iter().filter_map(quoted).collect();
        let mut text = format!(
            "ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 \
             -o StrictHostKeyChecking=accept-new -o 'UserKnownHostsFile={}'",
            known.join(" ")
        );
        if let SshAccess::Keys(keys) = self.ssh {
            text.push_str(" -o IdentitiesOnly=yes");
            for key in keys.iter().filter_map(quoted) {
                write!(text, " -o 'IdentityFile={key}'").expect("a String takes everything");
            }
        }
        text.into()
    }

    /// Feeds and drains a child until it ends; a user who has enough ends it and its children.
    fn wait(&self, mut child: Child, input: Option<&[u8]>) -> std::io::Result<Finished> {
        let pid = Pid::from_child(&child);
        let running = Arc::new(Mutex::new(Some(pid)));
        let killed = Arc::clone(&running);
        let guard = self.cancel.on_cancel(move || {
            if let Some(pid) = *killed.lock().unwrap_or_else(PoisonError::into_inner) {
                // It may have ended by itself.
                let _gone = rustix::process::kill_process_group(pid, Signal::KILL);
            }
        });
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (output, messages) = thread::scope(|scope| {
            let messages = scope.spawn(move || stderr.map_or_else(Vec::new, read_messages));
            scope.spawn(move || {
                if let Some((mut stdin, input)) = stdin.zip(input) {
                    // A child that does not want to read says why.
                    let _written = stdin.write_all(input);
                }
            });
            let mut output = Vec::new();
            let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut output));
            (read.map(|_| output), messages.join().unwrap_or_default())
        });
        // The number is the child's until it is waited for: no other process is hit by the kill.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while rustix::process::waitid(WaitId::Pid(pid), options)
            .is_err_and(|errno| errno == rustix::io::Errno::INTR)
        {}
        *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let status = child.wait()?;
        drop(guard);
        Ok(Finished { status, output: output?, messages })
    }

    /// Makes git's messages fit for an error: what is wrong, in one line, without secrets.
    fn message(&self, finished: &Finished) -> String {
        let text = String::from_utf8_lossy(&finished.messages);
        let mut lines: Vec<&str> = text.split(['\n', '\r']).filter_map(worth_showing).collect();
        lines.dedup();
        // Git says this after whatever ssh has said.
        if lines.len() > 1 {
            lines.retain(|line| *line != "Could not read from remote repository.");
        }
        let mut message = lines.join("; ");
        if let Some(secret) = &self.authorization {
            let value = secret.split_once(' ').map_or(secret.as_str(), |(_, value)| value);
            message = message.replace(value, "xxxxx");
        }
        let mut message: String =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
        if message.is_empty() {
            message = finished.status.to_string();
        }
        let has = |word: &str| message.contains(word);
        let hint = if has("could not read Username") || has("Authentication failed") || has("401") {
            "; `--secret id=GIT_AUTH_TOKEN,src=FILE` sends the token in FILE"
        } else if self.authorization.is_some() && has("error: 30") {
            "; redirects are not followed with credentials: use the URL that it leads to"
        } else if has("Permission denied (publickey") {
            "; `--ssh default` with an agent or a file gives a key, as does SSH_AUTH_SOCK"
        } else if has("Host key verification failed") {
            "; the host shows another key than before, see `known_hosts`"
        } else {
            ""
        };
        message + hint
    }
}

/// Returns what a line of git's or ssh's messages says; `None` for what is always said.
fn worth_showing(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = ["fatal: ", "error: ", "remote: ", "ERROR: "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line);
    let always = [
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "hint: ",
        "Warning: Permanently added ",
        "@@@",
    ];
    (!line.is_empty() && !always.iter().any(|words| line.starts_with(words))).then_some(line)
}

/// How a child ended.
struct Finished {
    status: ExitStatus,
    output: Vec<u8>,
    messages: Vec<u8>,
}

/// Reads to the end, and keeps the last bytes.
fn read_messages(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * MESSAGE_LIMIT {
            kept.drain(..kept.len() - MESSAGE_LIMIT);
        }
    }
    kept
}

/// Paths of git's that all repositories share.
pub(super) struct Places {
    /// Where the repositories are.
    pub(super) folder: PathBuf,
    pub(super) home: PathBuf,
    pub(super) known_hosts: PathBuf,
}

impl Places {
    /// Makes the folders, below the store's.
    pub(super) fn make(store: &Path) -> Result<Self> {
        let folder = store.join("git");
        let home = folder.join("home");
        // Of private repositories, perhaps: for nobody else.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&home);
        made.map_err(|source| Error::Io {
            action: "make the folder",
            subject: home.display().to_string(),
            source,
        })?;
        let known_hosts = folder.join("known_hosts");
        Ok(Self { folder, home, known_hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, ssh: &SshAccess, authorization: Option<&str>) -> Command {
        let url = GitUrl::parse(url).expect(url);
        let git = Git {
            url: &url,
            home: Path::new("/store/git/home"),
            known_hosts: Path::new("/store/git/known_hosts"),
            authorization: authorization.map(str::to_owned),
            ssh,
            cancel: &Cancel::new(),
        };
        git.command(&Call::default())
    }

    fn value(command: &Command, name: &str) -> Option<String> {
        let (_, value) = command.get_envs().find(|(key, _)| *key == name)?;
        Some(value?.to_string_lossy().into_owned())
    }

    #[test]
    fn credentials_are_in_the_environment_and_for_one_origin() {
        let url = "https://user:pass@h.example:8443/a/b.git";
        let command = check(url, &SshAccess::Environment, Some("Bearer sesame"));
        assert_eq!(command.get_args().count(), 0);
        let count: usize = value(&command, "GIT_CONFIG_COUNT").unwrap().parse().unwrap();
        let setting = |name: &str| {
            (0..count).find_map(|number| {
                let key = value(&command, &format!("GIT_CONFIG_KEY_{number}"))?;
                (key == name).then(|| value(&command, &format!("GIT_CONFIG_VALUE_{number}")))?
            })
        };
        let header = setting("http.https://h.example:8443/.extraHeader");
        assert_eq!(header.as_deref(), Some("Authorization: Bearer sesame"));
        assert_eq!(setting("http.followRedirects").as_deref(), Some("false"));
        assert_eq!(setting("core.hooksPath").as_deref(), Some("/dev/null"));
    }

    #[test]
    fn messages_say_what_is_wrong_and_no_secret() {
        let url = GitUrl::parse("https://h/a.git").unwrap();
        let git = Git {
            url: &url,
            home: Path::new("/h"),
            known_hosts: Path::new("/k"),
            authorization: Some("basic c2VzYW1l".to_owned()),
            ssh: &SshAccess::Environment,
            cancel: &Cancel::new(),
        };
        let check = |messages: &str, expected: &str| {
            let status = std::os::unix::process::ExitStatusExt::from_raw(128 << 8);
            let messages = messages.as_bytes().to_vec();
            let finished = Finished { status, output: Vec::new(), messages };
            assert_eq!(git.message(&finished), expected);
        };
        let access = "fatal: Could not read from remote repository.\n\nPlease make sure you have \
             the correct access rights\nand the repository exists.\n";
        check(
            &format!("ssh: connect to host h port 22: Connection refused\r\n{access}"),
            "ssh: connect to host h port 22: Connection refused",
        );
        check(
            &format!(
                "Warning: Permanently added 'h'.\ngit@h: Permission denied (publickey).\n{access}"
            ),
            "git@h: Permission denied (publickey).; `--ssh default` with an agent or a file gives \
             a key, as does SSH_AUTH_SOCK",
        );
        check(access, "Could not read from remote repository.");
        check("fatal: bad c2VzYW1l\u{1b}[2J\n", "bad xxxxx [2J");
        check("", "exit status: 128");
    }

    #[test]
    fn files_are_reached_only_from_files() {
        let allowed =
            |url| value(&check(url, &SshAccess::Environment, None), "GIT_ALLOW_PROTOCOL").unwrap();
        assert_eq!(allowed("https://h/a"), "http:https:ssh:git");
        assert_eq!(allowed("git@h:a"), "http:https:ssh:git");
        assert!(allowed("file:///a").contains("file"));
    }

    #[test]
    fn ssh_asks_nothing_and_uses_the_keys_that_it_is_given() {
        let agent = SshAccess::Agent("/run/agent".into());
        let command = check("git@h:a", &agent, None);
        assert_eq!(value(&command, "SSH_AUTH_SOCK").as_deref(), Some("/run/agent"));
        let text = value(&command, "GIT_SSH_COMMAND").unwrap();
        assert!(text.starts_with("ssh -F /dev/null -o BatchMode=yes "), "{text}");
        assert!(text.contains("-o StrictHostKeyChecking=accept-new"), "{text}");
        assert!(text.contains("'UserKnownHostsFile=\"/store/git/known_hosts\""), "{text}");
        let keys = SshAccess::Keys(vec!["/my keys/id".into(), "/a'; touch x; '".into()]);
        let command = check("git@h:a", &keys, None);
        assert_eq!(value(&command, "SSH_AUTH_SOCK"), None);
        let text = value(&command, "GIT_SSH_COMMAND").unwrap();
        assert!(
            text.ends_with("-o IdentitiesOnly=yes -o 'IdentityFile=\"/my keys/id\"'"),
            "{text}"
        );
    }
}
