//! Credentials on the wire: challenges, tokens, `login` and `logout`.

use lathe_oci::MediaType;
use lathe_registry::{Client, ClientOptions, Credential, CredentialStore, Environment, Error};
use lathe_testkit::registry::{Access, FakeRegistry, Fault};

use crate::common::{client, image, impatient, reference};

const USER: &str = "me";
const PASSWORD: &str = "open sesame";

fn bearer() -> FakeRegistry {
    FakeRegistry::start_with(Access::Bearer(USER.to_owned(), PASSWORD.to_owned()))
}

fn basic() -> FakeRegistry {
    FakeRegistry::start_with(Access::Basic(USER.to_owned(), PASSWORD.to_owned()))
}

fn put_image(registry: &FakeRegistry) {
    let (_, _, manifest) = image(1);
    registry.put_manifest("a/b", "1", MediaType::OciManifest.as_str(), &manifest);
}

#[test]
fn the_anonymous_get_a_token_and_use_it_again() {
    let registry = bearer();
    put_image(&registry);
    let client = client("", None);
    let reference = reference(&registry.host(), "a/b:1");
    client.manifest(&reference).expect("pull");
    client.manifest(&reference).expect("pull");
    let targets: Vec<_> = registry.take_requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets.iter().filter(|target| target.starts_with("/token")).count(), 1);
    assert_eq!(targets.len(), 4, "{targets:?}");
    assert!(targets[1].contains("scope=repository%3Aa/b%3Apull"), "{targets:?}");
}

#[test]
fn a_token_that_ran_out_is_replaced() {
    let registry = bearer();
    put_image(&registry);
    let client = client("", None);
    let reference = reference(&registry.host(), "a/b:1");
    client.manifest(&reference).expect("pull");
    registry.fail("GET", "/manifests/", 1, Fault::ExpireTokens);
    client.manifest(&reference).expect("pull");
}

#[test]
fn passwords_go_where_they_are_asked_for() {
    for registry in [basic(), bearer()] {
        put_image(&registry);
        let host = registry.host();
        let client = client("", Some((&host, USER, PASSWORD)));
        client.manifest(&reference(&host, "a/b:1")).expect("pull");
        let requests = registry.take_requests();
        assert_eq!(requests[0].authorization, None, "nobody asked yet");
        assert!(requests.iter().any(|r| {
            r.authorization.as_deref().is_some_and(|value| value.starts_with("Basic "))
        }));
    }
}

#[test]
fn an_identity_token_is_exchanged() {
    let registry = bearer();
    put_image(&registry);
    let host = registry.host();
    let credentials =
        CredentialStore::default().with(&host, Credential::IdentityToken(PASSWORD.to_owned()));
    let client =
        Client::new(ClientOptions { credentials, retry: impatient(), ..ClientOptions::default() });
    client.manifest(&reference(&host, "a/b:1")).expect("pull");
    assert!(registry.take_requests().iter().any(|r| r.method == "POST" && r.target == "/token"));
}

#[test]
fn who_is_not_let_in_hears_how_to_log_in() {
    let registry = basic();
    let host = registry.host();
    let error = client("", None).manifest(&reference(&host, "a/b:1")).expect_err("an error");
    assert!(error.is_denied());
    assert_eq!(
        error.to_string(),
        format!(
            "{host}/a/b:1: {host}: unauthorized: authentication required; \
             `lathe login {host}` stores credentials"
        )
    );
}

#[test]
fn no_error_has_the_password() {
    for registry in [basic(), bearer()] {
        let host = registry.host();
        let client = client("", Some((&host, "me", "wr0ng-s3cret")));
        let error = client.manifest(&reference(&host, "a/b:1")).expect_err("an error");
        assert!(error.is_denied(), "{error}");
        assert!(!format!("{error} {error:?} {client:?}").contains("s3cret"), "{error:?}");
        // A wrong password is not tried over and over: accounts get locked.
        let tries = registry.take_requests().iter().filter(|r| r.authorization.is_some()).count();
        assert_eq!(tries, 1);
    }
}

#[test]
fn a_login_is_checked_before_it_is_stored() {
    for registry in [basic(), bearer()] {
        let folder = tempfile::tempdir().expect("folder");
        let environment =
            Environment { docker_config: Some(folder.path().to_owned()), ..Environment::default() };
        let host = registry.host();
        let make = || {
            let credentials = CredentialStore::new(&environment);
            let retry = impatient();
            Client::new(ClientOptions { credentials, retry, ..ClientOptions::default() })
        };
        let error = make().login(&host, USER, "wrong").expect_err("an error");
        assert!(error.is_denied(), "{error}");
        let file = folder.path().join("config.json");
        assert!(!file.exists());
        assert_eq!(make().login(&host, USER, PASSWORD).expect("login"), file);
        put_image(&registry);
        make().manifest(&reference(&host, "a/b:1")).expect("pull");
        assert!(make().logout(&host).expect("logout"));
        assert!(!make().logout(&host).expect("logout"));
    }
}

#[test]
fn a_login_to_what_is_no_registry_fails() {
    let registry = FakeRegistry::start();
    let reply = lathe_testkit::registry::Reply::new(404);
    registry.fail("GET", "/v2/", 1, Fault::Reply(reply));
    let error = client("", None).check_login(&registry.host(), USER, PASSWORD);
    assert!(matches!(error, Err(Error::Protocol { .. })));
}
