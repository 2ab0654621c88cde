//! Values of flags that are small languages of their own, as docker and buildx read them.

use std::{collections::BTreeMap, os::unix::fs::FileTypeExt as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    Entitlement, HOST_GATEWAY, ResourceLimits, SecretSource, SshSource,
    container::{ExtraHost, HostAddress, parse},
    parse_size,
};

use crate::env::{self, Places};

/// Reads `--secret id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]`.
pub(super) fn secrets(places: &Places, texts: &[String]) -> Result<BTreeMap<String, SecretSource>> {
    texts.iter().map(|text| secret(places, text)).collect()
}

fn secret(places: &Places, text: &str) -> Result<(String, SecretSource)> {
    let (mut id, mut kind, mut source, mut variable) = (None, None, None, None);
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            bail!("invalid secret `{text}`: `{field}` is no key=value pair");
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "id" => id = Some(value),
            "type" => kind = Some(value),
            "src" | "source" => source = Some(value),
            "env" => variable = Some(value),
            other => bail!("invalid secret `{text}`: want id, src, env, type, not `{other}`"),
        }
    }
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        bail!("invalid secret `{text}`: it has no id")
    };
    let wants_env = match kind {
        None => variable.is_some(),
        Some("env") => true,
        Some("file") => false,
        Some(other) => bail!("invalid secret `{text}`: type is file or env, not `{other}`"),
    };
    let found = if wants_env {
        let name = variable.or(source).unwrap_or(id);
        Some(SecretSource::Value(value_of(name, text)?))
    } else if let Some(source) = source {
        let path = places.absolute(source);
        // Told now: after minutes of building it would be late.
        std::fs::metadata(&path).with_context(|| format!("secret `{id}`: {}", path.display()))?;
        Some(SecretSource::File(path))
    } else {
        env::variable(id).map(SecretSource::Value)
    };
    // A lone id is a variable of that name, else a file.
    let found = found.unwrap_or_else(|| SecretSource::File(places.absolute(id)));
    Ok((id.to_owned(), found))
}

fn value_of(name: &str, text: &str) -> Result<String> {
    env::variable(name)
        .with_context(|| format!("secret `{text}`: the variable `{name}` is not set"))
}

/// Reads `--ssh default|ID[=SOCKET|KEY[,KEY]]`.
pub(super) fn ssh(places: &Places, texts: &[String]) -> Result<BTreeMap<String, SshSource>> {
    texts.iter().map(|text| agent(places, text)).collect()
}

fn agent(places: &Places, text: &str) -> Result<(String, SshSource)> {
    let (id, paths) = text.split_once('=').unwrap_or((text, ""));
    let paths: Vec<PathBuf> = paths
        .split(',')
        .filter(|path| !path.is_empty())
        .map(|path| places.absolute(path))
        .collect();
    let source = match paths.as_slice() {
        [] => {
            let socket = env::variable("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
            let socket = socket.with_context(|| {
                format!("--ssh {text}: no agent runs here: SSH_AUTH_SOCK is not set")
            })?;
            SshSource::Agent(PathBuf::from(socket))
        }
        [first, rest @ ..] => {
            let metadata = std::fs::metadata(first)
                .with_context(|| format!("--ssh {text}: {}", first.display()))?;
            match (metadata.file_type().is_socket(), rest) {
                (true, []) => SshSource::Agent(first.clone()),
                (true, _) => bail!("--ssh {text}: give one socket, or keys"),
                (false, _) => SshSource::Keys(paths),
            }
        }
    };
    let id = if id.is_empty() { "default" } else { id };
    Ok((id.to_owned(), source))
}

/// Reads `--add-host NAME:ADDRESS` or `NAME=ADDRESS`.
pub(super) fn hosts(texts: &[String]) -> Result<Vec<(String, String)>> {
    texts.iter().map(|text| host(text)).collect()
}

fn host(text: &str) -> Result<(String, String)> {
    let ExtraHost { name, address } = parse::extra_host(text)?;
    let address = match address {
        HostAddress::Gateway => HOST_GATEWAY.to_owned(),
        HostAddress::Ip(address) => address.to_string(),
    };
    Ok((name, address))
}

/// Reads `--allow`; leave to read and write files is what a build here has anyway.
pub(super) fn entitlements(texts: &[String]) -> Result<Vec<Entitlement>> {
    let mut all = Vec::new();
    for text in texts {
        match text.as_str() {
            "network.host" => all.push(Entitlement::NetworkHost),
            "security.insecure" => all.push(Entitlement::SecurityInsecure),
            "device" => all.push(Entitlement::Device),
            "buildx.local.delete" => all.push(Entitlement::LocalDelete),
            _ if text.starts_with("device=") => all.push(Entitlement::Device),
            "ssh" | "image.resolve.cache" => {}
            _ if text.starts_with("fs") => {}
            other => bail!(
                "invalid entitlement `{other}`: want network.host, security.insecure, device \
                 or buildx.local.delete"
            ),
        }
    }
    Ok(all)
}

/// Reads the values of `--resource`, and those that stand alone.
pub(super) fn limits<'a>(
    listed: &'a [String],
    alone: impl Iterator<Item = (&'static str, &'a str)>,
) -> Result<ResourceLimits> {
    let mut limits = ResourceLimits::default();
    for text in listed {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("invalid resource `{text}`: it is no key=value pair"))?;
        limit(&mut limits, name.trim(), value)?;
    }
    for (name, value) in alone {
        limit(&mut limits, name, value)?;
    }
    Ok(limits)
}

fn limit(limits: &mut ResourceLimits, name: &str, value: &str) -> Result<()> {
    let number = || format!("invalid resource `{name}={value}`: want a number");
    match name {
        "memory" => limits.memory = Some(bytes(value)?),
        "memory-swap" if value == "-1" => limits.memory_swap = Some(-1),
        "memory-swap" => limits.memory_swap = Some(i64::try_from(bytes(value)?)?),
        "cpu-shares" => limits.cpu_shares = Some(value.parse().with_context(number)?),
        "cpu-period" => limits.cpu_period = Some(value.parse().with_context(number)?),
        "cpu-quota" => limits.cpu_quota = Some(value.parse().with_context(number)?),
        "cpuset-cpus" => limits.cpuset_cpus = Some(value.to_owned()),
        "cpuset-mems" => limits.cpuset_mems = Some(value.to_owned()),
        other => bail!(
            "invalid resource `{other}`: want memory, memory-swap, cpu-shares, cpu-period, \
             cpu-quota, cpuset-cpus or cpuset-mems"
        ),
    }
    Ok(())
}

/// Reads a size such as `64m`, in units of 1024.
pub(super) fn bytes(text: &str) -> Result<u64> {
    parse_size(text).with_context(|| format!("invalid size: '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            root: PathBuf::from("/root"),
            registries_file: None,
            settings: crate::settings::Sources::default(),
            working_dir: PathBuf::from("/"),
        }
    }

    #[test]
    fn secrets_are_files_or_variables() {
        let check = |text: &str, id: &str, expected: &str| {
            let (name, source) = secret(&places(), text).unwrap();
            assert_eq!((name.as_str(), format!("{source:?}").as_str()), (id, expected), "{text}");
        };
        check("id=a,src=etc/passwd", "a", "File(\"/etc/passwd\")");
        check("id=a,source=/etc/passwd,type=file", "a", "File(\"/etc/passwd\")");
        check("id=p,env=PATH", "p", "Value(…)");
        check("id=PATH", "PATH", "Value(…)");
        check("type=env,id=PATH", "PATH", "Value(…)");
        check("id=not-a-variable", "not-a-variable", "File(\"/not-a-variable\")");
    }

    #[test]
    fn wrong_secrets_are_told() {
        let texts = [
            "a",
            "src=x",
            "id=a,src=/does/not/exist",
            "id=a,env=NOT_SET_AT_ALL",
            "id=,src=/",
            "id=a,mode=1",
        ];
        for text in texts {
            assert!(secret(&places(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_have_addresses() {
        let check = |text: &str, name: &str, address: &str| {
            assert_eq!(host(text).unwrap(), (name.to_owned(), address.to_owned()));
        };
        check("db:10.0.0.1", "db", "10.0.0.1");
        check("db=10.0.0.1", "db", "10.0.0.1");
        check("six:::1", "six", "::1");
        check("six=[::1]", "six", "::1");
        check("me:host-gateway", "me", "host-gateway");
        for text in ["db", "db:x", ":10.0.0.1"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_listed_or_stand_alone() {
        let listed = ["memory=1g".to_owned(), "cpu-quota=-1".to_owned()];
        let limits = limits(&listed, [("cpu-shares", "512")].into_iter()).unwrap();
        assert_eq!(
            (limits.memory, limits.cpu_quota, limits.cpu_shares),
            (Some(1 << 30), Some(-1), Some(512))
        );
        for text in ["memory", "memory=x", "cpus=1"] {
            assert!(super::limits(&[text.to_owned()], std::iter::empty()).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_in_units_of_1024() {
        let check = |text: &str, expected: u64| assert_eq!(bytes(text).unwrap(), expected);
        check("64m", 64 << 20);
        check("64MB", 64 << 20);
        check("1.5g", 3 << 29);
        check("10", 10);
        check("1KiB", 1024);
        for text in ["", "m", "1x"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
