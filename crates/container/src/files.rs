//! The files that every container is lent: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use lathe_executor::LentFile;

use crate::Error;
use crate::Result;
use crate::net::resolv::NameServers;
use crate::net::resolv::host_file;
use crate::net::resolv::resolv_conf;
use crate::spec::ExtraHost;
use crate::spec::HostAddress;
use crate::spec::NetworkSpec;

/// What the files tell about a container's network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// Address of the container; `None` in the host's network.
    pub(crate) address: Option<IpAddr>,
    /// The host as the container sees it.
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) servers: NameServers,
}

/// Returns the files.
pub(crate) fn lent(
    hostname: &str,
    network: &NetworkSpec,
    around: Surroundings,
) -> Result<Vec<LentFile>> {
    let hosts = hosts(hostname, &network.extra_hosts, around)?;
    let resolv = resolv_conf(&host_file(), around.servers, &network.dns);
    let file = |target: &str, text: String| (target.to_owned(), text.into_bytes()).into();
    Ok(vec![
        file("/etc/hosts", hosts),
        file("/etc/hostname", format!("{hostname}\n")),
        file("/etc/resolv.conf", resolv),
    ])
}

fn hosts(hostname: &str, extra: &[ExtraHost], around: Surroundings) -> Result<String> {
    let mut text = "127.0.0.1\tlocalhost\n\
                    ::1\tlocalhost ip6-localhost ip6-loopback\n\
                    fe00::\tip6-localnet\n\
                    ff00::\tip6-mcastprefix\n\
                    ff02::1\tip6-allnodes\n\
                    ff02::2\tip6-allrouters\n"
        .to_owned();
    for ExtraHost { name, address } in extra {
        let address = match address {
            HostAddress::Ip(address) => *address,
            HostAddress::Gateway => gateway(name, around)?,
        };
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "{address}\t{name}");
    }
    let own = around.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let _ok = writeln!(text, "{own}\t{hostname}");
    Ok(text)
}

fn gateway(name: &str, around: Surroundings) -> Result<IpAddr> {
    match (around.gateway, around.servers) {
        (Some(gateway), _) => Ok(gateway.into()),
        (None, NameServers::Host) => Ok(Ipv4Addr::LOCALHOST.into()),
        (None, _) => Err(Error::Invalid {
            what: "host",
            value: format!("{name}:host-gateway"),
            reason: "this network has no address for the host; give one of the host's own \
                     addresses, or use `--network host`"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(address: HostAddress) -> [ExtraHost; 1] {
        [ExtraHost { name: "db".to_owned(), address }]
    }

    #[test]
    fn a_container_finds_itself_and_the_names_it_was_given() {
        let around = Surroundings {
            address: Some("10.88.0.2".parse().unwrap()),
            gateway: None,
            servers: NameServers::Direct,
        };
        let given = extra(HostAddress::Ip("10.0.0.9".parse().unwrap()));
        let text = hosts("web", &given, around).unwrap();
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("10.0.0.9\tdb\n10.88.0.2\tweb\n"));
        assert!(hosts("web", &extra(HostAddress::Gateway), around).is_err());
        let around = Surroundings { gateway: Some(Ipv4Addr::new(10, 88, 0, 1)), ..around };
        let text = hosts("web", &extra(HostAddress::Gateway), around).unwrap();
        assert!(text.contains("10.88.0.1\tdb\n"));
    }
}
