//! The commands: from arguments to requests, and from outcomes to text.
//!
//! Each file is thin: what a command decides is in `args`, what it does in the engine, what it
//! prints in `render`.

mod build;
mod builds;
mod cache_mounts;
mod cache_usage;
mod container_document;
mod containers;
mod doctor;
mod exec;
mod explain;
mod images;
mod info;
mod inspect;
mod login;
mod logs;
mod prune;
mod ps;
mod run;
mod run_spec;
mod session;
mod system;
mod transfer;
mod version;

use anyhow::Result;

use crate::{
    args::{Action, GlobalArgs},
    env::Places,
    term,
};
use session::Session;

/// Does one thing and returns the exit code.
pub(crate) fn dispatch(global: &GlobalArgs, action: Action) -> Result<u8> {
    match action {
        Action::Help(text) => {
            term::out(&text)?;
            Ok(0)
        }
        Action::Version(args) => version::version(&args),
        // Must look at the machine from outside the namespaces.
        Action::Doctor(args) => doctor::doctor(&args, &Places::find(global)?),
        Action::Login(args) => login::login(&Places::find(global)?, &args),
        Action::Logout(args) => login::logout(&Places::find(global)?, &args),
        action => with_store(&Session::open(Places::find(global)?)?, action),
    }
}

fn with_store(session: &Session, action: Action) -> Result<u8> {
    match action {
        Action::Build(args) => build::build(session, &args),
        Action::Run(args) => run::run(session, &args),
        Action::ListContainers(args) => ps::ps(session, &args),
        Action::Logs(args) => logs::logs(session, &args),
        Action::Start(args) => containers::start(session, &args),
        Action::Stop(args) => containers::stop(session, &args),
        Action::Kill(args) => containers::kill(session, &args),
        Action::RemoveContainers(args) => containers::remove(session, &args),
        Action::Wait(args) => containers::wait(session, &args),
        Action::Exec(args) => exec::exec(session, &args),
        Action::Prune(args, scope) => prune::prune(session, &args, scope),
        Action::PruneCache(args) => prune::prune_cache(session, &args),
        Action::CacheUsage(args) => cache_usage::cache_usage(session, &args),
        Action::ListBuilds(args) => builds::list(session, &args),
        Action::BuildLogs(args) => builds::logs(session, &args),
        Action::WhyNotCached(args) => explain::why(session, &args),
        Action::ListCacheMounts(args) => cache_mounts::list(session, &args),
        Action::ExportCacheMount(args) => cache_mounts::export(session, &args),
        Action::ImportCacheMount(args) => cache_mounts::import(session, &args),
        Action::RemoveCacheMounts(args) => cache_mounts::remove(session, &args),
        Action::Describe(args) => info::info(session, &args),
        Action::DiskUsage(args) => system::disk_usage(session, &args),
        Action::Check(args) => system::check(session, &args),
        Action::Images(args) => images::images(session, &args),
        Action::RemoveImages(args) => images::remove(session, &args),
        Action::Tag(args) => images::tag(session, &args),
        Action::History(args) => images::history(session, &args),
        Action::Inspect(args) => inspect::inspect(session, &args),
        Action::Save(args) => transfer::save(session, &args),
        Action::Load(args) => transfer::load(session, &args),
        Action::Pull(args) => transfer::pull(session, &args),
        Action::Push(args) => transfer::push(session, &args),
        Action::Help(_)
        | Action::Version(_)
        | Action::Doctor(_)
        | Action::Login(_)
        | Action::Logout(_) => unreachable!("these are done without the store"),
    }
}
