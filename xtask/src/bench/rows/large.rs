//! Rows g: one layer of 1 GiB, built, written to an archive and pushed.

use std::path::Path;

use anyhow::Result;

use super::World;
use crate::bench::job::{Compression, Job};
use crate::bench::registry::Registry;
use crate::bench::row::{Row, Unit};
use crate::bench::tool::Tool;
use crate::bench::work::Work;
use crate::bench::{floor, measure};
use crate::sh;

/// Where the image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Archive,
    Registry,
}

/// What is measured of a way out.
struct Export {
    id: &'static str,
    what: &'static str,
    way: Way,
    compression: Compression,
    /// The seconds of `BuildKit` elsewhere.
    elsewhere: Option<f64>,
}

const EXPORTS: [Export; 4] = [
    Export {
        id: "g2",
        what: "1 GiB to an OCI archive, gzip",
        way: Way::Archive,
        compression: Compression::Gzip,
        elsewhere: Some(12.6),
    },
    Export {
        id: "g3",
        what: "1 GiB to a registry on this machine, gzip",
        way: Way::Registry,
        compression: Compression::Gzip,
        elsewhere: Some(10.1),
    },
    Export {
        id: "g2z",
        what: "1 GiB to an OCI archive, zstd",
        way: Way::Archive,
        compression: Compression::Zstd,
        elsewhere: None,
    },
    Export {
        id: "g3z",
        what: "1 GiB to a registry on this machine, zstd",
        way: Way::Registry,
        compression: Compression::Zstd,
        elsewhere: None,
    },
];

pub(super) fn all(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Large.folder(world.folder())?;
    let job = Job::new(&context, "large");
    let mut builds: Vec<Vec<f64>> = vec![Vec::new(); world.tools.len()];
    let mut exports = Vec::new();
    for export in &EXPORTS {
        exports.push(measure_export(world, &job, export, &mut builds)?);
    }
    let builds: Vec<Option<f64>> = builds
        .iter()
        .map(|samples| (!samples.is_empty()).then(|| measure::median(samples)))
        .collect();
    let line =
        "cp {}/random.bin {}/text.bin {to}/ & cat {}/random.bin {}/text.bin | sha256sum; wait";
    let to = world.folder().join("floor-large");
    let line = line.replace("{to}", &to.display().to_string());
    let line = line.replace("{}", &context.display().to_string());
    let clean = format!("rm -rf {0}; mkdir {0}", to.display());
    let floor = floor::shell(&line, &clean, world.few())?;
    let mut rows = vec![
        Row::new("g1", "1 GiB in one layer, built", Unit::Seconds, builds)
            .elsewhere(4.34)
            .at_most_of_buildkit(&world.names(), 1.0 / 2.0)
            .floor(Some(floor)),
    ];
    rows.extend(export_rows(world, exports, &context)?);
    Ok(rows)
}

/// Returns the rows of the ways out, with their goals and floors.
fn export_rows(world: &World<'_>, exports: Vec<Measured>, context: &Path) -> Result<Vec<Row>> {
    let buildah = world.names().iter().position(|name| *name == "buildah");
    let gzip = pack(context, Compression::Gzip)?;
    let zstd = pack(context, Compression::Zstd)?;
    let mut rows: Vec<Row> = Vec::new();
    for (export, Measured { figures, sizes }) in EXPORTS.iter().zip(exports) {
        let is_zstd = export.compression == Compression::Zstd;
        let peer = |row: &Row| buildah.and_then(|index| row.figures.get(index).copied().flatten());
        let plain = rows.get(rows.len().wrapping_sub(2)).and_then(peer);
        let mut row = Row::new(export.id, export.what, Unit::Seconds, figures);
        row = match (is_zstd, plain) {
            (true, Some(seconds)) => row.at_most(seconds / 3.0),
            (true, None) => row,
            (false, _) => row.at_most_of(&world.names(), "buildah", 1.0),
        };
        if let Some(seconds) = export.elsewhere {
            row = row.elsewhere(seconds);
        }
        let floor = if is_zstd { zstd } else { gzip };
        let mut note = String::new();
        if !sizes.is_empty() {
            note = format!("archives of {}", sizes.join(", "));
        }
        rows.push(row.floor(floor).note(note));
    }
    Ok(rows)
}

/// What a way out took, for each tool.
struct Measured {
    figures: Vec<Option<f64>>,
    /// How large the archives are.
    sizes: Vec<String>,
}

/// Exports images that were built just before, each in a store that has never compressed anything.
fn measure_export(
    world: &World<'_>,
    job: &Job,
    export: &Export,
    builds: &mut [Vec<f64>],
) -> Result<Measured> {
    let archive = world.folder().join("large.tar");
    let mut sizes = vec![None; world.tools.len()];
    let names = world.names();
    let figures = measure::in_turn(&world.tools, world.rounds.min(2), |tool, _| {
        let index = names.iter().position(|name| *name == tool.name()).unwrap_or(0);
        let store = tool.fresh(world.folder(), "fresh")?;
        builds[index].push(measure::seconds(&store.build(job))?);
        let result = export_once(world, &store, job, export, &archive);
        store.remove();
        if export.way == Way::Archive {
            sizes[index] = std::fs::metadata(&archive).ok().map(|file| file.len());
            sh::remove_file(&archive)?;
        }
        result
    })?;
    let sizes = names
        .iter()
        .zip(sizes)
        .filter_map(|(name, size)| Some(format!("{name} {} MB", size? / 1_000_000)));
    Ok(Measured { figures, sizes: sizes.collect() })
}

fn export_once(
    world: &World<'_>,
    tool: &Tool,
    job: &Job,
    export: &Export,
    archive: &Path,
) -> Result<f64> {
    match export.way {
        Way::Archive => measure::seconds(&tool.to_archive(job, archive, export.compression)),
        Way::Registry => {
            let Some(registry) = Registry::start(world.folder())? else {
                anyhow::bail!("docker-registry is not installed");
            };
            measure::seconds(&tool.to_registry(job, &registry.host, export.compression))
        }
    }
}

/// Returns the seconds that a plain program takes to compress the layer, if it is here.
fn pack(context: &Path, compression: Compression) -> Result<Option<f64>> {
    let program = match compression {
        Compression::Gzip => "pigz",
        Compression::Zstd => "zstd -q -T0 -c",
    };
    if !sh::have(program.split(' ').next().unwrap_or_default()) {
        return Ok(None);
    }
    let files = format!("tar -C {} -cf - random.bin text.bin", context.display());
    let line = format!("{files} | {program} | tail -c 1");
    floor::shell(&line, ":", 1).map(Some)
}
