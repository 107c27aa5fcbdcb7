//! A kube-apiserver with etcd on loopback, and operators that run against it.
//!
//! All processes die with the test process, however it ends.
#![allow(clippy::unwrap_used, reason = "a test or a measurement ends there")]

mod chart;
mod exporters;
pub mod fault_proxy;
mod namespace;
mod operator;
pub mod oracles;
mod process;
pub mod wire;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

pub use chart::{CHART, template, yaml_documents};
pub use exporters::address;
pub use namespace::{Namespace, condition, eventually, eventually_every, version};
pub use operator::{OPERATOR_USER, Operator};
pub use process::{Process, answer, free_ports, nightjar, output, program, spawn};

use operator::{MOST_OPERATORS, operator_user};
use process::{Launch, new_folder};

/// The longest that anything takes on a busy machine. Nothing asserts how fast it is.
const PATIENCE: Duration = Duration::from_mins(3);

/// For tests Go's garbage is cleared away less often than by default: there is memory enough, and processor time is scarce.
const SELDOM: &str = "400";
/// What is measured is measured by the default.
const BY_DEFAULT: &str = "100";

/// A running API server.
pub struct KubeApi {
    folder: PathBuf,
    port: u16,
    /// The product.
    binary: PathBuf,
    operators: AtomicUsize,
    etcd: Launch,
    server: Launch,
}

impl KubeApi {
    /// Starts both and waits until the API server serves.
    pub fn start() -> Self {
        Self::start_with(nightjar(), SELDOM)
    }

    /// The same for operators of another binary that are measured: everything is as it is by default.
    pub fn start_for(binary: PathBuf) -> Self {
        Self::start_with(binary, BY_DEFAULT)
    }

    /// `garbage` is Go's `GOGC`.
    fn start_with(binary: PathBuf, garbage: &str) -> Self {
        let folder = new_folder();
        let [etcd, peer, port] = free_ports();
        let key = rcgen::KeyPair::generate().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let private = write("service-account.key", &key.serialize_pem());
        let public = write("service-account.pub", &key.public_key_pem());
        let tokens = write(
            "tokens.csv",
            &(0..MOST_OPERATORS).fold(
                "admin,admin,admin,system:masters\n".to_owned(),
                |text, number| {
                    let user = operator_user(number);
                    format!("{text}{user},{user},{user},\n")
                },
            ),
        );
        let folder_text = folder.display();
        let etcd_url = format!("http://127.0.0.1:{etcd}");
        let operators: Vec<String> = (0..MOST_OPERATORS).map(operator_user).collect();
        let audit = write(
            "audit.yaml",
            &json!({
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": [{"level": "Metadata", "users": operators}, {"level": "None"}],
            })
            .to_string(),
        );
        let etcd = Launch::new(
            program("etcd"),
            vec![
                format!("--data-dir={folder_text}/etcd"),
                format!("--listen-client-urls={etcd_url}"),
                format!("--advertise-client-urls={etcd_url}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                "--unsafe-no-fsync".to_owned(),
            ],
            vec![("GOGC", garbage.to_owned())],
            folder.join("etcd.log"),
        );
        let server = Launch::new(
            program("kube-apiserver"),
            vec![
                format!("--etcd-servers={etcd_url}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={port}"),
                // It makes itself a certificate there.
                format!("--cert-dir={folder_text}/certificates"),
                format!("--token-auth-file={tokens}"),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={public}"),
                format!("--service-account-signing-key-file={private}"),
                "--service-cluster-ip-range=10.97.0.0/20".to_owned(),
                // On in careful clusters: owner references then need a right of their own.
                "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                format!("--audit-policy-file={audit}"),
                format!("--audit-log-path={folder_text}/audit.log"),
                // In one file: the tests read all of it.
                "--audit-log-maxsize=100000".to_owned(),
            ],
            vec![("GOGC", garbage.to_owned())],
            folder.join("kube-apiserver.log"),
        );
        let api = Self {
            folder,
            port,
            binary,
            operators: AtomicUsize::new(0),
            etcd,
            server,
        };
        api.wait_until_ready();
        api
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        // It listens long before it serves; a kubectl that asks is not cheap.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err()
            || self.kubectl_raw("/readyz").is_none()
        {
            assert!(
                Instant::now() < deadline,
                "kube-apiserver does not become ready, see {}/kube-apiserver.log",
                self.folder.display()
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The API server dies, as if by the loss of its machine.
    pub fn server_dies(&self) {
        self.server.stop();
    }

    /// Starts it again and waits until it serves.
    pub fn server_comes_back(&self) {
        self.server.start();
        self.wait_until_ready();
    }

    /// The same with a certificate that nobody has seen before.
    pub fn server_comes_back_as_another(&self) {
        fs::remove_dir_all(self.folder.join("certificates")).unwrap();
        self.server_comes_back();
    }

    /// etcd answers no more, and does not close its connections either.
    pub fn etcd_hangs(&self) {
        self.etcd.signal("STOP");
    }

    /// And goes on where it was.
    pub fn etcd_goes_on(&self) {
        self.etcd.signal("CONT");
    }

    /// A client with all rights.
    pub async fn client(&self) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = Kubeconfig::read_from(self.kubeconfig("admin")).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }

    /// The requests that changed something, or tried to, as `user verb resource namespace/name`, in
    /// the order in which they ended.
    pub fn writes(&self) -> Vec<String> {
        let mut writes = Vec::new();
        for event in self.audit_log() {
            if event["stage"] != "ResponseComplete" {
                continue;
            }
            let verb = event["verb"].as_str().unwrap();
            if !["create", "update", "patch", "delete", "deletecollection"].contains(&verb) {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["objectRef"];
            let subresource = match text(&object["subresource"]) {
                none if none.is_empty() => none,
                some => format!("/{some}"),
            };
            writes.push(format!(
                "{} {verb} {}{subresource} {}/{}",
                text(&event["user"]["username"]),
                text(&object["resource"]),
                text(&object["namespace"]),
                text(&object["name"]),
            ));
        }
        writes
    }

    /// `kubectl wait`.
    pub fn wait(&self, condition: &str, object: &str) {
        output(self.kubectl().args([
            "wait",
            "--timeout=60s",
            &format!("--for=condition={condition}"),
            object,
        ]));
    }

    /// `kubectl delete`.
    pub fn delete(&self, object: &str) {
        output(self.kubectl().args(["delete", object]));
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(program("kubectl"));
        command.arg(format!(
            "--kubeconfig={}",
            self.kubeconfig("admin").display()
        ));
        command
    }

    /// `kubectl apply` as the administrator.
    pub fn apply_text(&self, yaml: &str) {
        self.try_apply(yaml)
            .unwrap_or_else(|refusal| panic!("{refusal}\n{yaml}"));
    }

    /// `kubectl apply`, with what kubectl says when the API server refuses.
    pub fn try_apply(&self, yaml: &str) -> Result<(), String> {
        self.kubectl_with(&["apply", "-f", "-"], yaml).map(drop)
    }

    /// kubectl as the administrator with something to read. What it says, warnings included.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let (printed, said) = answer(self.kubectl().args(arguments), input)?;
        Ok(printed + &said)
    }

    /// What the operator asked for: one audit event, as JSON, for each request that is answered, and one for each watch
    /// that begins.
    pub fn audit_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default();
        // The last line may be half written.
        let lines = text.lines().map(serde_json::from_str);
        lines.filter_map(Result::ok).collect()
    }

    fn kubectl_raw(&self, path: &str) -> Option<()> {
        // Its certificate appears only when it has started.
        self.folder
            .join("certificates/apiserver.crt")
            .exists()
            .then_some(())?;
        let done = self
            .kubectl()
            .args(["get", "--raw", path])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        done.success().then_some(())
    }

    fn kubeconfig(&self, token: &str) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = self.folder.join(format!("kubeconfig-{token}"));
        if path.exists() {
            return path;
        }
        let cluster = self.cluster(&format!("https://127.0.0.1:{}", self.port));
        let text = kubeconfig_text(&cluster, token);
        // Renamed into place: tests share it.
        let draft = self.folder.join(format!(
            "kubeconfig-draft-{}",
            NUMBER.fetch_add(1, Ordering::Relaxed)
        ));
        fs::write(&draft, text).unwrap();
        fs::rename(&draft, &path).unwrap();
        path
    }

    /// How the API server is found at an address, by whose certificate it is known.
    fn cluster(&self, address: &str) -> Value {
        let certificate = self.folder.join("certificates/apiserver.crt");
        json!({"server": address, "certificate-authority": certificate})
    }
}

fn kubeconfig_text(cluster: &Value, token: &str) -> String {
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    });
    file.to_string()
}
