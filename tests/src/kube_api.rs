//! A kube-apiserver with etcd on loopback, and operators that run against it.
//!
//! All processes die with the test process, however it ends.
#![allow(clippy::unwrap_used, reason = "a test or a measurement ends there")]

pub mod fault_proxy;
pub mod oracles;
pub mod wire;

use std::fmt::Debug;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::http;

/// The longest that anything takes on a busy machine. Nothing asserts how fast it is.
const PATIENCE: Duration = Duration::from_mins(3);

/// The user as whom the first operator of an API server runs, with no right but the chart's. Each
/// operator is a user of its own, so that the audit log tells them apart.
pub const OPERATOR_USER: &str = "operator-0";
/// How many operators one API server may see.
const MOST_OPERATORS: usize = 96;

/// The chart of this tree.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/nightjar");

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

/// A running operator.
pub struct Operator {
    /// Its name in the audit log, and as the holder of the Lease.
    pub name: String,
    listen: u16,
    launch: Arc<Launch>,
}

/// A process, and all that it takes to start it once more.
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// What it says, over all its lives.
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Launch {
    fn new(
        program: PathBuf,
        arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
        log: PathBuf,
    ) -> Self {
        let launch = Self {
            program,
            arguments,
            environment,
            log,
            process: Mutex::new(None),
        };
        launch.start();
        launch
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it, if it still runs.
    fn stop(&self) {
        self.process().take();
    }

    fn start(&self) {
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let mut process = self.process();
        process.take();
        *process = Some(spawn(
            &self.program,
            &self.arguments,
            &environment,
            &self.log,
        ));
    }

    fn signal(&self, signal: &str) {
        if let Some(process) = &*self.process() {
            let pid = process.0.id().to_string();
            output(Command::new("kill").args([&format!("-{signal}"), &*pid]));
        }
    }

    /// How it ended, if it did.
    fn ended(&self) -> Option<std::process::ExitStatus> {
        let mut process = self.process();
        process.as_mut()?.0.try_wait().unwrap()
    }
}

/// A process that dies with this one, or when it is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl KubeApi {
    /// Starts both and waits until the API server serves.
    pub fn start() -> Self {
        Self::start_for(nightjar())
    }

    /// The same for operators of another binary.
    pub fn start_for(binary: PathBuf) -> Self {
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
            Vec::new(),
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
            Vec::new(),
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
        while self.kubectl_raw("/readyz").is_none() {
            assert!(
                Instant::now() < deadline,
                "kube-apiserver does not become ready, see {}/kube-apiserver.log",
                self.folder.display()
            );
            std::thread::sleep(Duration::from_millis(100));
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

    /// Applies what the chart holds, and gives the operators' users the rights that the chart
    /// gives to the operator's ServiceAccount.
    pub fn install_chart(&self) {
        self.install_release("nightjar", &[]);
    }

    /// The same with values.
    pub fn install_chart_with(&self, values: &[&str]) {
        self.install_release("nightjar", values);
    }

    /// The same for a release of another name, whose Lease has that name too.
    pub fn install_release(&self, name: &str, values: &[&str]) {
        // Two releases hold the same kind, and kubectl does not take turns.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let subjects: Vec<Value> = (0..MOST_OPERATORS)
            .map(|number| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": operator_user(number)}))
            .collect();
        let (mut bound, mut all) = (0, Vec::new());
        for mut object in template_as(name, CHART, values) {
            let kind = object["kind"].as_str().unwrap().to_owned();
            // The operator runs as a process, not in a pod.
            if kind == "Deployment" {
                continue;
            }
            if kind.ends_with("Binding") {
                object["subjects"] = json!(subjects);
                bound += 1;
            }
            all.push(object);
        }
        assert!(bound > 1, "the chart binds no role");
        self.apply_text(&json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string());
        self.wait("Established", "crd/serverlessstacks.nightjar.dev");
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

    /// `helm install` of the chart as the administrator, with what helm says.
    pub fn helm_install(&self, release: &str, arguments: &[&str]) -> Result<String, String> {
        let command = ["install", release, CHART];
        self.helm(&[&command, arguments].concat())
    }

    /// helm as the administrator, with what it says.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        let done = Command::new(program("helm"))
            .arg(format!(
                "--kubeconfig={}",
                self.kubeconfig("admin").display()
            ))
            .args(arguments)
            // Caches and settings of whoever runs the tests stay out of it.
            .env("HOME", &self.folder)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() {
            Ok(text(&done.stdout))
        } else {
            Err(text(&done.stderr))
        }
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

    /// Starts an operator and does not wait for it.
    pub fn operator(&self, arguments: &[&str]) -> Operator {
        self.operator_by(None, arguments)
    }

    /// The same, with another way to the API server: the address of a proxy.
    pub fn operator_by(&self, address: Option<&str>, arguments: &[&str]) -> Operator {
        let number = self.operators.fetch_add(1, Ordering::Relaxed);
        assert!(
            number < MOST_OPERATORS,
            "there is no user for one more operator"
        );
        let name = operator_user(number);
        let kubeconfig = match address {
            None => self.kubeconfig(&name),
            Some(address) => {
                let path = self.folder.join(format!("kubeconfig-{name}-by-proxy"));
                let cluster = self.cluster(address);
                fs::write(&path, kubeconfig_text(&cluster, &name)).unwrap();
                path
            }
        };
        let [listen] = free_ports();
        let mut all = vec![
            "operator".to_owned(),
            format!("--listen=127.0.0.1:{listen}"),
        ];
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--lease-name="))
        {
            all.push("--lease-name=nightjar".to_owned());
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let environment = vec![
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("POD_NAME", name.clone()),
            ("RUST_LOG", "info,nightjar=debug".to_owned()),
            ("NO_COLOR", "1".to_owned()),
        ];
        let log = self.folder.join(format!("{name}.log"));
        let launch = Launch::new(self.binary.clone(), all, environment, log);
        Operator {
            launch: Arc::new(launch),
            listen,
            name,
        }
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

    /// What the operator asked for: one audit event, as JSON, for each stage of each request.
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

    /// The namespace that the chart is installed in.
    pub async fn home(&self) -> Namespace {
        Namespace {
            name: "default".to_owned(),
            client: self.client().await,
        }
    }

    /// A new namespace.
    pub async fn namespace(&self, name: &str) -> Namespace {
        let client = self.client().await;
        let namespace = Namespace {
            name: name.to_owned(),
            client,
        };
        namespace
            .apply_in("Namespace", &json!({"metadata": {"name": name}}), None)
            .await;
        namespace
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

fn operator_user(number: usize) -> String {
    format!("operator-{number}")
}

impl Operator {
    /// The value of one of its own metrics, by its name and labels as they are written; empty if
    /// there is none.
    pub async fn metric(&self, series: &str) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.listen);
        let text = http::text(&url).await.unwrap_or_default();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(series));
        values.next().unwrap_or_default().trim().to_owned()
    }

    /// All its own metrics.
    pub async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.listen);
        http::text(&url).await.unwrap()
    }

    /// Whether it says that it could take over.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.listen);
        http::text(&url).await.is_ok()
    }

    /// Sends it a signal, for example `TERM`.
    pub fn signal(&self, signal: &str) {
        self.launch.signal(signal);
    }

    /// Kills it, if it still runs, as the loss of its machine would.
    pub fn dies(&self) {
        self.launch.stop();
    }

    /// Starts it again as who it was. If it still runs, it is killed first.
    pub fn restart(&self) {
        self.launch.start();
    }

    /// From now on it is started again whenever it ends by itself, as a kubelet would.
    pub fn supervise(&self) {
        let launch = Arc::downgrade(&self.launch);
        fault_proxy::background().spawn(async move {
            while let Some(launch) = launch.upgrade() {
                if launch.ended().is_some() {
                    launch.start();
                }
                drop(launch);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Its process, which is another one after a restart.
    pub fn pid(&self) -> u32 {
        self.launch.process().as_ref().unwrap().0.id()
    }

    /// Waits until it has ended, and answers its exit code; none if a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.launch.ended() {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end, see {}",
                self.launch.log.display()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many lines of the log hold all of these.
    pub fn lines_with(&self, parts: &[&str]) -> usize {
        let text = fs::read_to_string(&self.launch.log).unwrap_or_default();
        text.lines()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    }
}

/// A namespace and all rights in it.
pub struct Namespace {
    /// Its name.
    pub name: String,
    client: Client,
}

impl Namespace {
    /// The objects of a kind.
    pub fn of(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &resource(kind))
    }

    /// Applies an object as some user would, taking fields over.
    pub async fn apply(&self, kind: &str, object: &Value) -> DynamicObject {
        self.apply_in(kind, object, Some(&self.name)).await
    }

    async fn apply_in(&self, kind: &str, object: &Value, namespace: Option<&str>) -> DynamicObject {
        let resource = resource(kind);
        let mut object = object.clone();
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(
            &name,
            &PatchParams::apply("a-user").force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap()
    }

    /// Writes the status of an object as its own controller would.
    pub async fn write_status(&self, kind: &str, name: &str, status: Value) {
        let patch = json!({"status": status});
        self.of(kind)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Applies a small stack.
    pub async fn stack(&self, name: &str) -> DynamicObject {
        let spec = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": name}}]});
        self.apply(
            "ServerlessStack",
            &json!({"metadata": {"name": name}, "spec": spec}),
        )
        .await
    }

    /// Waits until an object is there and is as it shall be.
    pub async fn wait_for(
        &self,
        kind: &str,
        name: &str,
        is_so: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let api = self.of(kind);
        let what = format!("{kind} {}/{name}", self.name);
        // A kind that was installed a moment ago is not served yet.
        let asked = async || api.get_opt(name).await.map_err(|error| error.to_string());
        let found = eventually(
            &what,
            asked,
            |answer| matches!(answer, Ok(Some(object)) if is_so(object)),
        );
        found.await.unwrap().unwrap()
    }

    /// Waits until a condition of a stack has a status and a reason.
    pub async fn wait_for_condition(
        &self,
        stack: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Value {
        let stack = self
            .wait_for("ServerlessStack", stack, |stack| {
                let condition = condition(stack, type_);
                condition["status"] == status && condition["reason"] == reason
            })
            .await;
        condition(&stack, type_)
    }
}

/// One condition of a stack; null if it has none of that type.
pub fn condition(stack: &DynamicObject, type_: &str) -> Value {
    let conditions = stack.data["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_default()
}

/// Asks again and again until the answer is as it shall be.
pub async fn eventually<T: Debug>(
    what: &str,
    ask: impl AsyncFn() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    eventually_every(Duration::from_millis(50), what, ask, is_so).await
}

/// The same at another pace.
pub async fn eventually_every<T: Debug>(
    pace: Duration,
    what: &str,
    ask: impl AsyncFn() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if is_so(&answer) {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "{what} is not as it shall be: {answer:#?}"
        );
        tokio::time::sleep(pace).await;
    }
}

/// What the operator does not change when there is nothing to do.
pub fn version(object: &DynamicObject) -> (String, String) {
    (object.uid().unwrap(), object.resource_version().unwrap())
}

fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "StatefulSet" => ("apps", "v1"),
        "ServerlessStack" => ("nightjar.dev", "v1alpha1"),
        "ServiceMonitor" | "PrometheusRule" => ("monitoring.coreos.com", "v1"),
        "AlertmanagerConfig" => ("monitoring.coreos.com", "v1alpha1"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
        "GrafanaDashboard" => ("grafana.integreatly.org", "v1beta1"),
        "ClusterRole" | "Role" => ("rbac.authorization.k8s.io", "v1"),
        "Event" => ("events.k8s.io", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "EndpointSlice" => ("discovery.k8s.io", "v1"),
        _ => ("", "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Starts a process that dies with this one. The kernel kills it when the *thread* that started it
/// ends, and a test's thread ends with the test: hence a thread that never does.
pub fn spawn(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    log: &Path,
) -> Process {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments);
    command.envs(environment.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        sender.send(command.spawn()).unwrap();
        loop {
            std::thread::park();
        }
    });
    let child = receiver.recv().unwrap();
    Process(
        child.unwrap_or_else(|error| {
            panic!("cannot start setpriv for {}: {error}", program.display())
        }),
    )
}

/// The objects that `helm template` makes of a chart as release `nightjar` in namespace `default`.
pub fn template(chart: &str, values: &[&str]) -> Vec<Value> {
    template_as("nightjar", chart, values)
}

fn template_as(release: &str, chart: &str, values: &[&str]) -> Vec<Value> {
    let fixed = ["template", release, chart, "--namespace=default"];
    let rendered = output(Command::new(program("helm")).args(fixed).args(values));
    yaml_documents(&rendered)
}

/// The documents of a file, without the empty ones.
pub fn yaml_documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let documents = documents.into_iter();
    documents.filter(|document| !document.is_null()).collect()
}

/// What a command prints of what it reads, and what it says besides; or what it says when it fails.
pub fn answer(command: &mut Command, input: &str) -> Result<(String, String), String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reads = child.stdin.take().unwrap();
    // Whoever does not read to the end says why.
    let _ = reads.write_all(input.as_bytes());
    drop(reads);
    let done = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&done.stdout), text(&done.stderr));
    if done.status.success() {
        Ok((printed, said))
    } else {
        Err(said)
    }
}

/// What a command prints; it must succeed.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// A program of the cluster's parts.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not in the PATH: run these tests with `make test-operator`, which builds it"))
}

/// The binary under test, beside this test's own.
pub fn nightjar() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let binary = here
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("nightjar");
    assert!(
        binary.is_file(),
        "{} is not built: run these tests with `make test-operator`",
        binary.display()
    );
    binary
}

/// Ports that nobody listened at a moment ago.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that no port comes twice.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A new folder. Those of runs that ended are removed.
fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let base = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/tmp/operator-tests"
    ));
    let me = std::process::id();
    fs::create_dir_all(base).unwrap();
    let base = base.canonicalize().unwrap();
    for old in fs::read_dir(&base).unwrap().filter_map(Result::ok) {
        let name = old.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let folder = base.join(format!("{me}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).unwrap();
    folder
}
