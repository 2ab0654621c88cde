//! `lathe login` and `lathe logout`. Neither needs the store.

use anyhow::{Context as _, Result, bail};
use lathe_engine::registry::{Client, ClientOptions, Config, CredentialStore, RetryPolicy};
use lathe_event::Cancel;

use super::session::environment;
use crate::{
    args::{LoginArgs, LogoutArgs},
    env::Places,
    term,
};

/// The registry of names without one.
const DOCKER_HUB: &str = "docker.io";

pub(super) fn login(places: &Places, args: &LoginArgs) -> Result<u8> {
    let username = match &args.username {
        Some(username) => username.clone(),
        None if args.password_stdin => bail!("Must provide --username with --password-stdin"),
        None => prompt("Username: ", term::ask)?,
    };
    let password = match (&args.password, args.password_stdin) {
        (Some(_), true) => bail!("--password and --password-stdin are mutually exclusive"),
        (Some(password), false) => {
            term::err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
            password.clone()
        }
        (None, true) => {
            let text = term::read_stdin().context("reading the password from standard input")?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, false) => prompt("Password: ", term::ask_secret)?,
    };
    let server = host(args.server.as_deref());
    client(places)?.login(server, &username, &password)?;
    term::out("Login Succeeded\n")?;
    Ok(0)
}

pub(super) fn logout(places: &Places, args: &LogoutArgs) -> Result<u8> {
    let server = host(args.server.as_deref());
    let text = if client(places)?.logout(server)? {
        format!("Removing login credentials for {server}\n")
    } else {
        format!("Not logged in to {server}\n")
    };
    term::out(&text)?;
    Ok(0)
}

/// The host of a registry that may be typed as a URL (`https://index.docker.io/v1/`).
fn host(server: Option<&str>) -> &str {
    let server = server.unwrap_or(DOCKER_HUB);
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare)
}

fn prompt(question: &str, ask: impl Fn(&str) -> std::io::Result<String>) -> Result<String> {
    if !term::stdin_is_tty() {
        bail!("cannot perform an interactive login from a non TTY device");
    }
    let answer = ask(question).context("reading from the terminal")?;
    if answer.is_empty() {
        bail!("{} is required", question.trim_end_matches(": ").to_lowercase());
    }
    Ok(answer)
}

fn client(places: &Places) -> Result<Client> {
    let environment = environment(places);
    Ok(Client::new(ClientOptions {
        config: Config::load(&environment)?,
        credentials: CredentialStore::new(&environment),
        retry: RetryPolicy::default(),
        cancel: Cancel::new(),
    }))
}
