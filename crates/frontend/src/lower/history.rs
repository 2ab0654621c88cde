//! The text of a history item, as BuildKit writes it: tools read it.

use lathe_dockerfile::CommandLine;

/// Returns the text of a `RUN`: the visible arguments, then the command line.
pub(super) fn run(args: &[String], visible: &[(String, String)]) -> String {
    let mut words = Vec::with_capacity(args.len() + visible.len() + 3);
    words.push("RUN".to_owned());
    if !visible.is_empty() {
        words.push(format!("|{}", visible.len()));
        words.extend(visible.iter().map(|(name, value)| format!("{name}={value}")));
    }
    words.extend_from_slice(args);
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Returns the text of a `COPY` or `ADD`.
pub(super) fn copy(
    keyword: &str,
    owner: Option<&str>,
    mode: Option<&str>,
    sources: &[String],
    destination: &str,
) -> String {
    let mut text = keyword.to_owned();
    for (flag, value) in [("--chown", owner), ("--chmod", mode)] {
        if let Some(value) = value {
            text.extend([" ", flag, "=", value]);
        }
    }
    for word in sources.iter().map(String::as_str).chain([destination, "# buildkit"]) {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// Returns the text of a `CMD` or `ENTRYPOINT`, as Go prints a list of quoted strings.
pub(super) fn command(keyword: &str, args: &[String]) -> String {
    let quoted: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    format!("{keyword} [{}]", quoted.join(" "))
}

/// Returns the arguments of a command line; the shell form goes to `shell`.
pub(super) fn with_shell(command: &CommandLine, shell: Vec<String>) -> Vec<String> {
    match (command, command.shell_argument()) {
        (CommandLine::Exec(args), _) => args.clone(),
        (CommandLine::Shell(text, _), argument) => {
            let mut args = shell;
            args.push(argument.unwrap_or_else(|| text.clone()));
            args
        }
    }
}
