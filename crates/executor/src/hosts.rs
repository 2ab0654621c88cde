//! `/etc/hosts` of a build step, as BuildKit writes it. Pure.

/// Host name of build steps, unless the build argument
/// `BUILDKIT_SANDBOX_HOSTNAME` asks for another.
pub const BUILD_HOSTNAME: &str = "buildkitsandbox";

/// Returns `/etc/hosts` for a build step with this host name; `more` are
/// additional names and their addresses (`--add-host`).
pub fn build_hosts(hostname: &str, more: &[(String, String)]) -> String {
    let mut text =
        format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in more {
        text.extend([address, "\t", name, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_is_the_loopback_s() {
        let more = [("db".to_owned(), "10.0.0.1".to_owned())];
        let expected = "127.0.0.1\tlocalhost buildkitsandbox\n\
                        ::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n";
        assert_eq!(build_hosts(BUILD_HOSTNAME, &more), expected);
    }
}
