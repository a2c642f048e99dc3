//! Certificates, keys and tokens of a control plane, made for one test.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, SigningKey as _};
use serde_json::json;

/// Who may have signed a service account's token.
const ISSUER: &str = "https://kubedex.test.invalid";

/// Everything that says who is who.
pub(super) struct Identity {
    folder: PathBuf,
    authority: String,
    service_accounts: KeyPair,
    pub(super) admin_token: String,
    pub(super) viewer_token: String,
}

impl Identity {
    /// Writes all files that a server is told of into `folder`.
    pub(super) fn new(folder: &Path, admin_token: String) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = rcgen::DnType::CommonName;
        params
            .distinguished_name
            .push(name, "kubedex test authority");
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names.push(SanType::IpAddress(loopback));
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let identity = Self {
            folder: folder.to_owned(),
            authority,
            service_accounts: KeyPair::generate().unwrap(),
            admin_token,
            viewer_token: "viewer-0123456789abcdef".to_owned(),
        };
        identity.write("ca.crt", &identity.authority);
        identity.write("server.crt", &certificate.pem());
        identity.write("server.key", &key.serialize_pem());
        let service_accounts = &identity.service_accounts;
        identity.write("service-accounts.key", &service_accounts.serialize_pem());
        identity.write("service-accounts.pub", &service_accounts.public_key_pem());
        let tokens = format!(
            "{},admin,admin,system:masters\n{},viewer,viewer\n",
            identity.admin_token, identity.viewer_token
        );
        identity.write("tokens.csv", &tokens);
        identity
    }

    /// The flags of kube-apiserver: those that versions 1.30 to 1.37 have in common.
    pub(super) fn flags(&self, port: u16, etcd_port: u16) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-issuer={ISSUER}"),
            format!(
                "--service-account-key-file={}",
                file("service-accounts.pub")
            ),
            format!(
                "--service-account-signing-key-file={}",
                file("service-accounts.key")
            ),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // Nothing makes the default service accounts that it asks for.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ]
    }

    /// A kubeconfig for whom `user` lets in, as YAML has it.
    pub(super) fn kubeconfig(&self, name: &str, port: u16, user: &str) -> PathBuf {
        let authority = self.folder.join("ca.crt");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
             clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: test, user: {user}}}]\n",
            authority.display()
        );
        self.write(&format!("{name}.kubeconfig"), &text)
    }

    /// A token of a service account that ends at a time, in seconds since 1970.
    pub(super) fn service_account_token(&self, name: &str, uid: &str, ends: u64) -> String {
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(&json!({"alg": "ES256", "typ": "JWT"}));
        let claims = encode(&json!({
            "iss": ISSUER, "aud": [ISSUER], "sub": format!("system:serviceaccount:default:{name}"),
            "iat": now() - 60, "nbf": now() - 60, "exp": ends,
            "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": name, "uid": uid}},
        }));
        let signed = format!("{header}.{claims}");
        let signature = self.service_accounts.sign(signed.as_bytes()).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(fixed_size(&signature));
        format!("{signed}.{signature}")
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        // Whoever reads it sees all of it or what was there before.
        let next = self.folder.join(format!("{name}.next"));
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &path).unwrap();
        path
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// A signature by P-256 as a token has it, two numbers of 32 bytes, from what a certificate has, a DER sequence of them.
fn fixed_size(der: &[u8]) -> [u8; 64] {
    let mut fixed = [0; 64];
    let mut rest = &der[2..];
    for half in fixed.chunks_exact_mut(32) {
        let (length, number) = (usize::from(rest[1]), &rest[2..]);
        let (number, after) = number.split_at(length);
        let significant = &number[length.saturating_sub(32)..];
        half[32 - significant.len()..].copy_from_slice(significant);
        rest = after;
    }
    fixed
}

#[test]
fn numbers_of_a_signature_get_their_fixed_size() {
    // One that needs a zero before it, since it is not negative, and one that is short.
    let mut der = vec![0x30, 0, 2, 33, 0];
    der.extend([0xff; 32]);
    der.extend([2, 2, 1, 2]);
    let fixed = fixed_size(&der);
    assert_eq!(fixed[..32], [0xff; 32]);
    assert_eq!(fixed[32..62], [0; 30]);
    assert_eq!(fixed[62..], [1, 2]);
}
