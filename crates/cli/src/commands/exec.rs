//! `lathe exec`.

use anyhow::{Result, bail};
use lathe_engine::container::{Detach, Error, ExecSpec};

use super::{
    Session,
    run::{check_terminal, coded, exit_code},
    run_spec::{stdin, terminal},
};
use crate::{args::ExecArgs, env};

pub(super) fn exec(session: &Session, args: &ExecArgs) -> Result<u8> {
    if args.privileged {
        bail!("--privileged is not supported yet");
    }
    let [container, command @ ..] = args.rest.as_slice() else {
        bail!("the parser has let too few arguments pass");
    };
    if !args.detach {
        check_terminal(args.interactive, args.tty)?;
    }
    let mut variables = Vec::new();
    for file in &args.env_file {
        variables.extend(env::assignments_of(file)?);
    }
    variables.extend(env::assignments(&args.env));
    let spec = ExecSpec {
        command: command.to_vec(),
        env: variables,
        working_dir: args.workdir.clone(),
        user: args.user.clone(),
        terminal: terminal(args.tty),
        stdin: stdin(args.interactive),
        detach: if args.detach { Detach::Yes } else { Detach::No },
    };
    let containers = session.containers();
    let id = containers.find(container)?.record.id;
    // Docker's 125 is for `run` alone: an exec that does not come to a program ends with 1.
    let failure = |error: Error| match error.exit_code() {
        126 | 127 => coded(error),
        _ => error.into(),
    };
    Ok(exit_code(containers.exec(&id, &spec).map_err(failure)?))
}
