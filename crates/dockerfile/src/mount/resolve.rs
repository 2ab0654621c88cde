//! From options to a checked mount.

use super::{
    Access, BindMount, CacheMount, Mount, MountError, MountKey, MountOption, MountSpec,
    SecretMount, Sharing, SshMount, TmpfsMount,
};
use crate::ast::Word;
use crate::bool::go_bool;
use crate::span::Span;
use crate::suggest::suggest;

const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [&str; 3] = ["shared", "private", "locked"];

/// The values of all options, expanded; of each the last.
#[derive(Default)]
struct Values {
    kind: Option<(String, Span)>,
    from: Option<(String, Span)>,
    source: Option<(String, Span)>,
    target: Option<(String, Span)>,
    id: Option<(String, Span)>,
    sharing: Option<(String, Span)>,
    size: Option<(String, Span)>,
    mode: Option<(String, Span)>,
    uid: Option<(String, Span)>,
    gid: Option<(String, Span)>,
    env: Option<(String, Span)>,
    required: Option<(bool, Span)>,
    access: Option<Access>,
}

pub(super) fn resolve<E: From<MountError>>(
    mount: &Mount,
    mut expand: impl FnMut(&Word) -> Result<String, E>,
) -> Result<MountSpec, E> {
    let mut values = Values::default();
    for option in &mount.options {
        let value = match (&option.value, option.key) {
            (None, _) => None,
            (Some(word), MountKey::From) => Some(word.raw.clone()),
            (Some(word), _) => Some(expand(word)?),
        };
        values.set(option, value)?;
    }
    Ok(values.spec(mount.span)?)
}

impl Values {
    fn set(&mut self, option: &MountOption, value: Option<String>) -> Result<(), MountError> {
        let span = option.span;
        let flag = |value: Option<String>| match value {
            None => Ok(true),
            Some(text) => parse_bool(option.key.name(), &text, span),
        };
        let text = |value: Option<String>| value.map(|text| (text, span));
        let access = |writable| if writable { Access::ReadWrite } else { Access::ReadOnly };
        match option.key {
            MountKey::Type => self.kind = text(value),
            MountKey::From => self.from = text(value),
            MountKey::Source => self.source = text(value),
            MountKey::Target => self.target = text(value),
            MountKey::Id => self.id = text(value),
            MountKey::Sharing => self.sharing = text(value),
            MountKey::Size => self.size = text(value),
            MountKey::Mode => self.mode = text(value),
            MountKey::Uid => self.uid = text(value),
            MountKey::Gid => self.gid = text(value),
            MountKey::Env => self.env = text(value),
            MountKey::Required => self.required = Some((flag(value)?, span)),
            MountKey::ReadOnly => self.access = Some(access(!flag(value)?)),
            MountKey::ReadWrite => self.access = Some(access(flag(value)?)),
        }
        Ok(())
    }

    fn spec(self, span: Span) -> Result<MountSpec, MountError> {
        let kind = match &self.kind {
            None => "bind",
            Some((text, span)) => choose("type", text, &KINDS, "no such mount type", *span)?,
        };
        self.check_foreign(kind)?;
        match kind {
            "bind" => self.bind(span).map(MountSpec::Bind),
            "cache" => self.cache(span).map(MountSpec::Cache),
            "tmpfs" => self.tmpfs(span).map(MountSpec::Tmpfs),
            "secret" => self.secret(span).map(MountSpec::Secret),
            _ => self.ssh().map(MountSpec::Ssh),
        }
    }

    /// Options that another type has and this one has not.
    fn check_foreign(&self, kind: &'static str) -> Result<(), MountError> {
        let span = |value: &Option<(String, Span)>| value.as_ref().map(|(_, span)| *span);
        let secret_or_ssh = matches!(kind, "secret" | "ssh");
        let has_owner = secret_or_ssh || kind == "cache";
        let rules = [
            ("mode", span(&self.mode), has_owner),
            ("uid", span(&self.uid), has_owner),
            ("gid", span(&self.gid), has_owner),
            ("size", span(&self.size), kind == "tmpfs"),
            ("sharing", span(&self.sharing), kind == "cache"),
            ("required", self.required.map(|(_, span)| span), secret_or_ssh),
            ("env", span(&self.env), kind == "secret"),
            // Elsewhere they are without effect, which `BuildKit` lets pass.
            ("from", span(&self.from), kind != "secret"),
            ("source", span(&self.source), kind != "ssh"),
        ];
        for (key, place, allowed) in rules {
            if let (Some(span), false) = (place, allowed) {
                return Err(MountError::NotForType { key, kind, span });
            }
        }
        Ok(())
    }

    fn bind(self, span: Span) -> Result<BindMount, MountError> {
        Ok(BindMount {
            target: target("bind", self.target, span)?,
            source: non_empty(self.source).unwrap_or_else(|| "/".to_owned()),
            from: non_empty(self.from),
            access: self.access.unwrap_or(Access::ReadOnly),
        })
    }

    fn cache(self, span: Span) -> Result<CacheMount, MountError> {
        let sharing = match &self.sharing {
            None => Sharing::Shared,
            Some((text, span)) => {
                match choose("sharing", text, &SHARINGS, "no such way of sharing", *span)? {
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => Sharing::Shared,
                }
            }
        };
        Ok(CacheMount {
            target: target("cache", self.target, span)?,
            id: non_empty(self.id),
            from: non_empty(self.from),
            source: non_empty(self.source).unwrap_or_else(|| "/".to_owned()),
            sharing,
            access: self.access.unwrap_or(Access::ReadWrite),
            mode: number("mode", self.mode.as_ref(), 8)?,
            uid: number("uid", self.uid.as_ref(), 10)?,
            gid: number("gid", self.gid.as_ref(), 10)?,
        })
    }

    fn tmpfs(self, span: Span) -> Result<TmpfsMount, MountError> {
        let size = match &self.size {
            None => None,
            Some((text, span)) => {
                Some(parse_size(text).ok_or_else(|| MountError::InvalidValue {
                    key: "size",
                    value: text.clone(),
                    expected: "a size such as `64m` is expected",
                    near: None,
                    span: *span,
                })?)
            }
        };
        Ok(TmpfsMount { target: target("tmpfs", self.target, span)?, size })
    }

    fn secret(self, span: Span) -> Result<SecretMount, MountError> {
        let (source, id) = (non_empty(self.source), non_empty(self.id));
        if source.is_some() && id.is_some() {
            return Err(MountError::SourceAndId { span });
        }
        let target = non_empty(self.target);
        let base = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let id = id.or(source).or_else(|| target.as_ref().map(base));
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Err(MountError::MissingOption { kind: "secret", needed: "id", span });
        };
        let env = non_empty(self.env);
        let target = match (target, &env) {
            (Some(target), _) => Some(target),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", base(&id))),
        };
        Ok(SecretMount {
            id,
            target,
            env,
            required: self.required.is_some_and(|(required, _)| required),
            mode: number("mode", self.mode.as_ref(), 8)?.unwrap_or(0o400),
            uid: number("uid", self.uid.as_ref(), 10)?.unwrap_or(0),
            gid: number("gid", self.gid.as_ref(), 10)?.unwrap_or(0),
        })
    }

    fn ssh(self) -> Result<SshMount, MountError> {
        Ok(SshMount {
            id: non_empty(self.id).unwrap_or_else(|| "default".to_owned()),
            target: non_empty(self.target),
            required: self.required.is_some_and(|(required, _)| required),
            mode: number("mode", self.mode.as_ref(), 8)?.unwrap_or(0o600),
            uid: number("uid", self.uid.as_ref(), 10)?.unwrap_or(0),
            gid: number("gid", self.gid.as_ref(), 10)?.unwrap_or(0),
        })
    }
}

fn non_empty(value: Option<(String, Span)>) -> Option<String> {
    value.map(|(text, _)| text).filter(|text| !text.is_empty())
}

/// The target; `/` would hide the whole root file system.
fn target(
    kind: &'static str,
    value: Option<(String, Span)>,
    span: Span,
) -> Result<String, MountError> {
    let span = value.as_ref().map_or(span, |(_, span)| *span);
    let Some(target) = non_empty(value) else {
        return Err(MountError::MissingOption { kind, needed: "target", span });
    };
    let is_root = target.starts_with('/') && target.split('/').all(|part| matches!(part, "" | "."));
    if is_root {
        return Err(MountError::InvalidValue {
            key: "target",
            value: target,
            expected: "the root directory cannot be mounted over",
            near: None,
            span,
        });
    }
    Ok(target)
}

fn choose(
    key: &'static str,
    text: &str,
    values: &[&'static str],
    expected: &'static str,
    span: Span,
) -> Result<&'static str, MountError> {
    let found = values.iter().find(|value| value.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| MountError::InvalidValue {
        key,
        value: text.to_owned(),
        expected,
        near: suggest(text, values.iter().copied()),
        span,
    })
}

fn parse_bool(key: &'static str, text: &str, span: Span) -> Result<bool, MountError> {
    go_bool(text).ok_or_else(|| MountError::InvalidValue {
        key,
        value: text.to_owned(),
        expected: "`true` or `false` is expected",
        near: None,
        span,
    })
}

fn number(
    key: &'static str,
    value: Option<&(String, Span)>,
    radix: u32,
) -> Result<Option<u32>, MountError> {
    let Some((text, span)) = value else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(text, radix) {
        Ok(number) if digits => Ok(Some(number)),
        _ => Err(MountError::InvalidValue {
            key,
            value: text.clone(),
            expected: if radix == 8 {
                "an octal number is expected"
            } else {
                "a number is expected"
            },
            near: None,
            span: *span,
        }),
    }
}

/// A size in bytes as `docker/go-units` reads it (`RAMInBytes`): a number with a binary unit.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().trim_end_matches("ib").trim_end_matches('b');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let (whole, fraction) = number.split_once('.')?;
    let fraction = fraction.get(..fraction.len().min(6))?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let whole = whole.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    whole.checked_add(u64::try_from(u128::from(part) * (1_u128 << shift) / u128::from(scale)).ok()?)
}
