//! Mounts: what each type takes and what it becomes.

use super::{Access, BindMount, CacheMount, Mount, MountError, MountSpec, Sharing};
use crate::ast::Word;
use crate::span::Span;

fn read(text: &str) -> (Mount, Vec<String>) {
    let mut diagnostics = Vec::new();
    let word = Word { raw: text.to_owned(), span: Span::between(0, text.len()) };
    let mount = Mount::read(&word, &mut diagnostics);
    let render = |d: crate::Diagnostic| match d.help {
        Some(help) => format!("{} [{}] ({help})", d.message, d.span.slice(text)),
        None => format!("{} [{}]", d.message, d.span.slice(text)),
    };
    (mount, diagnostics.into_iter().map(render).collect())
}

#[track_caller]
fn spec(text: &str) -> MountSpec {
    let (mount, diagnostics) = read(text);
    assert_eq!(diagnostics, Vec::<String>::new(), "{text}");
    mount.resolve(|word| Ok::<_, MountError>(word.raw.clone())).expect(text)
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(read(text).1, [expected], "{text}");
}

#[test]
fn bind_is_the_default_type() {
    let expected = BindMount {
        target: "/src".to_owned(),
        source: "/".to_owned(),
        from: None,
        access: Access::ReadOnly,
    };
    assert_eq!(spec("target=/src"), MountSpec::Bind(expected.clone()));
    assert_eq!(spec("type=bind,dst=/src,ro"), MountSpec::Bind(expected.clone()));
    let writable = BindMount {
        access: Access::ReadWrite,
        from: Some("base".to_owned()),
        source: "a".to_owned(),
        ..expected
    };
    assert_eq!(spec("target=/src,rw,from=base,src=a"), MountSpec::Bind(writable));
}

#[test]
fn cache_has_its_own_options() {
    let expected = CacheMount {
        target: "/root/.npm".to_owned(),
        id: Some("npm".to_owned()),
        from: None,
        source: "/".to_owned(),
        sharing: Sharing::Locked,
        access: Access::ReadWrite,
        mode: Some(0o777),
        uid: Some(1000),
        gid: None,
    };
    let text = "TYPE=cache,target=/root/.npm,id=npm,sharing=locked,mode=0777,uid=1000";
    assert_eq!(spec(text), MountSpec::Cache(expected));
}

#[test]
fn secrets_find_their_name_and_place() {
    let MountSpec::Secret(by_id) = spec("type=secret,id=npmrc") else { panic!("no secret") };
    assert_eq!(by_id.target.as_deref(), Some("/run/secrets/npmrc"));
    assert_eq!((by_id.mode, by_id.required), (0o400, false));
    let MountSpec::Secret(by_target) = spec("type=secret,target=/x/token,required") else {
        panic!("no secret")
    };
    assert_eq!((by_target.id.as_str(), by_target.required), ("token", true));
    let MountSpec::Secret(env) = spec("type=secret,id=t,env=TOKEN") else { panic!("no secret") };
    assert_eq!((env.target, env.env.as_deref()), (None, Some("TOKEN")));
}

#[test]
fn tmpfs_sizes_are_binary() {
    let size = |text: &str| match spec(&format!("type=tmpfs,target=/t,size={text}")) {
        MountSpec::Tmpfs(tmpfs) => tmpfs.size,
        _ => None,
    };
    assert_eq!(size("64m"), Some(64 << 20));
    assert_eq!(size("1.5g"), Some(3 << 29));
    assert_eq!(size("10"), Some(10));
    assert_eq!(size("2KiB"), Some(2048));
}

#[test]
fn mistakes_name_the_option() {
    check_error(
        "typ=cache,target=/x",
        "unknown mount option `typ` [typ=cache] (did you mean `type`?)",
    );
    check_error(
        "type=cach,target=/x",
        "invalid value `cach` for mount option `type`: no such mount type [type=cach] (did you mean `cache`?)",
    );
    check_error("target", "mount option `target` needs a value [target] (write `target=…`)");
    check_error("type=bind", "a mount of type `bind` needs `target` [type=bind]");
    check_error("target=/x,uid=1", "mount option `uid` is not for mounts of type `bind` [uid=1]");
    check_error(
        "target=/x/..,from=$BASE",
        "`from` of a mount cannot hold a variable [$BASE] (give the image a name with `FROM $IMAGE AS name` and write `from=name`)",
    );
    check_error(
        "target=//.",
        "invalid value `//.` for mount option `target`: the root directory cannot be mounted over [target=//.]",
    );
    check_error(
        "target=/x,ro=maybe",
        "invalid value `maybe` for mount option `readonly`: `true` or `false` is expected [ro=maybe]",
    );
}

#[test]
fn variables_wait_for_resolve() {
    let (mount, diagnostics) = read("type=$T,target=/x");
    assert!(diagnostics.is_empty());
    let expand = |word: &Word| Ok::<_, MountError>(word.raw.replace("$T", "tmpfs"));
    assert!(matches!(mount.resolve(expand), Ok(MountSpec::Tmpfs(_))));
}
