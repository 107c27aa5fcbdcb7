//! The chart, as helm renders and installs it.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::operator::{MOST_OPERATORS, operator_user};
use super::{KubeApi, output, program};

/// The chart of this tree.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/nightjar");

impl KubeApi {
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
