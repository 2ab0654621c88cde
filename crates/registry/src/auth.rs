//! Answers a registry's challenges: basic, bearer with a token service, OAuth 2 refresh
//! (distribution specification of tokens, `docs/spec/auth/{token,oauth}.md`).
//!
//! One [`Authorizer`] for each endpoint, with the challenge last seen and the tokens by
//! scope. The lock is held while a token is fetched, so that parallel transfers that all
//! need one fetch one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    Client, Credential, Error, Result,
    challenge::Challenge,
    transport::{Answer, Body, Exchange, Method},
    url::{Scheme, Url, encode},
};

/// What a token is worth when its service does not say (docs/spec/auth/token.md).
const DEFAULT_LIFETIME: u64 = 60;
/// Time before its end at which a token counts as old: the request has to arrive.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest answer of a token service that is read, in bytes.
const TOKEN_LIMIT: u64 = 1024 * 1024;
/// Name by which token services know this program.
const CLIENT_ID: &str = "lathe";

/// What a request is allowed to do: `repository:library/node:pull`.
pub(crate) type Scopes = [String];

/// Returns the scope of pulling from a repository.
pub(crate) fn pull_scope(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// Returns the scope of pushing to a repository.
pub(crate) fn push_scope(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

/// The `Authorization` of one endpoint's requests.
pub(crate) struct Authorizer {
    /// Key of the credential.
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked_up: bool,
    /// Meaningful once it was looked up.
    credential: Option<Credential>,
    challenge: Option<Challenge>,
    tokens: BTreeMap<String, Token>,
}

struct Token {
    header: String,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Authorizer {
    /// Makes one that looks for the credential of `name` when a challenge asks for it.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: Mutex::default() }
    }

    /// Makes one that has its credential.
    pub(crate) fn with(name: &str, credential: Credential) -> Self {
        let state = State { looked_up: true, credential: Some(credential), ..State::default() };
        Self { name: name.to_owned(), state: Mutex::new(state) }
    }

    /// Returns the registry's name for `lathe login`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the header for a request, by what is known so far.
    pub(crate) fn header(
        &self,
        client: &Client,
        scheme: Scheme,
        scopes: &Scopes,
    ) -> Result<Option<String>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.answer(&mut state, client, scheme, scopes)
    }

    /// Takes a challenge to a request that was sent with `sent`, and returns the header to
    /// send instead; `None` when there is no better one.
    pub(crate) fn challenged(
        &self,
        client: &Client,
        scheme: Scheme,
        scopes: &Scopes,
        challenge: Challenge,
        sent: Option<&str>,
    ) -> Result<Option<String>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.challenge = Some(challenge);
        // The token that was refused goes; one that another thread got meanwhile stays.
        state.tokens.retain(|_, token| Some(token.header.as_str()) != sent);
        let header = self.answer(&mut state, client, scheme, scopes)?;
        Ok(header.filter(|header| Some(header.as_str()) != sent))
    }

    fn answer(
        &self,
        state: &mut State,
        client: &Client,
        scheme: Scheme,
        scopes: &Scopes,
    ) -> Result<Option<String>> {
        let Some(challenge) = state.challenge.clone() else { return Ok(None) };
        if !state.looked_up {
            state.credential = client.credentials().get(&self.name)?;
            state.looked_up = true;
        }
        match (challenge, state.credential.clone()) {
            (_, Some(Credential::RegistryToken(token))) => Ok(Some(format!("Bearer {token}"))),
            (Challenge::Basic, Some(Credential::Password { username, password })) => {
                Ok(Some(basic(&username, &password)))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scopes: asked }, credential) => {
                let scopes = union(scopes, &asked);
                let key = scopes.join(" ");
                if let Some(token) = state.tokens.get(&key)
                    && token.until > Instant::now()
                {
                    return Ok(Some(token.header.clone()));
                }
                let request = TokenRequest { name: &self.name, realm, service, scopes };
                let Some(token) = request.fetch(client, scheme, credential.as_ref())? else {
                    return Ok(None);
                };
                let header = token.header.clone();
                state.tokens.insert(key, token);
                Ok(Some(header))
            }
        }
    }
}

/// Adds the scopes that a challenge asks for and that ours do not name already.
fn union(ours: &Scopes, asked: &Scopes) -> Vec<String> {
    let resource = |scope: &str| scope.rsplit_once(':').map(|(name, _)| name.to_owned());
    let mut all = ours.to_vec();
    for scope in asked {
        if !ours.iter().any(|our| resource(our) == resource(scope)) {
            all.push(scope.clone());
        }
    }
    all
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// What is asked of a token service.
struct TokenRequest<'a> {
    name: &'a str,
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

impl TokenRequest<'_> {
    /// Fetches the token; `None` when the service gives none to the anonymous.
    fn fetch(
        &self,
        client: &Client,
        scheme: Scheme,
        credential: Option<&Credential>,
    ) -> Result<Option<Token>> {
        let url = Url::parse(&self.realm)
            .ok_or_else(|| self.wrong("the token service's address is no http(s) URL"))?;
        if credential.is_some() && scheme == Scheme::Https && url.scheme == Scheme::Http {
            return Err(self.wrong("the token service wants credentials without TLS"));
        }
        let answer = match credential {
            Some(Credential::IdentityToken(token)) => self.refresh(client, &url, token)?,
            Some(Credential::Password { username, password }) => {
                let url = self.query(url).with_query("account", username);
                self.get(client, &url, Some(&basic(username, password)))?
            }
            Some(Credential::RegistryToken(_)) | None => {
                self.get(client, &self.query(url), None)?
            }
        };
        if matches!(answer.status, 401 | 403) {
            return match credential {
                None => Ok(None),
                Some(_) => Err(answer.refusal(&self.subject(), self.name)),
            };
        }
        if answer.status != 200 {
            return Err(answer.refusal(&self.subject(), self.name));
        }
        let bytes = answer.read(TOKEN_LIMIT, &self.subject())?;
        // The JSON error is not shown: it might quote the token.
        let reply: TokenReply = serde_json::from_slice(&bytes)
            .map_err(|_| self.wrong("the token service's answer is not the JSON it should be"))?;
        let token = [reply.token, reply.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty())
            .ok_or_else(|| self.wrong("the token service's answer has no token"))?;
        let lifetime = reply.expires_in.unwrap_or(0).clamp(DEFAULT_LIFETIME, 24 * 3600);
        let until = Instant::now() + Duration::from_secs(lifetime).saturating_sub(MARGIN);
        Ok(Some(Token { header: format!("Bearer {token}"), until }))
    }

    fn query(&self, mut url: Url) -> Url {
        if let Some(service) = &self.service {
            url = url.with_query("service", service);
        }
        url = url.with_query("client_id", CLIENT_ID);
        self.scopes.iter().fold(url, |url, scope| url.with_query("scope", scope))
    }

    fn get(&self, client: &Client, url: &Url, authorization: Option<&str>) -> Result<Answer> {
        let subject = self.subject();
        let exchange = Exchange::new(Method::GET, &subject);
        client.exchange(&exchange, url, authorization)
    }

    fn refresh(&self, client: &Client, url: &Url, token: &str) -> Result<Answer> {
        let mut form = format!(
            "grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={}",
            encode(token)
        );
        for (name, value) in
            [("service", self.service.clone()), ("scope", Some(self.scopes.join(" ")))]
        {
            if let Some(value) = value {
                form.extend(["&", name, "=", &encode(&value)]);
            }
        }
        let subject = self.subject();
        let exchange = Exchange::new(Method::POST, &subject)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(Body::Bytes(form.as_bytes()));
        client.exchange(&exchange, url, None)
    }

    fn subject(&self) -> String {
        format!("log in to {}", self.name)
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::Protocol {
            subject: self.subject(),
            host: self.name.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_union(ours: &[&str], asked: &[&str], expected: &[&str]) {
        let own = |scopes: &[&str]| scopes.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        assert_eq!(union(&own(ours), &own(asked)), own(expected));
    }

    #[test]
    fn scopes_of_the_challenge_are_added_where_new() {
        let push = "repository:a/b:pull,push";
        check_union(&[push], &["repository:a/b:pull"], &[push]);
        check_union(&[push], &["repository:c:pull"], &[push, "repository:c:pull"]);
        check_union(&[], &["registry:catalog:*"], &["registry:catalog:*"]);
    }
}
