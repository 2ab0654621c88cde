//! The stand-ins as data: which layers there are, which tags are made of them, and how each is tried.

use super::recipe::{alpine, debian, go, node, python};
use super::root::Bench;

/// One layer: a file tree made on top of others, packed once and shared by all tags that name it.
pub(super) struct Layer {
    pub(super) id: &'static str,
    /// To be raised with each change to the recipe, so that kept images are made again.
    pub(super) revision: u64,
    /// The layers that it is made on, bottom first.
    pub(super) below: &'static [&'static str],
    /// Layers that the recipe copies from without being on top of them.
    pub(super) donors: &'static [&'static str],
    /// Fills the layer.
    pub(super) make: fn(&Bench<'_>) -> anyhow::Result<()>,
}

const fn layer(
    id: &'static str,
    revision: u64,
    below: &'static [&'static str],
    make: fn(&Bench<'_>) -> anyhow::Result<()>,
) -> Layer {
    Layer { id, revision, below, donors: &[], make }
}

const fn from_debian(base: &Layer) -> Layer {
    Layer { donors: &["bookworm"], ..*base }
}

/// All layers. Long chains come first, so that they do not end last.
pub(super) const LAYERS: &[Layer] = &[
    layer("bookworm", 1, &[], debian::bookworm),
    layer("bullseye", 1, &[], debian::bullseye),
    layer("buildpack", 2, &["bookworm"], debian::buildpack),
    layer("python-slim", 3, &["bullseye"], python::slim),
    layer("python", 1, &["bullseye", "python-slim"], python::full),
    layer("node", 1, &["bookworm", "buildpack"], node::on_debian),
    layer("alpine", 2, &[], alpine::base),
    layer("go", 1, &[], go::tool_chain),
    from_debian(&layer("glibc", 1, &["alpine"], alpine::glibc)),
    from_debian(&layer("node-alpine", 1, &["alpine", "glibc"], node::on_alpine)),
    from_debian(&layer("nginx-alpine", 1, &["alpine", "glibc"], alpine::nginx)),
    from_debian(&layer("busybox", 1, &[], debian::busybox)),
];

/// One tag.
pub(super) struct Image {
    /// Name and tag as in a FROM line.
    pub(super) tag: &'static str,
    /// Bottom first.
    pub(super) layers: &'static [&'static str],
    pub(super) config: Config,
    /// Shell commands and how the first line of what they print has to begin.
    pub(super) trials: &'static [(&'static str, &'static str)],
}

/// The part of an image's configuration that differs between tags; as the real image of the tag has it.
pub(super) struct Config {
    pub(super) env: &'static [&'static str],
    pub(super) entrypoint: &'static [&'static str],
    pub(super) cmd: &'static [&'static str],
    pub(super) working_dir: &'static str,
    pub(super) exposed_ports: &'static [&'static str],
    pub(super) stop_signal: &'static str,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const SHELL: Config = Config {
    env: &[PATH],
    entrypoint: &[],
    cmd: &["sh"],
    working_dir: "",
    exposed_ports: &[],
    stop_signal: "",
};

const PYTHON: Config =
    Config { env: &[PATH, "LANG=C.UTF-8", "PYTHON_VERSION=3.9.2"], cmd: &["python3"], ..SHELL };

const GO: Config = Config {
    env: &[
        "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "GOLANG_VERSION=1.21.13",
        "GOTOOLCHAIN=local",
        "GOPATH=/go",
    ],
    working_dir: "/go",
    ..SHELL
};

const GO_TRIALS: &[(&str, &str)] =
    &[("go version", "go version go1.21.13"), ("stat -c %a /go/bin /usr/local/go/bin/go", "777")];

const PYTHON_TRIALS: &[(&str, &str)] = &[
    ("python --version 2>&1", "Python 3.9."),
    ("pip --version", "pip "),
    ("python -m venv /tmp/venv && /tmp/venv/bin/pip --version", "pip "),
    ("test -d /usr/local/lib/python3.9/site-packages && echo yes", "yes"),
];

const NODE_TRIALS: &[(&str, &str)] =
    &[("node --version", "v18."), ("npm --version", "10.8.2"), ("id -u node", "1000")];

/// All tags.
pub(super) const IMAGES: &[Image] = &[
    Image {
        tag: "alpine:latest",
        layers: &["alpine"],
        config: Config { cmd: &["/bin/sh"], ..SHELL },
        trials: &[("cat /etc/alpine-release", "3."), ("apk --version", "apk-tools ")],
    },
    Image {
        tag: "alpine:3.18",
        layers: &["alpine"],
        config: Config { cmd: &["/bin/sh"], ..SHELL },
        trials: &[("apk info -e ca-certificates", "ca-certificates")],
    },
    Image {
        tag: "debian:bookworm-slim",
        layers: &["bookworm"],
        config: Config { cmd: &["bash"], ..SHELL },
        trials: &[("cat /etc/debian_version", "12"), ("apt-get --version", "apt ")],
    },
    Image {
        tag: "python:3.9",
        layers: &["bullseye", "python-slim", "python"],
        config: PYTHON,
        trials: &[("gcc --version", "gcc "), PYTHON_TRIALS[0], PYTHON_TRIALS[2]],
    },
    Image {
        tag: "python:3.9-slim",
        layers: &["bullseye", "python-slim"],
        config: PYTHON,
        trials: PYTHON_TRIALS,
    },
    Image {
        tag: "node:18",
        layers: &["bookworm", "buildpack", "node"],
        config: Config {
            env: &[PATH, "NODE_VERSION=18.20.4"],
            entrypoint: &["docker-entrypoint.sh"],
            cmd: &["node"],
            ..SHELL
        },
        trials: NODE_TRIALS,
    },
    Image {
        tag: "node:18-alpine",
        layers: &["alpine", "glibc", "node-alpine"],
        config: Config {
            env: &[PATH, "NODE_VERSION=18.20.8"],
            entrypoint: &["docker-entrypoint.sh"],
            cmd: &["node"],
            ..SHELL
        },
        trials: NODE_TRIALS,
    },
    Image {
        tag: "golang:1.21",
        layers: &["bookworm", "buildpack", "go"],
        config: Config { cmd: &["bash"], ..GO },
        trials: GO_TRIALS,
    },
    Image {
        tag: "golang:1.21-alpine",
        layers: &["alpine", "go"],
        config: Config { cmd: &["/bin/sh"], ..GO },
        trials: GO_TRIALS,
    },
    Image {
        tag: "nginx:alpine",
        layers: &["alpine", "glibc", "nginx-alpine"],
        config: Config {
            env: &[PATH, "NGINX_VERSION=1.22.1"],
            cmd: &["nginx", "-g", "daemon off;"],
            exposed_ports: &["80/tcp"],
            stop_signal: "SIGQUIT",
            ..SHELL
        },
        trials: &[("nginx -t 2>&1", "nginx: the configuration file"), ("id -u nginx", "101")],
    },
    Image {
        tag: "busybox:latest",
        layers: &["busybox"],
        config: SHELL,
        trials: &[("busybox echo hello", "hello"), ("ls -l /bin/sh | cut -c1", "l")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn position(id: &str) -> usize {
        LAYERS.iter().position(|layer| layer.id == id).expect("the plan has the layer")
    }

    #[test]
    fn each_layer_comes_after_those_it_needs() {
        for (index, layer) in LAYERS.iter().enumerate() {
            for needed in layer.below.iter().chain(layer.donors) {
                assert!(position(needed) < index, "{} needs {needed}", layer.id);
            }
        }
    }

    #[test]
    fn each_image_stacks_a_layer_on_what_it_was_made_on_or_on_its_own_tree() {
        for image in IMAGES {
            let (top, below) = image.layers.split_last().expect("an image has a layer");
            let made_on = LAYERS[position(top)].below;
            // The Go tool chain touches nothing outside its own folders, so it may sit on any system.
            assert!(*top == "go" || made_on == below, "{}: {made_on:?}", image.tag);
        }
    }
}
