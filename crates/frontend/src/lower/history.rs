//! The text of a history item, as BuildKit writes it: tools read it.

use lathe_dockerfile::CommandLine;

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
