//! Secrets are shown to nobody: what a configuration prints goes through here.

use serde_json::Value;

/// What stands for a secret.
const MASK: &str = "***";

/// What the name of a thing has in it that must not be shown.
const SECRET: [&str; 6] = [
    "secret",
    "password",
    "passwd",
    "token",
    "api_key",
    "access_key",
];

/// Masks in place: values under telling names, passwords in URLs, and `name=secret` in arguments.
pub(super) fn mask(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                // A path to a secret is none.
                if is_secret(name) && !name.ends_with("_file") && !value.is_null() {
                    *value = MASK.into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => {
            // In a command, `--password` may stand before what it means.
            let mut after_name = false;
            for item in items {
                let next = item.as_str().is_some_and(|text| {
                    text.starts_with('-') && !text.contains('=') && is_secret(text)
                });
                if after_name && item.is_string() {
                    *item = MASK.into();
                } else {
                    mask(item);
                }
                after_name = next;
            }
        }
        Value::String(text) => {
            if let Some(masked) = masked(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

/// Leaves out what is not set: nothing, and empty lists, which are not written down either.
pub(super) fn drop_absent(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| {
                !value.is_null() && value.as_array().is_none_or(|it| !it.is_empty())
            });
            entries.values_mut().for_each(drop_absent);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_absent),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET.iter().any(|part| name.contains(part))
}

/// A text without the secrets in it; `None` if it has none.
fn masked(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((_, host)) = authority.rsplit_once('@') {
            let path = &rest[authority.len()..];
            return Some(format!("{scheme}://{MASK}@{host}{path}"));
        }
    }
    let (name, _) = text.split_once('=')?;
    is_secret(name).then(|| format!("{name}={MASK}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut value = json!({
            "s3": {
                "endpoint": "https://me:hush@minio.example:9000/x",
                "secret_access_key": "hush",
                "session_token": null,
                "credentials_file": "/run/secrets/s3",
            },
            "command": ["reload", "--token=hush", "--password", "hush", "--port=80", "a=b"],
            "name": "token-service",
        });
        mask(&mut value);
        assert!(!value.to_string().contains("hush"), "{value}");
        assert_eq!(value["s3"]["endpoint"], "https://***@minio.example:9000/x");
        assert_eq!(value["s3"]["credentials_file"], "/run/secrets/s3");
        assert_eq!(value["name"], "token-service");
        assert_eq!(value["command"][4], "--port=80");
        assert_eq!(value["command"][5], "a=b");
    }
}
