//! Finding and reading the configuration: a kubeconfig, or the service account of the pod we run in.
//!
//! Reading is blocking and happens again at each renewal, from the same place and for the same context as the first time:
//! a changed `current-context` never moves a running client to another cluster. Nothing is taken silently from a second
//! source when the first one is broken. What a kubeconfig holds is never repeated in an error, only where it is wrong.

use std::ffi::OsString;
use std::path::PathBuf;

use http::Uri;
use kube::Config;

use super::error::ClientError;
use super::kubeconfig::load_files;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What is looked at outside of the program, as a value, so that it can be replaced in tests.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// `KUBECONFIG`.
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    service: (Option<String>, Option<String>),
    service_account: PathBuf,
}

impl Environment {
    pub(super) fn current() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            service: (
                text("KUBERNETES_SERVICE_HOST"),
                text("KUBERNETES_SERVICE_PORT"),
            ),
            service_account: SERVICE_ACCOUNT.into(),
        }
    }

    /// A pod's, with its service account in this directory.
    #[cfg(test)]
    pub(super) fn pod(service_account: PathBuf, host: &str, port: u16) -> Self {
        Self {
            kubeconfig: None,
            home: None,
            service: (Some(host.to_owned()), Some(port.to_string())),
            service_account,
        }
    }

    /// The files that `KUBECONFIG` names.
    fn named_files(&self) -> Vec<PathBuf> {
        let list = self.kubeconfig.as_deref().unwrap_or_default();
        std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect()
    }

    fn default_file(&self) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".kube").join("config"))
    }
}

/// What a client is configured from.
#[derive(Clone, Debug, Default)]
pub(super) enum Source {
    /// Whatever there is: `KUBECONFIG`, the default kubeconfig, the service account.
    #[default]
    Infer,
    /// These files, merged; those that do not exist are skipped as long as one does.
    Files(Vec<PathBuf>),
    /// The service account of the pod that we run in.
    InCluster,
    /// A configuration that the caller made.
    Given(Box<Config>),
}

/// A configuration that was read, and how to read it again.
pub(super) struct Loaded {
    pub(super) config: Config,
    /// Where it came from; never [`Source::Infer`].
    pub(super) source: Source,
    /// The context in a kubeconfig.
    pub(super) context: Option<String>,
    /// For messages.
    pub(super) origin: String,
    /// The proxy that the kubeconfig asks for.
    pub(super) proxy: Option<String>,
    /// Whether the environment may ask for one.
    pub(super) proxy_by_environment: bool,
}

impl Source {
    /// What [`Source::Infer`] means at this moment; none if nothing is configured.
    pub(super) fn settle(&self, environment: &Environment) -> Option<Self> {
        if !matches!(self, Self::Infer) {
            return Some(self.clone());
        }
        let named = environment.named_files();
        if !named.is_empty() {
            return Some(Self::Files(named));
        }
        let pod = environment.service.0.is_some();
        match environment.default_file() {
            // Where the home directory may not be looked into, there may be a file, which is not the same as none. In a
            // pod it only means that the user's id was changed.
            Some(path) if path.try_exists().unwrap_or(!pod) => Some(Self::Files(vec![path])),
            _ if pod => Some(Self::InCluster),
            _ => None,
        }
    }
}

/// Reads the configuration. Blocking.
pub(super) fn load(
    source: &Source,
    context: Option<&str>,
    environment: &Environment,
) -> Result<Loaded, ClientError> {
    let source = source
        .settle(environment)
        .ok_or_else(|| not_configured(environment))?;
    match &source {
        Source::Files(paths) => load_files(paths, context),
        _ if context.is_some() => Err(ClientError::configuration(
            "client configuration",
            "a context was chosen, but there is no kubeconfig that could have it",
        )),
        Source::Given(config) => Ok(Loaded {
            config: (**config).clone(),
            context: None,
            origin: "the given configuration".to_owned(),
            proxy: config.proxy_url.as_ref().map(ToString::to_string),
            proxy_by_environment: false,
            source,
        }),
        Source::InCluster | Source::Infer => load_service_account(environment),
    }
}

fn not_configured(environment: &Environment) -> ClientError {
    let default = match environment.default_file() {
        Some(path) => format!("{} does not exist", path.display()),
        None => "there is no home directory".to_owned(),
    };
    ClientError::not_configured(format!(
        "no cluster is configured: KUBECONFIG is not set, {default}, and this is not a pod (KUBERNETES_SERVICE_HOST is not set)"
    ))
}

fn load_service_account(environment: &Environment) -> Result<Loaded, ClientError> {
    let origin = "in-cluster configuration".to_owned();
    let wrong = |reason: String| ClientError::configuration(origin.clone(), reason);
    let (Some(host), Some(port)) = &environment.service else {
        return Err(wrong(
            "this is not a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
                .to_owned(),
        ));
    };
    let cluster_url = service_url(host, port).ok_or_else(|| {
        wrong(format!(
            "KUBERNETES_SERVICE_HOST {host:?} and KUBERNETES_SERVICE_PORT {port:?} make no address"
        ))
    })?;
    let file = |name: &str| environment.service_account.join(name);
    let read = |name: &str| {
        std::fs::read_to_string(file(name)).map_err(|error| {
            wrong(format!(
                "{} cannot be read: {error}; does the pod mount its service account's token (automountServiceAccountToken)?",
                file(name).display()
            ))
        })
    };
    let namespace = read("namespace")?;
    read("ca.crt")?;
    let mut config = Config::new(cluster_url);
    config.default_namespace = namespace_or_default(&namespace);
    // Verification is by the file, which is read again as it is rotated; the certificates here would only be the first.
    config.root_cert = Some(Vec::new());
    config.root_cert_file = Some(file("ca.crt"));
    config.auth_info.token_file = Some(file("token").display().to_string());
    Ok(Loaded {
        config,
        source: Source::InCluster,
        context: None,
        origin,
        proxy: None,
        proxy_by_environment: true,
    })
}

fn service_url(host: &str, port: &str) -> Option<Uri> {
    let (host, port) = (host.trim(), port.trim().parse::<u16>().ok()?);
    let host = match host.parse() {
        Ok(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    };
    format!("https://{host}:{port}").parse().ok()
}

/// A namespace as written in a file, with its line end, or what is meant by none.
pub(super) fn namespace_or_default(text: &str) -> String {
    match text.trim() {
        "" => "default".to_owned(),
        namespace => namespace.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn environment(directory: &Path) -> Environment {
        Environment {
            kubeconfig: None,
            home: Some(directory.to_owned()),
            service: (None, None),
            service_account: directory.join("account"),
        }
    }

    fn write(path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn kubeconfig(name: &str, current: bool) -> String {
        let current = if current {
            format!("current-context: {name}\n")
        } else {
            String::new()
        };
        format!(
            "apiVersion: v1\nkind: Config\n{current}\
             clusters: [{{name: {name}, cluster: {{server: 'https://{name}.example:6443'}}}}]\n\
             users: [{{name: {name}, user: {{token: secret-of-{name}}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}, namespace: {name}-space}}}}]\n"
        )
    }

    fn infer(environment: &Environment, context: Option<&str>) -> Result<Loaded, ClientError> {
        load(&Source::Infer, context, environment)
    }

    #[test]
    fn nothing_configured_is_told_from_something_broken() {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = environment(directory.path());
        assert!(Source::Infer.settle(&environment).is_none());
        let error = infer(&environment, None).err().unwrap();
        assert!(
            error.is_not_configured() && !error.is_configuration(),
            "{error}"
        );

        environment.kubeconfig = Some(directory.path().join("missing").into());
        assert!(Source::Infer.settle(&environment).is_some());
        let error = infer(&environment, None).err().unwrap();
        assert!(
            error.is_configuration() && error.to_string().contains("missing"),
            "{error}"
        );
    }

    #[test]
    fn a_kubeconfig_goes_before_the_service_account_and_kubeconfig_before_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = environment(directory.path());
        environment.service = (Some("10.0.0.1".into()), Some("443".into()));
        write(&directory.path().join("account/namespace"), "web\n");
        write(&directory.path().join("account/ca.crt"), "");
        assert!(matches!(
            infer(&environment, None).unwrap().source,
            Source::InCluster
        ));

        write(
            &directory.path().join(".kube/config"),
            &kubeconfig("home", true),
        );
        assert_eq!(infer(&environment, None).unwrap().context.unwrap(), "home");

        let named = directory.path().join("named");
        write(&named, &kubeconfig("named", true));
        environment.kubeconfig = Some(named.into());
        let loaded = infer(&environment, None).unwrap();
        assert_eq!(loaded.context.unwrap(), "named");
        assert_eq!(loaded.config.default_namespace, "named-space");
    }

    #[test]
    fn several_files_are_merged_and_those_that_do_not_exist_are_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = environment(directory.path());
        let paths = ["one", "missing", "two"].map(|name| directory.path().join(name));
        write(&paths[0], &kubeconfig("one", false));
        write(&paths[2], &kubeconfig("two", true));
        environment.kubeconfig = Some(std::env::join_paths(&paths).unwrap());
        assert_eq!(infer(&environment, None).unwrap().context.unwrap(), "two");
        let one = infer(&environment, Some("one")).unwrap();
        assert_eq!(one.config.cluster_url.host(), Some("one.example"));
        let error = infer(&environment, Some("three")).err().unwrap();
        assert!(error.is_unknown_context());
        assert!(
            error
                .to_string()
                .ends_with("no context \"three\"; it has one, two"),
            "{error}"
        );
    }

    #[test]
    fn a_pod_finds_its_service_account_with_line_ends_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = environment(directory.path());
        for (host, url) in [
            ("10.0.0.1", "https://10.0.0.1:8443/"),
            ("fd00::1", "https://[fd00::1]:8443/"),
            ("api.example", "https://api.example:8443/"),
        ] {
            write(&directory.path().join("account/namespace"), " web\n");
            write(&directory.path().join("account/ca.crt"), "");
            environment.service = (Some(host.into()), Some("8443".into()));
            let loaded = load(&Source::InCluster, None, &environment).unwrap();
            assert_eq!(loaded.config.cluster_url.to_string(), url);
            assert_eq!(loaded.config.default_namespace, "web");
        }
        std::fs::remove_file(directory.path().join("account/namespace")).unwrap();
        let error = load(&Source::InCluster, None, &environment).err().unwrap();
        assert!(error.is_configuration() && error.to_string().contains("account/namespace"));
        let error = load(&Source::InCluster, Some("x"), &environment)
            .err()
            .unwrap();
        assert!(error.to_string().contains("context"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_kubeconfig_is_said_with_its_place_and_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let good = kubeconfig("one", true);
        for (content, expected) in [
            ("a: [1\nb: secret".to_owned(), "line 2"),
            (
                good.replace("user: {token: secret-of-one}", "user: \"secret\""),
                "line 5",
            ),
            (
                good.replace("user: {token: secret-of-one}", "user: secret"),
                "line 5",
            ),
            (
                good.replace("current-context: one", "current-context: ''"),
                "choose one of one",
            ),
            (
                good.replace("cluster: one,", "cluster: two,"),
                "cluster two is not among",
            ),
            (
                good.replace("{server: 'https://one.example:6443'}", "{}"),
                "has no server",
            ),
            (
                good.replace("6443'", "6443', certificate-authority-data: c2VjcmV0"),
                "certificate authority of cluster one",
            ),
            (
                good.replace("6443'", "6443', certificate-authority: nowhere.crt"),
                "nowhere.crt",
            ),
            (String::new(), "no contexts"),
        ] {
            std::fs::write(&path, &content).unwrap();
            let source = Source::Files(vec![path.clone()]);
            let error = load(&source, None, &environment(directory.path()))
                .err()
                .unwrap();
            assert!(error.is_configuration());
            let text = error.to_string();
            assert!(
                text.contains(expected) && text.contains("config"),
                "{content}: {text}"
            );
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
