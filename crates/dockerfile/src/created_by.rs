//! The `created_by` lines of an image's history, as `BuildKit` writes them.
//!
//! The front end calls these with expanded values. Tools parse these lines
//! (`docker history` strips `# buildkit`, scanners look for `ADD`), so they
//! are the same to the byte.

use std::fmt::{Display, Write as _};

use crate::ast::{CommandLine, Healthcheck};
use crate::duration;

/// What `BuildKit` puts behind lines that ran through it.
const MARK: &str = " # buildkit";

/// `RUN |1 A=b /bin/sh -c npm ci # buildkit`
///
/// `arguments` are those of the process, the shell included. `build_args` are
/// the `ARG`s in effect, in the order of their declaration.
pub fn run<S: AsRef<str>>(arguments: &[S], build_args: &[(String, String)]) -> String {
    let mut line = "RUN".to_owned();
    if !build_args.is_empty() {
        let _ = write!(line, " |{}", build_args.len());
    }
    for (name, value) in build_args {
        let _ = write!(line, " {name}={value}");
    }
    for argument in arguments {
        let _ = write!(line, " {}", argument.as_ref());
    }
    line + MARK
}

/// The parts of the line of a `COPY` or `ADD`, expanded.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// `COPY` or `ADD`.
    pub keyword: &'a str,
    /// Whether `--parents` is given.
    pub parents: bool,
    /// The value of `--chown`.
    pub chown: Option<&'a str>,
    /// The value of `--chmod`.
    pub chmod: Option<&'a str>,
    /// The sources that are paths or URLs.
    pub sources: &'a [String],
    /// The names of the sources that are heredocs.
    pub heredocs: &'a [String],
    /// The destination.
    pub destination: &'a str,
}

/// `COPY --chown=1:1 package.json ./ # buildkit`
pub fn files(files: &Files<'_>) -> String {
    let mut line = files.keyword.to_owned();
    if files.parents {
        line.push_str(" --parents");
    }
    for (flag, value) in [("chown", files.chown), ("chmod", files.chmod)] {
        if let Some(value) = value {
            let _ = write!(line, " --{flag}={value}");
        }
    }
    for source in files.sources {
        let _ = write!(line, " {source}");
    }
    for name in files.heredocs {
        let _ = write!(line, " <<{name}");
    }
    let _ = write!(line, " {}", files.destination);
    line + MARK
}

/// `ENV A=b C=d`
pub fn env<K: Display, V: Display>(pairs: &[(K, V)]) -> String {
    assignments("ENV", pairs)
}

/// `LABEL a=b`
pub fn label<K: Display, V: Display>(pairs: &[(K, V)]) -> String {
    assignments("LABEL", pairs)
}

fn assignments<K: Display, V: Display>(keyword: &str, pairs: &[(K, V)]) -> String {
    let mut line = keyword.to_owned();
    for (key, value) in pairs {
        let _ = write!(line, " {key}={value}");
    }
    line
}

/// `ARG a=b c`, with the value that is in effect.
pub fn arg(entries: &[(String, Option<String>)]) -> String {
    let mut line = "ARG".to_owned();
    for (name, value) in entries {
        let _ = match value {
            Some(value) => write!(line, " {name}={value}"),
            None => write!(line, " {name}"),
        };
    }
    line
}

/// `CMD ["npm" "start"]`; the shell is part of `arguments`.
pub fn cmd<S: AsRef<str>>(arguments: &[S]) -> String {
    format!("CMD {}", quoted_list(arguments))
}

/// `ENTRYPOINT ["/main"]`; the shell is part of `arguments`.
pub fn entrypoint<S: AsRef<str>>(arguments: &[S]) -> String {
    format!("ENTRYPOINT {}", quoted_list(arguments))
}

/// `EXPOSE [3000/tcp]`
pub fn expose<S: AsRef<str>>(ports: &[S]) -> String {
    plain_list("EXPOSE", ports)
}

/// `VOLUME [/data /logs]`
pub fn volume<S: AsRef<str>>(paths: &[S]) -> String {
    plain_list("VOLUME", paths)
}

/// `SHELL [/bin/bash -c]`
pub fn shell<S: AsRef<str>>(arguments: &[S]) -> String {
    plain_list("SHELL", arguments)
}

/// `WORKDIR /app`: the absolute path.
pub fn workdir(path: &str) -> String {
    format!("WORKDIR {path}")
}

/// `USER node`
pub fn user(user: &str) -> String {
    format!("USER {user}")
}

/// `STOPSIGNAL SIGTERM`
pub fn stop_signal(signal: &str) -> String {
    format!("STOPSIGNAL {signal}")
}

/// `MAINTAINER someone`
pub fn maintainer(name: &str) -> String {
    format!("MAINTAINER {name}")
}

/// `HEALTHCHECK {Test:[CMD-SHELL …] Interval:30s Timeout:3s StartPeriod:0s
/// StartInterval:0s Retries:3}`: how Go prints the structure (`%+v`).
pub fn healthcheck(healthcheck: &Healthcheck) -> String {
    let (mut test, mut intervals, mut retries) = (vec!["NONE"], [None; 4], None);
    if let Healthcheck::Cmd(check) = healthcheck {
        test = match &check.command {
            CommandLine::Shell(text, _) => vec!["CMD-SHELL", text],
            CommandLine::Exec(arguments) => {
                std::iter::once("CMD").chain(arguments.iter().map(String::as_str)).collect()
            }
        };
        intervals = [check.interval, check.timeout, check.start_period, check.start_interval];
        retries = check.retries;
    }
    let [interval, timeout, start_period, start_interval] =
        intervals.map(|interval| duration::format(interval.unwrap_or_default()));
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{interval} Timeout:{timeout} StartPeriod:{start_period} \
         StartInterval:{start_interval} Retries:{}}}",
        test.join(" "),
        retries.unwrap_or(0)
    )
}

/// Go's `%v` of a list of strings.
fn plain_list<S: AsRef<str>>(keyword: &str, list: &[S]) -> String {
    let list: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
    format!("{keyword} [{}]", list.join(" "))
}

/// Go's `%q` of a list of strings.
fn quoted_list<S: AsRef<str>>(list: &[S]) -> String {
    let list: Vec<String> = list.iter().map(|text| go_string(text.as_ref())).collect();
    format!("[{}]", list.join(" "))
}

/// Go's `%q` of a string.
fn go_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            _ => push_escaped(&mut quoted, c),
        }
    }
    quoted.push('"');
    quoted
}

fn push_escaped(out: &mut String, c: char) {
    let name = match c {
        '\\' => '\\',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        c if (c as u32) < 0x20 || c == '\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", c as u32);
            return;
        }
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04x}", c as u32);
            return;
        }
        c => {
            out.push(c);
            return;
        }
    };
    out.push('\\');
    out.push(name);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        Files, arg, cmd, entrypoint, env, expose, files, healthcheck, label, maintainer, run,
        shell, stop_signal, user, volume, workdir,
    };
    use crate::ast::{CommandLine, Healthcheck, HealthcheckCmd};

    #[test]
    fn lines_are_those_of_buildkit() {
        let shell_run = ["/bin/sh", "-c", "npm ci"];
        assert_eq!(run(&shell_run, &[]), "RUN /bin/sh -c npm ci # buildkit");
        let args = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())];
        assert_eq!(run(&["true"], &args), "RUN |2 A=1 B= true # buildkit");
        assert_eq!(env(&[("PATH", "/a:/b"), ("X", "y z")]), "ENV PATH=/a:/b X=y z");
        assert_eq!(arg(&[("A".to_owned(), None)]), "ARG A");
        assert_eq!(cmd(&["node", "dist/index.js"]), "CMD [\"node\" \"dist/index.js\"]");
        assert_eq!(cmd(&["sh", "-c", "echo \"a\tb\\\""]), r#"CMD ["sh" "-c" "echo \"a\tb\\\""]"#);
        assert_eq!(entrypoint::<&str>(&[]), "ENTRYPOINT []");
        assert_eq!(expose(&["3000/tcp"]), "EXPOSE [3000/tcp]");
        assert_eq!(shell(&["/bin/bash", "-c"]), "SHELL [/bin/bash -c]");
        let copy = Files {
            keyword: "COPY",
            parents: false,
            chown: Some("1000:1000"),
            chmod: None,
            sources: &["package.json".to_owned()],
            heredocs: &["EOF".to_owned()],
            destination: "./",
        };
        assert_eq!(files(&copy), "COPY --chown=1000:1000 package.json <<EOF ./ # buildkit");
    }

    #[test]
    fn every_instruction_has_its_line() {
        let args = [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)];
        assert_eq!(arg(&args), "ARG A=1 B");
        assert_eq!(env(&[("A", "x y"), ("B", "")]), "ENV A=x y B=");
        assert_eq!(label(&[("a.b", "\"q\"")]), "LABEL a.b=\"q\"");
        assert_eq!(cmd::<&str>(&[]), "CMD []");
        assert_eq!(cmd(&["/bin/sh", "-c", "é\n\u{1}"]), r#"CMD ["/bin/sh" "-c" "é\n\x01"]"#);
        assert_eq!(entrypoint(&["/main", "-v"]), "ENTRYPOINT [\"/main\" \"-v\"]");
        assert_eq!(expose(&["80/tcp", "53/udp"]), "EXPOSE [80/tcp 53/udp]");
        assert_eq!(user("1000:1000"), "USER 1000:1000");
        assert_eq!(volume(&["/a", "/b c"]), "VOLUME [/a /b c]");
        assert_eq!(stop_signal("SIGQUIT"), "STOPSIGNAL SIGQUIT");
        assert_eq!(workdir("/app"), "WORKDIR /app");
        assert_eq!(maintainer("me <m@e>"), "MAINTAINER me <m@e>");
    }

    #[test]
    fn health_checks_are_printed_as_go_prints_them() {
        let none = "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s \
                    StartInterval:0s Retries:0}";
        assert_eq!(healthcheck(&Healthcheck::None), none);
        let mut check = HealthcheckCmd {
            command: CommandLine::Shell("curl -f http://localhost/ || exit 1".to_owned(), vec![]),
            interval: Some(Duration::from_mins(5)),
            timeout: Some(Duration::from_secs(3)),
            start_period: Some(Duration::from_secs(90)),
            start_interval: Some(Duration::from_millis(1500)),
            retries: Some(3),
        };
        let expected = "HEALTHCHECK {Test:[CMD-SHELL curl -f http://localhost/ || exit 1] \
                        Interval:5m0s Timeout:3s StartPeriod:1m30s StartInterval:1.5s Retries:3}";
        assert_eq!(healthcheck(&Healthcheck::Cmd(check.clone())), expected);
        check.command = CommandLine::Exec(vec!["/probe".to_owned(), "-q".to_owned()]);
        let line = healthcheck(&Healthcheck::Cmd(check));
        assert!(line.starts_with("HEALTHCHECK {Test:[CMD /probe -q] Interval:5m0s"), "{line}");
    }
}
