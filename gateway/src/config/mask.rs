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

/// Masks in place: values under telling names, passwords and queries in URLs, and the arguments of commands, in which a
/// secret may stand in any form.
pub(super) fn mask(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                // A path to a secret is none.
                if is_secret(name) && !name.ends_with("_file") && !value.is_null() {
                    *value = MASK.into();
                } else if name == "command"
                    && let Value::Array(arguments) = value
                {
                    let arguments = arguments.iter_mut().skip(1);
                    arguments.for_each(|argument| *argument = MASK.into());
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
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

/// A URL without the secrets in it; `None` if it has none.
fn masked(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (place, query) = match rest.split_once(['?', '#']) {
        Some((place, _)) => (place, Some(MASK)),
        None => (rest, None),
    };
    let authority = place.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_none() && query.is_none() {
        return None;
    }
    let place = match user {
        Some(user) => format!("{MASK}{}", &place[user.len()..]),
        None => place.to_owned(),
    };
    let query = query.map(|query| format!("?{query}"));
    Some(format!("{scheme}://{place}{}", query.unwrap_or_default()))
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
            "command": ["curl", "-H", "Authorization: Bearer hush", "https://lb/reload?token=hush"],
            "hook": "https://me@lb/reload?node=1&token=hush",
            "plain": "https://lb:80/reload",
            "name": "token-service",
        });
        mask(&mut value);
        assert!(!value.to_string().contains("hush"), "{value}");
        assert_eq!(value["s3"]["endpoint"], "https://***@minio.example:9000/x");
        assert_eq!(value["s3"]["credentials_file"], "/run/secrets/s3");
        assert_eq!(value["name"], "token-service");
        assert_eq!(value["command"], json!(["curl", "***", "***", "***"]));
        assert_eq!(value["hook"], "https://***@lb/reload?***");
        assert_eq!(value["plain"], "https://lb:80/reload");
    }
}
