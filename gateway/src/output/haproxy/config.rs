//! What of HAProxy's backends can be chosen.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::output::wire::DefaultProtocol;

/// How backends are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HaproxyConfig {
    /// Whether TCP clusters without an application protocol are backends in mode `http`, which is the default, or `tcp`.
    pub default_protocol: DefaultProtocol,
    /// Put before every name, such as `eu-1/`; empty by default.
    pub name_prefix: String,
    /// How many servers a backend has at least, 1 to 1024; 4 by default. Those without an endpoint are disabled.
    pub min_slots: u16,
    /// Where the slots are kept over a restart. Without it, a restart assigns them afresh.
    pub slots_file: Option<PathBuf>,
    /// Words for all servers, such as `check inter 2s`.
    pub default_server: Option<String>,
    /// How endpoints are reached whose application protocol is HTTPS. Without it their servers are disabled.
    pub tls: Option<TlsConfig>,
    /// How many clients a backend with session affinity remembers at most, at least 1; 100,000 by default, which is some
    /// 6 MB once it is full.
    pub stick_table_size: u32,
    /// A section `peers` of the main configuration through which the clients are remembered over a reload.
    pub peers: Option<String>,
}

impl Default for HaproxyConfig {
    fn default() -> Self {
        Self {
            default_protocol: DefaultProtocol::default(),
            name_prefix: String::new(),
            min_slots: 4,
            slots_file: None,
            default_server: None,
            tls: None,
            stick_table_size: 100_000,
            peers: None,
        }
    }
}

/// How endpoints are reached by TLS: either certificates are verified, or it is said that they are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// A file on HAProxy's side with the certificates to trust, or `@system-ca` for those of its system.
    pub ca_file: Option<String>,
    /// The name that certificates must have. Without it any name will do, as long as the issuer is trusted.
    pub verify_host: Option<String>,
    /// Whether no certificate is verified at all, which lets anybody between stand in for an endpoint.
    pub insecure_skip_verify: bool,
}

impl TlsConfig {
    /// What stands in the servers' lines.
    pub(super) fn words(&self) -> String {
        let mut words = "ssl alpn h2,http/1.1".to_owned();
        match &self.ca_file {
            Some(file) => {
                words.push_str(" verify required ca-file ");
                words.push_str(file);
            }
            None => words.push_str(" verify none"),
        }
        if let Some(host) = &self.verify_host {
            words.push_str(" verifyhost ");
            words.push_str(host);
        }
        words
    }
}

impl HaproxyConfig {
    /// Finds the first option that cannot be used.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=1024).contains(&self.min_slots) {
            return Err(ConfigError::new("min_slots", "write 1 to 1024"));
        }
        if self.stick_table_size == 0 {
            return Err(ConfigError::new("stick_table_size", "write at least 1"));
        }
        let slots_file = self.slots_file.as_deref();
        if slots_file.is_some_and(|file| file.file_name().is_none()) {
            return Err(ConfigError::new("slots_file", "it does not name a file"));
        }
        if let Some(words) = &self.default_server {
            let fits = |letter: char| letter.is_ascii_graphic() || letter == ' ';
            if words.trim().is_empty() || words.len() > 1024 || !words.chars().all(fits) {
                let what = "write words for a server's line, in printable ASCII";
                return Err(ConfigError::new("default_server", what));
            }
            if words.contains(['#', '\'', '"', '\\']) {
                let what = "leave out quotes, `#` and `\\`";
                return Err(ConfigError::new("default_server", what));
            }
        }
        if let Some(peers) = &self.peers {
            word("peers", peers)?;
        }
        self.tls.as_ref().map_or(Ok(()), TlsConfig::check)
    }
}

impl TlsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        match (&self.ca_file, self.insecure_skip_verify) {
            (Some(file), false) => word("tls.ca_file", file)?,
            (None, true) => {}
            (Some(_), true) => {
                let what = "leave it out: `insecure_skip_verify` says that nothing is verified";
                return Err(ConfigError::new("tls.ca_file", what));
            }
            (None, false) => {
                let what = "name the certificates to trust, or set `insecure_skip_verify`";
                return Err(ConfigError::new("tls.ca_file", what));
            }
        }
        match &self.verify_host {
            Some(_) if self.insecure_skip_verify => {
                let what = "leave it out: `insecure_skip_verify` says that nothing is verified";
                Err(ConfigError::new("tls.verify_host", what))
            }
            Some(host) => word("tls.verify_host", host),
            None => Ok(()),
        }
    }
}

/// A word that HAProxy reads as it is written: nothing that quotes, expands, or ends it.
fn word(field: &'static str, word: &str) -> Result<(), ConfigError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.:/@+,=%*".contains(letter);
    if word.is_empty() || word.len() > 512 || !word.chars().all(fits) {
        let what = "write letters, digits and -_.:/@+,=%* only, at most 512";
        return Err(ConfigError::new(field, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str) -> Result<HaproxyConfig, String> {
        let config: HaproxyConfig =
            serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_option_has_a_default() {
        assert_eq!(check("{}"), Ok(HaproxyConfig::default()));
    }

    #[test]
    fn options_are_read_from_yaml() {
        let config = check(
            "default_protocol: tcp\nname_prefix: eu-1/\nmin_slots: 8\nslots_file: /var/lib/slots.json\n\
             default_server: check inter 2s\ntls: {ca_file: '@system-ca', verify_host: shop.internal}\n\
             stick_table_size: 1000\npeers: local\n",
        );
        let expected = HaproxyConfig {
            default_protocol: DefaultProtocol::Tcp,
            name_prefix: "eu-1/".into(),
            min_slots: 8,
            slots_file: Some("/var/lib/slots.json".into()),
            default_server: Some("check inter 2s".into()),
            tls: Some(TlsConfig {
                ca_file: Some("@system-ca".into()),
                verify_host: Some("shop.internal".into()),
                insecure_skip_verify: false,
            }),
            stick_table_size: 1000,
            peers: Some("local".into()),
        };
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn what_haproxy_would_refuse_or_misread_is_refused_by_name() {
        for (yaml, field) in [
            ("min_slots: 0", "min_slots: "),
            ("min_slots: 1025", "min_slots: "),
            ("stick_table_size: 0", "stick_table_size: "),
            ("default_server: ''", "default_server: "),
            (
                "default_server: \"check\\nserver x 10.0.0.1:1\"",
                "default_server: ",
            ),
            ("default_server: 'check # inter 2s'", "default_server: "),
            ("default_server: check \"inter", "default_server: "),
            ("peers: a b", "peers: "),
            ("tls: {}", "tls.ca_file: "),
            (
                "tls: {ca_file: a, insecure_skip_verify: true}",
                "tls.ca_file: ",
            ),
            ("tls: {ca_file: '$HOME'}", "tls.ca_file: "),
            (
                "tls: {verify_host: a, insecure_skip_verify: true}",
                "tls.verify_host: ",
            ),
            (
                "tls: {ca_file: a, verify_host: \"a b\"}",
                "tls.verify_host: ",
            ),
        ] {
            let error = check(yaml).unwrap_err();
            assert!(error.starts_with(field), "{yaml}: {error}");
        }
    }
}
