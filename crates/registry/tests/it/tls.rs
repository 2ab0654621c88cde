//! Certificates: whom the client believes, and where it does without.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use lathe_oci::MediaType;
use lathe_registry::{Client, ClientOptions, Config, Result};
use lathe_testkit::registry::FakeRegistry;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::common::{client, impatient, reference};

const CONFIGURATION: &str = "[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n\
     subjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";

/// A certificate for 127.0.0.1 that nobody knows.
struct Pair {
    folder: tempfile::TempDir,
}

impl Pair {
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn make(test: &str) -> Option<Self> {
        if !Path::new("/usr/bin/openssl").exists() {
            eprintln!("SKIP {test}: openssl is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("req.cnf"), CONFIGURATION).expect("config");
        let arguments = "req -x509 -config req.cnf -newkey ec -pkeyopt \
             ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 2 -keyout key.pem -out cert.pem";
        let output = Command::new("/usr/bin/openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { folder })
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

/// Answers every request over TLS with `reply`; returns host and port. The thread ends
/// with the test's process.
fn serve(pair: &Pair, reply: String) -> String {
    let chain = vec![CertificateDer::from_pem_file(pair.certificate()).expect("certificate")];
    let key = PrivateKeyDer::from_pem_file(pair.key()).expect("key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let host = listener.local_addr().expect("address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("stream");
            let mut first = [0];
            // Whoever comes without TLS is served as well: no test may get that far.
            if stream.peek(&mut first).is_ok() && first[0].is_ascii_uppercase() {
                let _sent = stream.write_all(reply.as_bytes());
                continue;
            }
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("server");
            let stream = rustls::StreamOwned::new(connection, stream);
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            // A handshake that fails is the client's no.
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let mut stream = reader.into_inner();
            let _sent = stream.write_all(reply.as_bytes());
            stream.conn.send_close_notify();
            let _sent = stream.flush();
        }
    });
    host
}

fn manifest_reply() -> String {
    let body = "{\"schemaVersion\":2}";
    let media_type = MediaType::OciManifest;
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn pull(client: &Client, host: &str) -> Result<()> {
    client.manifest(&reference(host, "a/b:1")).map(drop)
}

#[test]
fn an_unknown_certificate_is_refused_and_plain_http_is_not_tried() {
    let test = "an_unknown_certificate_is_refused_and_plain_http_is_not_tried";
    let Some(pair) = Pair::make(test) else { return };
    let host = serve(&pair, manifest_reply());
    let error = pull(&client("", None), &host).expect_err("an error").to_string();
    assert!(error.contains("certificate") && error.contains("`ca` in registries.toml"), "{error}");
}

#[test]
fn a_certificate_is_believed_where_the_configuration_says_so() {
    let test = "a_certificate_is_believed_where_the_configuration_says_so";
    let Some(pair) = Pair::make(test) else { return };
    let host = serve(&pair, manifest_reply());
    let path = pair.certificate();
    for line in [format!("ca = {path:?}"), "insecure = true".to_owned()] {
        let config = format!("[registry.\"{host}\"]\n{line}\n");
        pull(&client(&config, None), &host).expect(&line);
    }
    // A mirror's own settings.
    let config = format!(
        "[registry.\"docker.io\"]\nmirrors = [{{ location = \"{host}\", ca = {path:?} }}]\n"
    );
    pull(&client(&config, None), "docker.io").expect("from the mirror");
}

#[test]
fn dockers_folder_of_certificates_counts() {
    let Some(pair) = Pair::make("dockers_folder_of_certificates_counts") else { return };
    let host = serve(&pair, manifest_reply());
    let folders = tempfile::tempdir().expect("folder");
    let folder = folders.path().join(&host);
    std::fs::create_dir(&folder).expect("folder");
    std::fs::copy(pair.certificate(), folder.join("ca.crt")).expect("copy");
    std::fs::copy(pair.certificate(), folder.join("client.cert")).expect("copy");
    std::fs::copy(pair.key(), folder.join("client.key")).expect("copy");
    let make = || {
        let config = Config::default().with_certificate_folders(vec![folders.path().to_path_buf()]);
        let retry = impatient();
        Client::new(ClientOptions { config, retry, ..ClientOptions::default() })
    };
    pull(&make(), &host).expect("pull");
    // A key of another certificate is found out before it is used.
    let other = Pair::make("dockers_folder_of_certificates_counts").expect("another pair");
    std::fs::copy(other.key(), folder.join("client.key")).expect("copy");
    let error = pull(&make(), &host).expect_err("an error").to_string();
    assert!(error.contains("client.cert"), "{error}");
}

#[test]
fn a_file_without_certificate_is_named() {
    let registry = FakeRegistry::start();
    let host = registry.host();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "nothing").expect("file");
    let config = format!("[registry.\"{host}\"]\nca = {path:?}\n");
    let error = pull(&client(&config, None), &host).expect_err("an error").to_string();
    assert!(error.contains("ca.pem: holds no certificate"), "{error}");
}

#[test]
fn nothing_is_fetched_without_tls_that_was_asked_for_with_it() {
    let test = "nothing_is_fetched_without_tls_that_was_asked_for_with_it";
    let Some(pair) = Pair::make(test) else { return };
    let plain = FakeRegistry::start();
    let location = format!("http://{}/v2/a/b/manifests/1", plain.host());
    let reply = format!(
        "HTTP/1.1 307 Go\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let host = serve(&pair, reply);
    let config = format!("[registry.\"{host}\"]\nca = {:?}\n", pair.certificate());
    let error = pull(&client(&config, None), &host).expect_err("an error").to_string();
    assert!(error.contains("redirects from https to http"), "{error}");
    assert_eq!(plain.take_requests(), []);
}
