//! The little languages of `docker run`'s flags: `-p`, `-v`, `--add-host`, `--expose`.

use std::net::IpAddr;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::Result;
use crate::name;
use crate::spec::Access;
use crate::spec::ExposedPort;
use crate::spec::ExtraHost;
use crate::spec::HostAddress;
use crate::spec::PortMapping;
use crate::spec::Protocol;
use crate::spec::VolumeSource;
use crate::spec::VolumeSpec;

fn invalid(what: &'static str, value: &str, reason: impl Into<String>) -> Error {
    Error::Invalid { what, value: value.to_owned(), reason: reason.into() }
}

/// Parses `-p`: `[[ip:][host]:]container[/protocol]`, each port a number or a range `a-b`.
pub fn publish(text: &str) -> Result<Vec<PortMapping>> {
    let fail = |reason: &str| invalid("published port", text, reason);
    let (rest, protocol) = split_protocol(text).map_err(|reason| fail(&reason))?;
    let (rest, container) = match rest.rsplit_once(':') {
        Some((rest, container)) => (Some(rest), container),
        None => (None, rest),
    };
    let (host_ip, host) = match rest {
        None => (None, ""),
        Some(rest) => split_host(rest).map_err(|reason| fail(&reason))?,
    };
    let container = range(container).map_err(|reason| fail(&reason))?;
    let host =
        if host.is_empty() { None } else { Some(range(host).map_err(|reason| fail(&reason))?) };
    pair(host_ip, host, container, protocol).map_err(|reason| fail(&reason))
}

/// Pairs host ports with container ports. A range of host ports for one container port lets the
/// first be taken: docker tries them in turn, we need none of the others.
fn pair(
    host_ip: Option<IpAddr>,
    host: Option<(u16, u16)>,
    container: (u16, u16),
    protocol: Protocol,
) -> std::result::Result<Vec<PortMapping>, String> {
    if let Some(host) = host
        && host.1 - host.0 != container.1 - container.0
        && container.0 != container.1
    {
        return Err("the ranges of host and container ports differ in length".to_owned());
    }
    Ok((container.0..=container.1)
        .map(|port| PortMapping {
            host_ip,
            host_port: host.map(|host| host.0 + (port - container.0)),
            container_port: port,
            protocol,
        })
        .collect())
}

/// Splits `ip:port`, `[ip6]:port`, `ip:` or `port`.
fn split_host(text: &str) -> std::result::Result<(Option<IpAddr>, &str), String> {
    let Some((ip, port)) = text.rsplit_once(':') else { return Ok((None, text)) };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if bare.is_empty() {
        return Ok((None, port));
    }
    let parsed = bare.parse().map_err(|_| format!("`{bare}` is no IP address"))?;
    Ok((Some(parsed), port))
}

fn split_protocol(text: &str) -> std::result::Result<(&str, Protocol), String> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((rest, name)) if name.eq_ignore_ascii_case("tcp") => Ok((rest, Protocol::Tcp)),
        Some((rest, name)) if name.eq_ignore_ascii_case("udp") => Ok((rest, Protocol::Udp)),
        Some((_, name)) => Err(format!("protocol `{name}` is neither tcp nor udp")),
    }
}

fn range(text: &str) -> std::result::Result<(u16, u16), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(format!("`{text}` is no port (1 to 65535)")),
    };
    let (first, last) = match text.split_once('-') {
        None => (port(text)?, port(text)?),
        Some((first, last)) => (port(first)?, port(last)?),
    };
    if first > last { Err(format!("`{text}` ends before it starts")) } else { Ok((first, last)) }
}

/// Parses `EXPOSE` and `--expose`: `port[-port][/protocol]`.
pub fn exposed(text: &str) -> Result<Vec<ExposedPort>> {
    let fail = |reason: String| invalid("exposed port", text, reason);
    let (ports, protocol) = split_protocol(text).map_err(fail)?;
    let (first, last) = range(ports).map_err(fail)?;
    Ok((first..=last).map(|port| ExposedPort { port, protocol }).collect())
}

/// Parses `-v`: `[source:]target[:options]`. A relative host path (`./x`) is taken below
/// `working_dir`.
pub fn volume(text: &str, working_dir: &Path) -> Result<VolumeSpec> {
    let fail = |reason: &str| invalid("volume", text, reason);
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        // `/path:ro` would be an option on an anonymous volume; docker takes it as a target and
        // refuses it as not absolute, and so does the check below.
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(fail("too many colons")),
    };
    if !target.starts_with('/') {
        return Err(fail("the path inside the container must be absolute"));
    }
    if Path::new(target).components().all(|part| part == Component::RootDir) {
        return Err(fail("the path inside the container cannot be `/`"));
    }
    let source = match source {
        None => VolumeSource::Anonymous,
        Some("") => return Err(fail("the source is empty")),
        Some(path) if path.starts_with('/') => VolumeSource::Host(PathBuf::from(path)),
        Some(path) if path == "." || path.starts_with("./") || path.starts_with("..") => {
            VolumeSource::Host(working_dir.join(path))
        }
        Some(name) if name::is_valid(name) => VolumeSource::Named(name.to_owned()),
        Some(_) => return Err(fail("the source is neither a path nor a volume name")),
    };
    Ok(VolumeSpec { source, target: target.to_owned(), access: access(text, options)? })
}

fn access(text: &str, options: &str) -> Result<Access> {
    let mut access = Access::ReadWrite;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => access = Access::ReadOnly,
            // SELinux labels and propagation: what docker accepts and this kernel set-up has
            // no use for; `nocopy` only concerns named volumes.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "rprivate" | "private" => {}
            other => return Err(invalid("volume", text, format!("unknown option `{other}`"))),
        }
    }
    Ok(access)
}

/// Parses `--add-host`: `name:ip` or `name=ip`, the address perhaps `host-gateway`.
pub fn extra_host(text: &str) -> Result<ExtraHost> {
    let fail = |reason: &str| invalid("host", text, reason);
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(|| fail("the form is name:ip"))?;
    if name.is_empty() || name.chars().any(char::is_whitespace) {
        return Err(fail("the name is empty or has spaces"));
    }
    let bare = address.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(address);
    let address = if bare == "host-gateway" {
        HostAddress::Gateway
    } else {
        HostAddress::Ip(bare.parse().map_err(|_| fail("the address is no IP address"))?)
    };
    Ok(ExtraHost { name: name.to_owned(), address })
}

#[cfg(test)]
mod tests;
