//! Whether a cluster is reached through a proxy.
//!
//! The kubeconfig's `proxy-url` holds always; otherwise `HTTPS_PROXY` or `HTTP_PROXY` by the cluster's scheme, unless
//! `NO_PROXY` matches the cluster or it is on this machine, as Kubernetes' own clients do. (kube matches `NO_PROXY`
//! against the proxy's address, which is why the choice is made here.)

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The environment's variables, as a value.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyEnvironment {
    pub(super) https: String,
    pub(super) http: String,
    pub(super) none_for: String,
}

impl ProxyEnvironment {
    pub(super) fn current() -> Self {
        let either = |upper, lower| {
            std::env::var(upper)
                .ok()
                .filter(|text| !text.is_empty())
                .or_else(|| std::env::var(lower).ok())
                .unwrap_or_default()
        };
        Self {
            https: either("HTTPS_PROXY", "https_proxy"),
            http: either("HTTP_PROXY", "http_proxy"),
            none_for: either("NO_PROXY", "no_proxy"),
        }
    }
}

/// The proxy towards a cluster, if there is one.
///
/// # Errors
/// The configured proxy is no address of a proxy. The message leaves out the address, which may hold a password.
pub(super) fn choose(
    cluster: &Uri,
    configured: Option<&str>,
    environment: &ProxyEnvironment,
) -> Result<Option<Intercept>, String> {
    const EXPECTED: &str = "is no proxy's address; it begins with http://, https:// or socks5://";
    if let Some(configured) = configured {
        return Matcher::builder()
            .all(configured)
            .build()
            .intercept(cluster)
            .map(Some)
            .ok_or_else(|| format!("its proxy-url {EXPECTED}"));
    }
    let (name, proxy) = match cluster.scheme_str() {
        Some("http") => ("HTTP_PROXY", &environment.http),
        _ => ("HTTPS_PROXY", &environment.https),
    };
    if proxy.is_empty() || cluster.host().is_none_or(is_local) {
        return Ok(None);
    }
    let all = Matcher::builder().all(proxy.clone()).build();
    if all.intercept(cluster).is_none() {
        return Err(format!("what {name} holds {EXPECTED}"));
    }
    Ok(Matcher::builder()
        .all(proxy.clone())
        .no(environment.none_for.clone())
        .build()
        .intercept(cluster))
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> ProxyEnvironment {
        ProxyEnvironment {
            https: "http://jane:secret@proxy.example:3128".to_owned(),
            http: String::new(),
            none_for: ".internal.example,10.0.0.0/8".to_owned(),
        }
    }

    fn chosen(cluster: &str, configured: Option<&str>) -> Option<String> {
        choose(&cluster.parse().unwrap(), configured, &environment())
            .unwrap()
            .map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn the_environment_decides_unless_the_cluster_is_excepted() {
        let proxy = Some("http://proxy.example:3128/".to_owned());
        assert_eq!(chosen("https://cluster.example:6443", None), proxy);
        assert_eq!(chosen("https://a.internal.example", None), None);
        assert_eq!(chosen("https://10.1.2.3:6443", None), None);
        for local in [
            "https://127.0.0.1:6443",
            "https://localhost",
            "https://[::1]:1",
        ] {
            assert_eq!(chosen(local, None), None, "{local}");
        }
        assert_eq!(chosen("http://cluster.example", None), None);
    }

    #[test]
    fn the_kubeconfig_goes_before_the_environment_and_its_exceptions() {
        assert_eq!(
            chosen("https://10.1.2.3", Some("socks5://127.0.0.1:1080")),
            Some("socks5://127.0.0.1:1080/".to_owned())
        );
    }

    #[test]
    fn what_is_no_proxy_is_an_error_without_its_password() {
        let error = choose(
            &Uri::from_static("https://cluster.example"),
            Some("ftp://jane:secret@proxy.example"),
            &environment(),
        )
        .unwrap_err();
        assert!(
            error.contains("proxy-url") && !error.contains("secret"),
            "{error}"
        );
    }
}
