//! The chart, as helm installs and upgrades it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::kube_api::oracles::rendered_text;
use crate::kube_api::{CHART, KubeApi, output, program, template, yaml_documents};
use crate::optional_kinds::{PROMETHEUS_RULES, SERVICE_MONITORS};

#[tokio::test]
async fn helm_installs_the_kind_itself_or_lets_alone_the_one_that_kubectl_applied() {
    // Of its own: the kind is there for the whole cluster.
    let api = KubeApi::start();
    let notes = api
        .helm_install("alone", &["--namespace=first", "--create-namespace"])
        .unwrap();
    assert!(notes.contains("kubectl get serverlessstacks"), "{notes}");
    api.wait("Established", "crd/serverlessstacks.nightjar.dev");
    api.delete("crd/serverlessstacks.nightjar.dev");

    api.apply_text(include_str!("../../../crds/serverlessstacks.yaml"));
    let refusal = api
        .helm_install("second", &["--namespace=second", "--create-namespace"])
        .unwrap_err();
    // The word that values.yaml tells people to look for.
    assert!(refusal.contains("invalid ownership metadata"), "{refusal}");
    api.helm_install(
        "third",
        &[
            "--namespace=third",
            "--create-namespace",
            "--set=crds.install=false",
        ],
    )
    .unwrap();
}

#[tokio::test]
async fn the_three_commands_of_the_readme_work_as_they_are_written() {
    let readme = include_str!("../../../README.md");
    let section = readme
        .split("## You already have a cluster")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let stack = section.split("```yaml\n").nth(1).unwrap();
    let stack = stack.split("```").next().unwrap();
    let indented = |line: &&str| line.starts_with("    ");
    let lines: Vec<_> = section.lines().skip_while(|line| !indented(line)).collect();
    let commands: Vec<_> = lines.into_iter().take_while(indented).collect();
    let commands = commands.join("\n").replace("\\\n", "");
    let [helm, apply, forward] = commands.lines().collect::<Vec<_>>()[..] else {
        panic!("not three commands: {commands}")
    };

    let api = KubeApi::start();
    let words: Vec<_> = helm.split_whitespace().collect();
    assert_eq!(
        words[..4],
        ["helm", "install", "nightjar", "charts/nightjar"]
    );
    let notes = api.helm_install("nightjar", &words[4..]).unwrap();
    assert!(notes.contains("kubectl get serverlessstacks"), "{notes}");
    api.wait("Established", "crd/serverlessstacks.nightjar.dev");
    assert_eq!(apply.trim(), "kubectl apply -f stack.yaml");
    api.apply_text(stack);
    // There are no pods here to forward to; the Service is what the operator makes of that stack.
    let service = yaml_documents(&rendered_text(stack, &[]).unwrap())
        .into_iter()
        .find(|object| object["kind"] == "Service")
        .unwrap();
    let name = service["metadata"]["name"].as_str().unwrap();
    let port = service["spec"]["ports"][0]["port"].to_string();
    let forwards = format!("kubectl port-forward svc/{name} {port} ");
    assert!(forward.trim().starts_with(&forwards), "{forward}");
}

#[test]
fn a_value_that_the_chart_does_not_know_is_refused_by_its_name() {
    for (value, named) in [
        ("monitoring.label.release=x", "label"),
        ("oprator.replicas=2", "oprator"),
        ("operator.replicas=0", "replicas"),
        ("image.digest=latest", "digest"),
        ("namespaces={Shop}", "namespaces"),
        ("networkPolicy.apiServer.cidrs={10.0.0.1}", "cidrs"),
        // What the operator would not start with.
        ("collection.interval=30m", "interval"),
        ("collection.interval=59s", "interval"),
        ("monitoring.scrapeInterval=1s", "scrapeInterval"),
        ("alerts.runbookUrl=runbooks", "runbookUrl"),
    ] {
        let done = Command::new(program("helm"))
            .args(["template", "nightjar", CHART, "--set", value])
            .output()
            .unwrap();
        let refusal = String::from_utf8_lossy(&done.stderr);
        assert!(
            !done.status.success() && refusal.contains(named),
            "{value}: {refusal}"
        );
    }
}

/// The files in the chart's `ci/`.
pub fn combinations() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(Path::new(CHART).join("ci")).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    files
}

/// A namespace that enforces the Pod Security Standard `restricted`.
pub fn restricted_namespace(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }}})
    .to_string()
}

/// The pod that a Deployment or StatefulSet would have made, in some namespace.
pub fn pod_of(workload: &Value, namespace: &str) -> Value {
    let mut pod = workload["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("would-be");
    pod["metadata"]["namespace"] = json!(namespace);
    // The StatefulSet's controller adds a volume for each claim.
    for claim in workload["spec"]["volumeClaimTemplates"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = &claim["metadata"]["name"];
        let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
        volumes.push(volume);
    }
    // A class of the cluster's own may only be used in some namespaces.
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("priorityClassName");
    }
    pod
}

const DRY_RUN: [&str; 4] = ["apply", "--dry-run=server", "-f", "-"];

#[test]
fn each_combination_of_values_makes_objects_that_a_strict_api_server_takes() {
    let api = KubeApi::start();
    for (kind, definition) in [
        ("servicemonitors", SERVICE_MONITORS),
        ("prometheusrules", PROMETHEUS_RULES),
    ] {
        api.apply_text(definition);
        api.wait("Established", &format!("crd/{kind}.monitoring.coreos.com"));
    }
    // There are cluster-wide kinds among them: nothing is really created but namespaces.
    let mut namespaces = BTreeSet::new();
    for file in combinations() {
        let values = format!("--values={}", file.display());
        for object in template(CHART, &[&values]) {
            let what = format!(
                "{}: {} {}",
                file.display(),
                object["kind"],
                object["metadata"]["name"]
            );
            if let Some(namespace) = object["metadata"]["namespace"].as_str()
                && namespaces.insert(namespace.to_owned())
            {
                api.apply_text(&restricted_namespace(namespace));
            }
            // kubectl asks the server to refuse unknown and repeated fields. Warnings are for people
            // who install this: there shall be none, of Pod Security above all.
            match api.kubectl_with(&DRY_RUN, &object.to_string()) {
                Ok(said) => assert!(!said.contains("Warning"), "{what}: {said}"),
                Err(refusal) => panic!("{what}: {refusal}\n{object:#}"),
            }
            if object["kind"] == "Deployment" {
                let container = &object["spec"]["template"]["spec"]["containers"][0];
                let read_only = &container["securityContext"]["readOnlyRootFilesystem"];
                assert_eq!(*read_only, true, "{what}");
                let pod = pod_of(&object, "default").to_string();
                api.kubectl_with(&DRY_RUN, &pod)
                    .unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
            }
        }
        output(Command::new(program("helm")).args(["lint", "--strict", "--quiet", CHART, &values]));
    }
    // Were nothing enforced there, all of the above would prove nothing.
    let mut pod = pod_of(
        template(CHART, &[])
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap(),
        "default",
    );
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({"add": ["NET_ADMIN"]});
    let refusal = api.kubectl_with(&DRY_RUN, &pod.to_string()).unwrap_err();
    assert!(refusal.contains("violates PodSecurity"), "{refusal}");
}

#[test]
fn the_values_do_what_their_documentation_says() {
    let rendered = |values: &[&str], kind: &str| -> Vec<Value> {
        let objects = template(CHART, values).into_iter();
        objects.filter(|object| object["kind"] == kind).collect()
    };
    let arguments = |values: &[&str]| {
        rendered(values, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
            .to_string()
    };
    let image = |values: &[&str]| {
        rendered(values, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
            .to_string()
    };
    let digest = format!("sha256:{}", "a".repeat(64));
    assert!(image(&["--set=image.tag=v9"]).ends_with(":v9\""));
    let by_digest = format!("--set=image.digest={digest}");
    assert!(image(&[&by_digest, "--set=image.tag=v9"]).ends_with(&format!("@{digest}\"")));
    // The digest is of the operator's image: it says nothing about another tag.
    assert!(arguments(&[&by_digest]).contains(&format!("--exporter-image=nightjar@{digest}")));
    assert!(
        arguments(&[&by_digest, "--set=exporter.image.tag=v8"])
            .contains("--exporter-image=nightjar:v8")
    );

    for (replicas, budgets, spreads) in [(1, 0, 0), (2, 1, 2)] {
        let values = format!("--set=operator.replicas={replicas}");
        assert_eq!(rendered(&[&values], "PodDisruptionBudget").len(), budgets);
        let deployment = &rendered(&[&values], "Deployment")[0];
        let spread = &deployment["spec"]["template"]["spec"]["topologySpreadConstraints"];
        assert_eq!(spread.as_array().map_or(0, Vec::len), spreads, "{spread}");
        for entry in spread.as_array().into_iter().flatten() {
            assert_eq!(
                entry["labelSelector"], deployment["spec"]["selector"],
                "a spread over other pods than its own"
            );
        }
    }

    // Where kind, account and roles are somebody else's, nothing of the cluster's is touched.
    let file = format!("--values={CHART}/ci/no-permissions-values.yaml");
    // What is left are the operator and its dashboards.
    let kinds: BTreeSet<_> = template(CHART, &[&file])
        .iter()
        .map(|object| object["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["ConfigMap", "Deployment"].map(str::to_owned).into());

    // What the chart itself needs of a label is not for the user to break.
    let file = format!("--values={CHART}/ci/everything-values.yaml");
    let deployment = &rendered(&[&file], "Deployment")[0];
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["team"], "ops");
    for (key, value) in deployment["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(&labels[key], value, "{key}");
    }
}

/// Charts of earlier releases. At each release: `helm package charts/nightjar --destination
/// tests/charts`. The first is the chart of a commit before there were releases.
fn earlier_releases() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/charts")).unwrap();
    let files = folder.map(|file| file.unwrap().path());
    let charts: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "tgz"))
        .collect();
    assert!(!charts.is_empty());
    charts
}

/// Whether `whole` has all that `part` has.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part))),
        (whole, part) => whole == part,
    }
}

#[tokio::test]
async fn an_upgrade_from_each_earlier_release_keeps_the_stacks_and_brings_the_new_kind() {
    for earlier in earlier_releases() {
        let api = KubeApi::start();
        let get = |what: &str| -> Value {
            let text = output(
                api.kubectl()
                    .args(["get", "-n", "nightjar", "-o", "json", what]),
            );
            serde_json::from_str(&text).unwrap()
        };
        let chart = earlier.display().to_string();
        let place = ["--namespace=nightjar", "--create-namespace"];
        let chosen = [
            "--set=monitoring.labels.release=prometheus",
            "--set=exporter.env.HTTPS_PROXY=http://proxy:3128",
            "--set=image.tag=old",
        ];
        api.helm(&[&["install", "nightjar", &chart], &place[..], &chosen[..]].concat())
            .unwrap();
        let kind = "crd/serverlessstacks.nightjar.dev";
        api.wait("Established", kind);
        api.namespace("shop").await.stack("checkout").await;
        let stack = "serverlessstacks.nightjar.dev/checkout";
        let of_shop = |what: &str| -> Value {
            let text = output(
                api.kubectl()
                    .args(["get", "-n", "shop", "-o", "json", what]),
            );
            serde_json::from_str(&text).unwrap()
        };
        let kept = [
            (of_shop(stack), "the stack"),
            (get(kind), "the kind"),
            (get("deployment/nightjar"), "the Deployment"),
            (get("serviceaccount/nightjar"), "the ServiceAccount"),
        ];

        // As the README and the notes say it.
        let keep_values = ["--reset-then-reuse-values", "--set=image.tag=new"];
        let upgrade = ["upgrade", "nightjar", CHART, "--namespace=nightjar"];
        api.helm(&[&upgrade[..], &keep_values[..]].concat())
            .unwrap_or_else(|refusal| panic!("from {chart}: {refusal}"));
        let now = [
            of_shop(stack),
            get(kind),
            get("deployment/nightjar"),
            get("serviceaccount/nightjar"),
        ];
        for ((before, what), now) in kept.iter().zip(&now) {
            assert_eq!(
                before["metadata"]["uid"], now["metadata"]["uid"],
                "{what} was made anew"
            );
        }
        // Fields that are new have their defaults now; what the user wrote is as it was.
        let (before, after) = (&kept[0].0["spec"], &now[0]["spec"]);
        assert!(holds(after, before), "was {before}, is {after}");
        let container = &now[2]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "nightjar:new");
        let arguments = container["args"].to_string();
        assert!(
            arguments.contains("--monitor-label=release=prometheus")
                && arguments.contains("HTTPS_PROXY=http://proxy:3128"),
            "values of the user's were lost: {arguments}"
        );
        // The server has the kind of this tree: applying it again changes nothing.
        let generation = |crd: &Value| crd["metadata"]["generation"].clone();
        let ours = include_str!("../../../crds/serverlessstacks.yaml");
        let force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        api.kubectl_with(&force, ours).unwrap();
        assert_eq!(
            generation(&get(kind)),
            generation(&now[1]),
            "helm left the old kind"
        );

        // Kind and stacks outlive the chart, and the next installation takes them over.
        api.helm(&["uninstall", "nightjar", "--namespace=nightjar"])
            .unwrap();
        assert_eq!(of_shop(stack)["metadata"]["uid"], now[0]["metadata"]["uid"]);
        api.helm_install("nightjar", &["--namespace=nightjar"])
            .unwrap();
        assert_eq!(of_shop(stack)["metadata"]["uid"], now[0]["metadata"]["uid"]);
    }
}
