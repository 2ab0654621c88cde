//! Hands the graph to the solver and the worker, and tells failures with their lines.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use lathe_container::SharedNetwork;
use lathe_dockerfile::{Diagnostic, Span, suggest};
use lathe_event::{Cancel, Disposition, Event, EventSink};
use lathe_executor::{ControlGroup, Network, ResourceLimits};
use lathe_frontend::ImageTarget;
use lathe_graph::{BuildGraph, Op, SourceOp, VertexId};
use lathe_solver::{Dag, Edge, Load, Mode, Node, NodeId, Solution, SolveError, SolveOptions};
use lathe_source::{Images, Remotes};
use lathe_store::SnapshotId;
use lathe_tree::Timestamp;
use lathe_worker::{BuildNetwork, HOST_GATEWAY, Output, RunOptions, RunPolicy, StoreCache, Worker};

use crate::{
    BuildRequest, Engine, Error, NetworkMode, Result,
    contexts::{Contexts, MAIN, read},
    dockerfile::Source,
    resolve::Resolved,
    time,
};

/// Lines of a failed process that an error shows.
const TAIL_LINES: usize = 20;

/// What is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) graph: &'a BuildGraph,
    pub(crate) target: &'a ImageTarget,
    pub(crate) resolved: &'a Resolved,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub(crate) epoch: Option<i64>,
}

/// How the work is to be done.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    /// Whether anything is run.
    pub(crate) mode: Mode,
    /// Returns the time that each vertex is expected to take.
    pub(crate) weights: &'a (dyn Fn() -> Vec<Duration> + Sync),
    /// Told of each snapshot as soon as a step has made it.
    pub(crate) committed: &'a (dyn Fn(NodeId, SnapshotId) + Sync),
}

/// How the work was done.
pub(crate) struct Solved {
    /// What became of the vertices, also if one failed.
    pub(crate) solution: Solution<Output>,
    /// The vertex that failed.
    pub(crate) failed: Option<usize>,
    /// Whether the target's file tree is there.
    pub(crate) ending: Result<()>,
    /// For each vertex, the files that changed since they were read last, by parts of its key.
    pub(crate) changed: Vec<Vec<(String, Vec<PathBuf>)>>,
}

/// Makes the target's file tree, running as little as possible.
pub(crate) fn solve(
    engine: &Engine,
    request: &BuildRequest,
    inputs: &Contexts,
    plan: &Work<'_>,
    how: How<'_>,
) -> Result<Solved> {
    let Work { graph, target, resolved, epoch } = *plan;
    if !inputs.files.contains_key(MAIN)
        && let Some(span) = user_of_context(graph)
    {
        let message = "there is no build context: only a Dockerfile was given";
        let help = "build a folder, with the Dockerfile of standard input: `lathe build -f - .`";
        return Err(inputs.dockerfile.errors(&[Diagnostic::error(span, message).help(help)]));
    }
    let events = &*engine.images.events;

    // The user's token must not be set by a failing step: whoever asks it wants to know whether
    // the user interrupted.
    let user = &engine.images.cancel;
    let stop = Cancel::new();
    let stop_too = stop.clone();
    let _linked = user.on_cancel(move || stop_too.cancel());

    let run = run_policy(engine, request)?;
    // What is brought ends with the other steps when one of them fails.
    let images = Images { cancel: stop.clone(), ..engine.images.clone() };
    let remotes = Remotes { images: images.clone(), ..inputs.remotes.clone() };
    let worker = Worker {
        graph,
        store: &engine.store,
        snapshots: &engine.snapshots,
        images: &images,
        pinned: &resolved.sources,
        contexts: &inputs.files,
        remotes: &remotes,
        run: &run,
        epoch: epoch.map(Timestamp::from_seconds),
        cancel: &stop,
        committed: how.committed,
        contents: lathe_worker::Contents::default(),
    };
    let cache = StoreCache::new(engine.store.clone(), time::now());
    let options = SolveOptions { jobs: request.jobs, weights: how.weights, mode: how.mode };
    let dag = dag(graph, target);
    let solved = lathe_solver::solve(&dag, &worker, &cache, events, &stop, &options);
    cache.flush()?;
    // A dry run leaves what it found out about files to the build that follows: that one tells
    // which of them changed.
    if how.mode == Mode::Run {
        worker.flush()?;
    }
    let failed = match &solved.ending {
        Err(SolveError::Failed { node, .. }) => Some(node.index()),
        Ok(()) | Err(SolveError::Cancelled) => None,
    };
    let nodes = (0..).map(NodeId).zip(&solved.solution.nodes);
    let changed = nodes.map(|(id, node)| match node.disposition {
        Disposition::Hit => Vec::new(),
        _ => worker.changed_files(id),
    });
    Ok(Solved {
        changed: changed.collect(),
        failed: failed.filter(|_| !user.is_cancelled()),
        ending: match solved.ending {
            Ok(()) => Ok(()),
            Err(_) if user.is_cancelled() => Err(Error::Interrupted),
            Err(SolveError::Cancelled) => Err(Error::Interrupted),
            Err(SolveError::Failed { node, error }) => {
                Err(failure(&inputs.dockerfile, graph, node, error))
            }
        },
        solution: solved.solution,
    })
}

fn dag(graph: &BuildGraph, target: &ImageTarget) -> Dag {
    let node = |(_, vertex): (VertexId, &lathe_graph::Vertex)| Node {
        inputs: vertex
            .inputs
            .iter()
            .map(|input| Edge { node: NodeId(input.vertex.0), by_content: input.by_content })
            .collect(),
        ignore_cache: vertex.meta.ignore_cache,
        load: load(&vertex.op),
    };
    let roots = target.vertex.iter().map(|vertex| NodeId(vertex.0)).collect();
    Dag { nodes: graph.vertices().map(node).collect(), roots }
}

/// Returns what an operation mostly does: bring something, look at a folder, or compute.
const fn load(op: &Op) -> Load {
    match op {
        Op::Source(SourceOp::Local { .. }) => Load::Look,
        Op::Source(SourceOp::Image { .. } | SourceOp::Http(_) | SourceOp::Git(_)) => Load::Network,
        Op::Exec(_) | Op::File(_) | Op::Merge(_) => Load::Processor,
    }
}

/// Returns the place of the first instruction that reads the build context, if any does.
fn user_of_context(graph: &BuildGraph) -> Option<Span> {
    let is_main = |op: &Op| matches!(op, Op::Source(SourceOp::Local { name }) if name == MAIN);
    let (main, _) = graph.vertices().find(|(_, vertex)| is_main(&vertex.op))?;
    let uses = |vertex: &lathe_graph::Vertex| vertex.inputs.iter().any(|i| i.vertex == main);
    let (_, user) = graph.vertices().find(|(_, vertex)| uses(vertex))?;
    let (start, end) = user.meta.span?;
    Some(Span::new(start, end))
}

fn run_policy(engine: &Engine, request: &BuildRequest) -> Result<RunPolicy> {
    // A machine without name servers has none to lend.
    let resolv_conf = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    Ok(RunPolicy {
        network: network(request, resolv_conf.clone(), engine.images.events.clone()),
        certificates: request.run.certificates.as_deref().map(read).transpose()?,
        resolv_conf,
        options: options(engine, request),
    })
}

/// Returns what processes are lent; without limits, and with a word about it, where this machine
/// cannot set them.
fn options(engine: &Engine, request: &BuildRequest) -> RunOptions {
    let mut options = request.run.options.clone();
    if options.has_limits()
        && let Err(unavailable) =
            ControlGroup::create(options.cgroup_parent.as_deref(), &options.limits)
    {
        let text = format!("RUN steps have no limits: {unavailable}");
        engine.images.events.emit(Event::Note(text.into()));
        (options.limits, options.cgroup_parent) = (ResourceLimits::default(), None);
    }
    options
}

/// Returns what makes the network of the build's processes, once, when the first one starts.
fn network(
    request: &BuildRequest,
    resolv_conf: Vec<u8>,
    events: Arc<dyn EventSink>,
) -> Box<dyn Fn() -> BuildNetwork + Send + Sync> {
    let shared: OnceLock<Option<SharedNetwork>> = OnceLock::new();
    let mode = request.run.network;
    let wants_host = request.run.options.hosts.iter().any(|(_, address)| address == HOST_GATEWAY);
    let own = move |network: Network| BuildNetwork {
        gateway: (network == Network::Host).then_some(Ipv4Addr::LOCALHOST.into()),
        network,
        resolv_conf: resolv_conf.clone(),
    };
    Box::new(move || match mode {
        NetworkMode::Host => own(Network::Host),
        NetworkMode::None => own(Network::None),
        NetworkMode::Default => {
            let shared = shared.get_or_init(|| match lathe_container::build_network() {
                Ok(network) => {
                    if wants_host {
                        let text = "--add-host: the network of RUN steps has no address for the \
                                    host; the name is left out (use `--network host`)";
                        events.emit(Event::Note(text.into()));
                    }
                    Some(network)
                }
                Err(unavailable) => {
                    let text = format!(
                        "RUN steps use the host's network: {} ({})",
                        unavailable.reason, unavailable.fix
                    );
                    events.emit(Event::Note(text.into()));
                    None
                }
            });
            match shared {
                Some(network) => BuildNetwork {
                    network: Network::Join(network.path()),
                    resolv_conf: network.resolv_conf().into_bytes(),
                    gateway: None,
                },
                None => own(Network::Host),
            }
        }
    })
}

fn failure(source: &Source, graph: &BuildGraph, node: NodeId, error: lathe_worker::Error) -> Error {
    let vertex = graph.vertex(VertexId(node.0));
    let span = vertex.meta.span.map(|(start, end)| Span::new(start, end));
    match (error, span) {
        (lathe_worker::Error::Cancelled, _) => Error::Interrupted,
        (lathe_worker::Error::Exit { command, code, tail }, Some(span)) => {
            let excerpt = source.excerpt(span);
            let rendered = exit_text(&command, code, &tail, &excerpt);
            Error::Step { rendered, code: Some(code) }
        }
        (lathe_worker::Error::MissingSource { path, place, near, ignored_by }, Some(span)) => {
            let message = format!("there is no `{path}` in {place}");
            let finding = Diagnostic::error(span, message);
            let finding = match ignored_by {
                Some(file) => finding.help(format!("`{}` keeps it out", file.display())),
                None => missing_help(finding, &path, &near),
            };
            Error::Step { rendered: source.render(&finding).trim_end().to_owned(), code: None }
        }
        (error, Some(span)) => {
            let finding = Diagnostic::error(span, full_text(&error));
            Error::Step { rendered: source.render(&finding).trim_end().to_owned(), code: None }
        }
        (error, None) => Error::Worker(error),
    }
}

fn exit_text(command: &str, code: i32, tail: &str, excerpt: &str) -> String {
    let lines: Vec<&str> = tail.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let output: Vec<String> = last.iter().map(|line| format!("  | {line}")).collect();
    let mut text = format!("`{command}` ended with exit code {code}\n{}", excerpt.trim_end());
    if !output.is_empty() {
        text = format!("{text}\nlast output:\n{}", output.join("\n"));
    }
    text
}

/// Names that tools give to the folder of what they make: one is often written for another.
const OUTPUT_FOLDERS: [&str; 8] =
    ["dist", "build", "out", "output", "target", "public", "release", "bin"];

/// Offers the paths that exist: the nearest by name, else what lies beside.
fn missing_help(finding: Diagnostic, path: &str, near: &[String]) -> Diagnostic {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let same_name = near.iter().find(|candidate| name(candidate) == name(path));
    let similar = || suggest(path, near.iter().map(String::as_str));
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let same_role = || {
        let is_output = |path: &str| OUTPUT_FOLDERS.contains(&name(path).as_str());
        let candidates = near.iter().filter(|other| is_output(path) && is_output(other));
        candidates.map(String::as_str).find(|other| parent(other) == parent(path))
    };
    let only = || if let [only] = near { Some(only.as_str()) } else { None };
    let beside: Vec<String> = near.iter().take(8).map(|path| format!("`{path}`")).collect();
    match same_name.map(String::as_str).or_else(same_role).or_else(similar).or_else(only) {
        Some(best) if near.len() > 1 => {
            finding.help(format!("did you mean `{best}`? there are {}", beside.join(", ")))
        }
        Some(best) => finding.help(format!("did you mean `{best}`?")),
        None if beside.is_empty() => finding,
        None => finding.help(format!("there are {}", beside.join(", "))),
    }
}

/// Joins an error and its causes.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use lathe_graph::{GraphBuilder, VertexMeta};

    use super::*;

    const TEXT: &str = "FROM busybox AS builder\nRUN npm run build\nCOPY dist /dist\n";

    /// Fails the step on the second line.
    fn check(error: lathe_worker::Error, expected: &[&str]) {
        let source = Source { name: "Dockerfile".to_owned(), text: TEXT.to_owned() };
        let mut graph = GraphBuilder::default();
        let op = Op::Source(SourceOp::Local { name: "context".to_owned() });
        let meta = VertexMeta { span: Some((24, 41)), ..VertexMeta::default() };
        let id = graph.add(op, Vec::new(), meta);
        let text = failure(&source, &graph.finish(), NodeId(id.0), error).to_string();
        for part in expected {
            assert!(text.contains(part), "`{part}` is missing in:\n{text}");
        }
    }

    #[test]
    fn inv_engine_excerpt_a_failed_step_shows_its_line_and_last_output() {
        let error = lathe_worker::Error::Exit {
            command: "npm run build".to_owned(),
            code: 7,
            tail: "one\ntwo\n".to_owned(),
        };
        let expected =
            ["exit code 7", "Dockerfile:2:1", "2 | RUN npm run build", "  | one\n  | two"];
        check(error, &expected);
    }

    #[test]
    fn inv_engine_excerpt_a_missing_path_shows_its_line_and_what_exists() {
        let error = lathe_worker::Error::MissingSource {
            path: "/app/dist".to_owned(),
            place: "stage `builder`".to_owned(),
            near: vec!["/app/node_modules".to_owned(), "/app/build".to_owned()],
            ignored_by: None,
        };
        let expected = [
            "there is no `/app/dist` in stage `builder`",
            "2 | RUN npm run build",
            "did you mean `/app/build`?",
            "`/app/node_modules`",
        ];
        check(error, &expected);
    }

    #[test]
    fn a_path_that_the_ignore_file_keeps_out_is_told_so() {
        let error = lathe_worker::Error::MissingSource {
            path: "node_modules".to_owned(),
            place: "the build context".to_owned(),
            near: Vec::new(),
            ignored_by: Some(".dockerignore".into()),
        };
        check(error, &["`.dockerignore` keeps it out"]);
    }
}
