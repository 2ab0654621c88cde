//! How fast layers are made: `pack_speed DIRECTORY [FORM...]`, with the forms `digest`, `none`,
//! `gzip`, `gzip:LEVEL`, `zstd` and `unpack`. Prints `name=value`: seconds, bytes, KiB.
//! `OUTPUT=FILE` keeps the last layer, `SCRATCH=DIRECTORY` is written to (`/tmp`), `THREADS=N`.

use lathe_layer::Compression;
use lathe_layer::PackRequest;
use lathe_layer::UnpackOptions;
use lathe_layer::digest;
use lathe_layer::pack_to;
use lathe_layer::unpack;
use lathe_oci::Digester;
use lathe_rootfs::Root;
use std::error::Error;
use std::io;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Hashes what comes as a blob writer does, and writes it to a file.
struct Blob {
    digester: Digester,
    file: std::fs::File,
    size: u64,
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: pack_speed DIRECTORY [digest|none|gzip[:LEVEL]|zstd[:LEVEL]|unpack]...";
    let root = Root::open(Path::new(&arguments.next().ok_or(usage)?))?;
    let mut output = io::stdout();
    for form in arguments {
        let begin = Instant::now();
        let size = run(&root, &form)?;
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(output, "{form}_seconds={seconds:.3}\n{form}_size={size}")?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    writeln!(output, "peak_kib={}", peak.trim().trim_end_matches(" kB"))?;
    Ok(())
}

fn run(root: &Root, form: &str) -> Result<u64, Box<dyn Error>> {
    let (name, level) = form.split_once(':').unwrap_or((form, ""));
    let compression = match name {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    };
    let threads = std::env::var("THREADS").ok().and_then(|threads| threads.parse().ok());
    let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = PackRequest {
        changes: root,
        lower: None,
        compression,
        level: level.parse().ok(),
        epoch: None,
        threads: threads.unwrap_or_else(available),
    };
    if name == "digest" {
        return Ok(digest(&request)?.tar_size);
    }
    let directory = tempfile::tempdir_in(std::env::var("SCRATCH").unwrap_or("/tmp".to_owned()))?;
    if name == "unpack" {
        return unpacked(&request, directory.path(), level);
    }
    let kept = std::env::var_os("OUTPUT").map(std::path::PathBuf::from);
    let file = std::fs::File::create(kept.unwrap_or_else(|| directory.path().join("blob")))?;
    let blob = Blob { digester: Digester::default(), file, size: 0 };
    let (blob, _) = pack_to(&request, blob)?;
    blob.digester.finish();
    Ok(blob.size)
}

/// Unpacks a layer that is packed before; prints the time of the former itself.
fn unpacked(request: &PackRequest<'_>, into: &Path, form: &str) -> Result<u64, Box<dyn Error>> {
    let compression = match form {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    };
    let request = PackRequest { compression, level: None, ..*request };
    let (blob, _) = pack_to(&request, Vec::new())?;
    let begin = Instant::now();
    let unpacked = unpack(&blob[..], compression, &Root::open(into)?, &UnpackOptions::default())?;
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(io::stdout(), "unpack_{compression}_alone_seconds={seconds:.3}")?;
    Ok(unpacked.bytes)
}
