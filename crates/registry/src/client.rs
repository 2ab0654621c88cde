//! The client: configuration, credentials and the endpoints that it has met.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use lathe_event::{Cancel, CancelGuard};
use lathe_oci::Reference;

use crate::{
    Config, CredentialStore, Error, HostSettings, Mirror, Result, RetryPolicy,
    agents::Agents,
    auth::Authorizer,
    config::{api_host, canonical_host},
    endpoint::Endpoint,
    transport::Call,
};

/// Attempts at a mirror, after which the next one is asked.
const MIRROR_ATTEMPTS: u32 = 2;

/// What a [`Client`] is made of.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// Mirrors, TLS, blocks.
    pub config: Config,
    /// Where credentials are.
    pub credentials: CredentialStore,
    /// How patiently failures are retried.
    pub retry: RetryPolicy,
    /// Stops all requests, those that wait for the other side as well.
    pub cancel: Cancel,
}

/// Talks to registries. Cheap to clone; clones share connections, tokens and what was
/// learned about endpoints, and may be used from many threads at once.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    agents: Arc<Agents>,
    /// Endpoints of each registry, in the order in which they are asked: mirrors first.
    registries: Mutex<BTreeMap<String, Arc<[Endpoint]>>>,
    /// Shuts the connections down when the user cancels.
    _on_cancel: CancelGuard,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Nothing is read or connected to yet.
    pub fn new(options: ClientOptions) -> Self {
        let agents = Arc::new(Agents::new(options.config.clone()));
        let weak = Arc::downgrade(&agents);
        let on_cancel = options.cancel.on_cancel(move || {
            if let Some(agents) = weak.upgrade() {
                agents.shutdown();
            }
        });
        Self(Arc::new(Inner {
            options,
            agents,
            registries: Mutex::default(),
            _on_cancel: on_cancel,
        }))
    }

    pub(crate) fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Returns the token that stops this client.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.0.options.cancel
    }

    pub(crate) fn credentials(&self) -> &CredentialStore {
        &self.0.options.credentials
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.0.options.retry
    }

    /// Returns the endpoints that answer for a registry; the last is the registry itself.
    fn endpoints(&self, registry: &str) -> Result<Arc<[Endpoint]>> {
        let name = canonical_host(registry);
        self.check_not_blocked(name)?;
        let settings = self.0.options.config.host(name);
        let mut registries = self.0.registries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = registries.get(name) {
            return Ok(Arc::clone(known));
        }
        let mirrors = settings.mirrors.iter().filter_map(|mirror| self.mirror(mirror));
        let own = self.endpoint(name, Authorizer::new(name));
        let endpoints: Arc<[Endpoint]> = mirrors.chain([own]).collect();
        registries.insert(name.to_owned(), Arc::clone(&endpoints));
        Ok(endpoints)
    }

    /// Refuses to talk to a registry that the configuration blocks.
    pub(crate) fn check_not_blocked(&self, name: &str) -> Result<()> {
        if self.0.options.config.host(name).blocked {
            return Err(Error::Blocked { host: name.to_owned() });
        }
        Ok(())
    }

    /// Makes the endpoint of a registry itself.
    pub(crate) fn endpoint(&self, name: &str, auth: Authorizer) -> Endpoint {
        let settings = self.0.options.config.host(name);
        let HostSettings { plain_http, insecure, .. } = settings;
        Endpoint::new(api_host(name), String::new(), plain_http, insecure, auth)
    }

    /// Makes the endpoint of a mirror; `None` when its host is blocked.
    fn mirror(&self, mirror: &Mirror) -> Option<Endpoint> {
        let (host, prefix) = mirror.host_and_prefix();
        let own = self.0.options.config.host(host);
        if own.blocked {
            return None;
        }
        let insecure = own.insecure || mirror.insecure;
        let extra = HostSettings { insecure, ca: mirror.ca.clone(), ..HostSettings::default() };
        self.agents().add_settings(api_host(host), extra);
        let plain_http = own.plain_http || mirror.plain_http;
        Some(Endpoint::new(api_host(host), prefix, plain_http, insecure, Authorizer::new(host)))
    }

    /// Asks the mirrors of a registry, then the registry, until one has the thing.
    pub(crate) fn pull<T>(
        &self,
        reference: &Reference,
        ask: impl Fn(&Endpoint, RetryPolicy) -> Result<T>,
    ) -> Result<T> {
        let endpoints = self.endpoints(reference.registry())?;
        let (own, mirrors) = endpoints.split_last().expect("the registry itself is there");
        let mut failures = Vec::new();
        for mirror in mirrors {
            if mirror.is_down() {
                failures.push(format!("{}: out of reach", mirror.host));
                continue;
            }
            let policy = RetryPolicy {
                attempts: self.policy().attempts.min(MIRROR_ATTEMPTS),
                ..*self.policy()
            };
            match ask(mirror, policy) {
                Err(Error::Canceled) => return Err(Error::Canceled),
                Err(error) => {
                    if matches!(error, Error::Connection { .. }) {
                        mirror.set_down();
                    }
                    failures.push(error.to_string());
                }
                found => return found,
            }
        }
        ask(own, *self.policy()).map_err(|error| match failures.as_slice() {
            [] => error,
            _ if matches!(error, Error::Canceled) => error,
            failures => Error::Mirrors { error: Box::new(error), mirrors: failures.join("; ") },
        })
    }

    /// Asks the registry itself, as whoever pushes must.
    pub(crate) fn push<T>(
        &self,
        reference: &Reference,
        scopes: &[String],
        ask: impl FnOnce(Call<'_>) -> Result<T>,
    ) -> Result<T> {
        let endpoints = self.endpoints(reference.registry())?;
        let endpoint = endpoints.last().expect("the registry itself is there");
        ask(Call { endpoint, scopes, policy: *self.policy() })
    }
}
