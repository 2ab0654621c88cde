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
    check_error(
        "type=bind",
        "a mount of type `bind` needs `target` [type=bind] (add `,target=/path`)",
    );
    check_error(
        "target=/x,uid=1",
        "mount option `uid` is not for mounts of type `bind` [uid=1] (leave `uid` out)",
    );
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

#[test]
fn each_type_refuses_what_only_others_have() {
    for (text, key, kind) in [
        ("target=/x,mode=0755", "mode", "bind"),
        ("target=/x,gid=1", "gid", "bind"),
        ("target=/x,sharing=locked", "sharing", "bind"),
        ("type=tmpfs,target=/x,uid=1", "uid", "tmpfs"),
        ("type=cache,target=/x,size=1m", "size", "cache"),
        ("type=cache,target=/x,required", "required", "cache"),
        ("type=cache,target=/x,env=A", "env", "cache"),
        ("type=secret,id=a,from=b", "from", "secret"),
        ("type=secret,id=a,sharing=locked", "sharing", "secret"),
        ("type=ssh,source=/a", "source", "ssh"),
        ("type=ssh,size=1", "size", "ssh"),
    ] {
        let found = read(text).1;
        let expected = format!("mount option `{key}` is not for mounts of type `{kind}`");
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(&expected), "{text}: {found:?}");
    }
}

#[test]
fn options_without_effect_are_let_pass() {
    for text in ["type=tmpfs,target=/x,from=a,source=b,id=c", "type=ssh,from=a", "target=/x,id=a"] {
        assert_eq!(read(text).1, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn options_are_fields_of_a_csv_line() {
    // Go's reader takes a quote within a field without quotes for a mistake.
    assert_eq!(read("target=/a,source=\"b\"").1.len(), 1);
    let (mount, errors) = read("\"target=/a,b\",\"source=\"\"c\"");
    assert_eq!(errors, Vec::<String>::new());
    let spec = mount.resolve(|word| Ok::<_, MountError>(word.raw.clone()));
    let Ok(MountSpec::Bind(bind)) = spec else { panic!("no bind") };
    assert_eq!((bind.target.as_str(), bind.source.as_str()), ("/a,b", "\"c"));
}

#[test]
fn the_agent_has_a_socket() {
    let MountSpec::Ssh(ssh) = spec("type=ssh,mode=0666,uid=7,required=true") else {
        panic!("no ssh")
    };
    assert_eq!(
        (ssh.id.as_str(), ssh.target, ssh.mode, ssh.uid, ssh.gid, ssh.required),
        ("default", None, 0o666, 7, 0, true)
    );
}

#[test]
fn secrets_have_one_name() {
    check_error(
        "type=secret,id=a,source=b",
        "a secret takes `source` or `id`, not both [type=secret,id=a,source=b] (leave `source` out)",
    );
    check_error(
        "type=secret",
        "a mount of type `secret` needs `id` [type=secret] (add `,id=name`)",
    );
    let MountSpec::Secret(both) = spec("type=secret,id=a,env=A,target=/x") else {
        panic!("no secret")
    };
    assert_eq!((both.target.as_deref(), both.env.as_deref()), (Some("/x"), Some("A")));
}
