//! What the fake registry answers when nothing is to go wrong.

use lathe_oci::Digest;

use super::{
    Access, Content,
    http::{Incoming, Reply, form},
};

/// A path of the API, taken apart.
enum Route<'a> {
    Base,
    Token,
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Start(&'a str),
    Upload(&'a str, &'a str),
    Tags(&'a str),
}

fn parse(path: &str) -> Option<Route<'_>> {
    match path {
        "/v2/" | "/v2" => return Some(Route::Base),
        "/token" => return Some(Route::Token),
        _ => {}
    }
    let rest = path.strip_prefix("/v2/")?;
    if let Some(repository) = rest.strip_suffix("/tags/list") {
        return Some(Route::Tags(repository));
    }
    if let Some(repository) = rest.strip_suffix("/blobs/uploads/") {
        return Some(Route::Start(repository));
    }
    let (front, last) = rest.rsplit_once('/')?;
    if let Some(repository) = front.strip_suffix("/blobs/uploads") {
        return Some(Route::Upload(repository, last));
    }
    if let Some(repository) = front.strip_suffix("/manifests") {
        return Some(Route::Manifest(repository, last));
    }
    front.strip_suffix("/blobs").map(|repository| Route::Blob(repository, last))
}

/// Does what a request asks for.
pub(super) fn route(content: &mut Content, incoming: &Incoming) -> Reply {
    let Some(route) = parse(incoming.path()) else {
        return Reply::error(404, "NAME_UNKNOWN", "no such path");
    };
    if matches!(route, Route::Token) {
        return token(content, incoming);
    }
    if let Some(refusal) = check_access(content, incoming, &route) {
        return refusal;
    }
    match (incoming.method.as_str(), route) {
        ("GET", Route::Base) => Reply::new(200).body(b"{}".to_vec()),
        ("GET" | "HEAD", Route::Manifest(repository, name)) => {
            get_manifest(content, repository, name)
        }
        ("PUT", Route::Manifest(repository, name)) => {
            put_manifest(content, incoming, repository, name)
        }
        ("GET" | "HEAD", Route::Blob(repository, digest)) => {
            get_blob(content, incoming, repository, digest)
        }
        ("POST", Route::Start(repository)) => start_upload(content, incoming, repository),
        ("GET", Route::Upload(repository, id)) => upload_status(content, repository, id, 204),
        ("PATCH", Route::Upload(repository, id)) => patch_upload(content, incoming, repository, id),
        ("PUT", Route::Upload(repository, id)) => finish_upload(content, incoming, repository, id),
        ("DELETE", Route::Upload(_, id)) => {
            content.uploads.remove(id);
            Reply::new(204)
        }
        ("GET", Route::Tags(repository)) => tags(content, repository),
        _ => Reply::error(405, "UNSUPPORTED", "the operation is unsupported"),
    }
}

/// Keeps what arrived of an upload whose connection is about to be cut.
pub(super) fn keep_partial(content: &mut Content, incoming: &Incoming) {
    if let Some(Route::Upload(_, id)) = parse(incoming.path())
        && let Some(upload) = content.uploads.get_mut(id)
    {
        upload.extend_from_slice(&incoming.body);
    }
}

/// Refuses a request that lacks what the registry wants to see.
fn check_access(content: &Content, incoming: &Incoming, route: &Route<'_>) -> Option<Reply> {
    let given = incoming.header("authorization");
    let unauthorized = |challenge: &str| {
        Reply::error(401, "UNAUTHORIZED", "authentication required")
            .header("WWW-Authenticate", challenge)
    };
    match &content.access {
        Access::Open => None,
        Access::Basic(user, password) => (given != Some(basic(user, password).as_str()))
            .then(|| unauthorized("Basic realm=\"fake\"")),
        Access::Bearer(..) => {
            let needed = needed_scopes(incoming, route);
            let granted = given
                .and_then(|value| value.strip_prefix("Bearer "))
                .and_then(|token| content.tokens.get(token));
            if granted.is_some_and(|granted| needed.iter().all(|scope| granted.contains(scope))) {
                return None;
            }
            let host = incoming.header("host").unwrap_or_default();
            let scope = match needed.first() {
                Some(scope) => format!(",scope=\"{scope}\""),
                None => String::new(),
            };
            Some(unauthorized(&format!(
                "Bearer realm=\"http://{host}/token\",service=\"fake\"{scope}"
            )))
        }
    }
}

fn needed_scopes(incoming: &Incoming, route: &Route<'_>) -> Vec<String> {
    let reads = matches!(incoming.method.as_str(), "GET" | "HEAD");
    match route {
        Route::Base | Route::Token => Vec::new(),
        Route::Manifest(repository, _)
        | Route::Blob(repository, _)
        | Route::Tags(repository)
        | Route::Start(repository)
        | Route::Upload(repository, _) => {
            let mut scopes = vec![format!("repository:{repository}:pull")];
            if !reads {
                scopes[0] = format!("repository:{repository}:push");
                let from = incoming.query("from");
                scopes.extend(from.iter().map(|from| format!("repository:{from}:pull")));
            }
            scopes
        }
    }
}

/// Gives out a token, for pulls to anybody and for pushes to the user.
fn token(content: &mut Content, incoming: &Incoming) -> Reply {
    let Access::Bearer(user, password) = content.access.clone() else { return Reply::new(404) };
    let body = String::from_utf8_lossy(&incoming.body).into_owned();
    let (known, asked) = if incoming.method == "POST" {
        let refresh = form(&body, "refresh_token");
        if refresh != [password] {
            return Reply::new(401).body(b"{\"details\":\"bad refresh token\"}".to_vec());
        }
        let scopes = form(&body, "scope").join(" ");
        (true, scopes.split(' ').map(str::to_owned).collect())
    } else {
        match incoming.header("authorization") {
            None => (false, incoming.query("scope")),
            Some(given) if given == basic(&user, &password) => (true, incoming.query("scope")),
            Some(_) => {
                let details = b"{\"details\":\"incorrect username or password\"}";
                return Reply::new(401).body(details.to_vec());
            }
        }
    };
    let mut granted = Vec::new();
    for scope in asked {
        let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
        for action in actions.split(',').filter(|action| known || *action == "pull") {
            granted.push(format!("{resource}:{action}"));
        }
    }
    content.counter += 1;
    let token = format!("token-{}", content.counter);
    content.tokens.insert(token.clone(), granted);
    let reply = serde_json::json!({ "token": token, "expires_in": 300 });
    Reply::new(200).body(reply.to_string().into_bytes())
}

fn get_manifest(content: &Content, repository: &str, name: &str) -> Reply {
    match content.manifests.get(&(repository.to_owned(), name.to_owned())) {
        None => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        Some((media_type, bytes)) => Reply::new(200)
            .header("Content-Type", media_type)
            .header("Docker-Content-Digest", &Digest::of(bytes).to_string())
            .body(bytes.clone()),
    }
}

fn put_manifest(content: &mut Content, incoming: &Incoming, repository: &str, name: &str) -> Reply {
    let digest = Digest::of(&incoming.body);
    if name.contains(':') && name != digest.to_string() {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match");
    }
    if let Some(missing) = missing_blob(content, repository, &incoming.body) {
        return Reply::error(400, "MANIFEST_BLOB_UNKNOWN", &missing);
    }
    let media_type = incoming.header("content-type").unwrap_or_default().to_owned();
    for name in [name.to_owned(), digest.to_string()] {
        let value = (media_type.clone(), incoming.body.clone());
        content.manifests.insert((repository.to_owned(), name), value);
    }
    Reply::new(201)
        .header("Docker-Content-Digest", &digest.to_string())
        .header("Location", &format!("/v2/{repository}/manifests/{digest}"))
}

/// Returns the first blob that a manifest names and the repository lacks.
fn missing_blob(content: &Content, repository: &str, manifest: &[u8]) -> Option<String> {
    let manifest = lathe_oci::Manifest::parse(manifest).ok()?;
    let blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
    blobs
        .filter(|blob| blob.urls.is_empty())
        .find(|blob| !content.links.contains(&(repository.to_owned(), blob.digest)))
        .map(|blob| blob.digest.to_string())
}

fn get_blob(content: &Content, incoming: &Incoming, repository: &str, digest: &str) -> Reply {
    let unknown = || Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    let Ok(digest) = digest.parse::<Digest>() else { return unknown() };
    if !content.links.contains(&(repository.to_owned(), digest)) {
        return unknown();
    }
    let Some(bytes) = content.blobs.get(&digest) else { return unknown() };
    let reply = Reply::new(200)
        .header("Content-Type", "application/octet-stream")
        .header("Docker-Content-Digest", &digest.to_string());
    let start = incoming
        .header("range")
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split('-').next())
        .and_then(|start| start.parse::<usize>().ok());
    match start {
        None => reply.body(bytes.clone()),
        Some(start) if start >= bytes.len() => Reply::new(416),
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            Reply { status: 206, ..reply }
                .header("Content-Range", &range)
                .body(bytes[start..].to_vec())
        }
    }
}

fn start_upload(content: &mut Content, incoming: &Incoming, repository: &str) -> Reply {
    if let (Some(mount), Some(from)) =
        (incoming.query("mount").first(), incoming.query("from").first())
        && let Ok(digest) = mount.parse::<Digest>()
        && content.links.contains(&(from.clone(), digest))
    {
        content.links.insert((repository.to_owned(), digest));
        return Reply::new(201).header("Location", &format!("/v2/{repository}/blobs/{digest}"));
    }
    content.counter += 1;
    let id = format!("upload-{}", content.counter);
    content.uploads.insert(id.clone(), Vec::new());
    upload_status(content, repository, &id, 202)
}

/// Tells where an upload goes on and how far it is. The query makes sure that clients use
/// the location that they are given.
fn upload_status(content: &Content, repository: &str, id: &str, status: u16) -> Reply {
    let Some(upload) = content.uploads.get(id) else {
        return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    };
    let last = upload.len().saturating_sub(1);
    Reply::new(status)
        .header("Location", &format!("/v2/{repository}/blobs/uploads/{id}?state={}", upload.len()))
        .header("Range", &format!("0-{last}"))
}

/// Refuses a request whose location is not the one that was given out last.
fn check_state(content: &Content, incoming: &Incoming, id: &str) -> Option<Reply> {
    let have = content.uploads.get(id).map(Vec::len);
    let state = incoming.query("state").first().and_then(|text| text.parse().ok());
    match have {
        None => Some(Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")),
        Some(have) if state != Some(have) => {
            Some(Reply::error(400, "BLOB_UPLOAD_INVALID", "upload resumed at wrong offset"))
        }
        Some(_) => None,
    }
}

fn patch_upload(content: &mut Content, incoming: &Incoming, repository: &str, id: &str) -> Reply {
    if let Some(refusal) = check_state(content, incoming, id) {
        return refusal;
    }
    let upload = content.uploads.entry(id.to_owned()).or_default();
    let expected = format!("{}-{}", upload.len(), upload.len() + incoming.body.len() - 1);
    if incoming.header("content-range").is_some_and(|range| range != expected) {
        return Reply::error(416, "RANGE_INVALID", "invalid content range");
    }
    upload.extend_from_slice(&incoming.body);
    upload_status(content, repository, id, 202)
}

fn finish_upload(content: &mut Content, incoming: &Incoming, repository: &str, id: &str) -> Reply {
    if let Some(refusal) = check_state(content, incoming, id) {
        return refusal;
    }
    let mut bytes = content.uploads.remove(id).unwrap_or_default();
    bytes.extend_from_slice(&incoming.body);
    let digest = Digest::of(&bytes);
    if incoming.query("digest") != [digest.to_string()] {
        return Reply::error(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        );
    }
    content.blobs.insert(digest, bytes);
    content.links.insert((repository.to_owned(), digest));
    Reply::new(201)
        .header("Docker-Content-Digest", &digest.to_string())
        .header("Location", &format!("/v2/{repository}/blobs/{digest}"))
}

fn tags(content: &Content, repository: &str) -> Reply {
    let tags: Vec<&str> = content
        .manifests
        .keys()
        .filter(|(known, name)| known == repository && !name.contains(':'))
        .map(|(_, name)| name.as_str())
        .collect();
    let document = serde_json::json!({ "name": repository, "tags": tags });
    Reply::new(200).body(document.to_string().into_bytes())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// By hand, so that the tests do not check a client's encoder against itself.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
        let value = value << (8 * (3 - group.len()));
        for index in 0..4 {
            let letter = LETTERS[(value >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
