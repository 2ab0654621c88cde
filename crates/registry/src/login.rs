//! `lathe login` and `lathe logout`.

use std::path::PathBuf;

use crate::{
    Client, Credential, Result,
    auth::Authorizer,
    config::canonical_host,
    transport::{Call, Exchange, Method, Target},
};

impl Client {
    /// Checks a user's password with the registry, and stores it. Returns the file in
    /// which it is now known.
    pub fn login(&self, registry: &str, username: &str, password: &str) -> Result<PathBuf> {
        self.check_login(registry, username, password)?;
        self.credentials().store(registry, username, password)
    }

    /// Checks a user's password with the registry.
    pub fn check_login(&self, registry: &str, username: &str, password: &str) -> Result<()> {
        let name = canonical_host(registry);
        self.check_not_blocked(name)?;
        let credential =
            Credential::Password { username: username.to_owned(), password: password.to_owned() };
        // An endpoint of its own, so that no token of another user is taken for an answer.
        let endpoint = self.endpoint(name, Authorizer::with(name, credential));
        let call = Call { endpoint: &endpoint, scopes: &[], policy: *self.policy() };
        let subject = format!("log in to {name}");
        let exchange = Exchange::new(Method::GET, &subject);
        let answer = self.send(call, &exchange, Target::Path("/v2/"))?;
        match answer.status {
            200..=299 => {
                answer.drain();
                Ok(())
            }
            404 => Err(answer.wrong(&subject, "is no registry: there is no `/v2/`")),
            _ => Err(answer.refusal(&subject, name)),
        }
    }

    /// Forgets the credentials of a registry; tells whether there were any.
    pub fn logout(&self, registry: &str) -> Result<bool> {
        self.credentials().erase(registry)
    }
}
