//! What SECURITY.md claims of the Kubernetes side, against an API server with RBAC and Pod Security.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::chart::combinations;
use crate::kube_api::{CHART, KubeApi, OPERATOR_USER, eventually, nightjar, output, template};
use crate::optional_kinds::{PROMETHEUS_RULES, SERVICE_MONITORS};
use crate::shared;

/// Whether a user may do something, by the API server's own judgement.
async fn may(api: &KubeApi, user: &str, verb: &str, resource: &str, namespace: &str) -> bool {
    let (group, resource) = resource.split_once(':').unwrap_or(("", resource));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                verb: Some(verb.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(api.client().await);
    let answer = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    answer.status.unwrap().allowed
}

const ALL_VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];

#[tokio::test]
async fn the_operator_can_read_no_secret_and_raise_no_right_of_its_own() {
    let api = &shared().api;
    // The judge says yes where the chart does.
    assert!(may(api, OPERATOR_USER, "patch", "configmaps", "anywhere").await);
    for verb in ALL_VERBS {
        for resource in [
            "secrets",
            "pods",
            "pods/exec",
            "pods/ephemeralcontainers",
            "nodes",
            "namespaces",
            "apps:deployments",
            "rbac.authorization.k8s.io:roles",
            "rbac.authorization.k8s.io:rolebindings",
            "rbac.authorization.k8s.io:clusterroles",
            "rbac.authorization.k8s.io:clusterrolebindings",
            "apiextensions.k8s.io:customresourcedefinitions",
            "admissionregistration.k8s.io:validatingwebhookconfigurations",
            "admissionregistration.k8s.io:mutatingwebhookconfigurations",
            "certificates.k8s.io:certificatesigningrequests",
        ] {
            for namespace in ["default", "kube-system"] {
                assert!(
                    !may(api, OPERATOR_USER, verb, resource, namespace).await,
                    "it may {verb} {resource} in {namespace}"
                );
            }
        }
    }
    for (verb, resource) in [
        ("create", "serviceaccounts/token"),
        ("impersonate", "users"),
        ("impersonate", "groups"),
        ("impersonate", "serviceaccounts"),
        ("bind", "rbac.authorization.k8s.io:clusterroles"),
        ("escalate", "rbac.authorization.k8s.io:clusterroles"),
        // It makes objects for stacks; stacks are for people to make.
        ("create", "nightjar.dev:serverlessstacks"),
        ("patch", "nightjar.dev:serverlessstacks"),
        ("delete", "nightjar.dev:serverlessstacks"),
        // Exporters go when their stack does, by garbage collection.
        ("delete", "apps:statefulsets"),
        ("delete", "services"),
    ] {
        assert!(
            !may(api, OPERATOR_USER, verb, resource, "default").await,
            "it may {verb} {resource}"
        );
    }
}

/// What the chart lets the operator do, as `group:resource verb`.
fn granted() -> BTreeSet<String> {
    let objects = template(CHART, &["--set=rbac.userRoles=false"]);
    let roles = objects.iter().filter(|object| {
        object["kind"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("Role"))
    });
    let mut granted = BTreeSet::new();
    let strings = |value: &Value| -> Vec<String> {
        let all = value.as_array().unwrap().iter();
        all.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    assert!(
                        ![&group, &resource, &verb]
                            .iter()
                            .any(|word| word.contains('*')),
                        "a rule with a wildcard: {rule}"
                    );
                    granted.insert(format!("{group}:{resource} {verb}"));
                }
            }
        }
    }
    granted
}

/// What the operator did, and what it was refused, likewise.
fn used(api: &KubeApi) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut used, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for event in api.audit_log() {
        let object = &event["objectRef"];
        let code = event["responseStatus"]["code"].as_i64();
        // Discovery is everybody's; a watch is logged at its begin, too.
        let (Some(resource), Some(code)) = (object["resource"].as_str(), code) else {
            continue;
        };
        let group = object["apiGroup"].as_str().unwrap_or_default();
        let below = object["subresource"].as_str();
        let below = below.map_or_else(String::new, |below| format!("/{below}"));
        let verb = event["verb"].as_str().unwrap();
        let what = |verb: &str| format!("{group}:{resource}{below} {verb}");
        if code == 403 {
            refused.insert(what(verb));
            continue;
        }
        used.insert(what(verb));
        // Server-side apply of what is not there is judged as a creation as well.
        if verb == "patch" && code == 201 {
            used.insert(what("create"));
        }
    }
    (used, refused)
}

#[tokio::test]
async fn every_permission_of_the_chart_is_used_and_no_other_is_asked_for() {
    let api = KubeApi::start();
    // As prometheus-operator names it; its kinds are much alike.
    let routes = SERVICE_MONITORS
        .replace("servicemonitor", "alertmanagerconfig")
        .replace("ServiceMonitor", "AlertmanagerConfig")
        .replace("v1\n      served", "v1alpha1\n      served");
    for (kind, definition) in [
        ("servicemonitors", SERVICE_MONITORS),
        ("alertmanagerconfigs", &routes),
    ] {
        api.apply_text(definition);
        api.wait("Established", &format!("crd/{kind}.monitoring.coreos.com"));
    }
    api.install_chart();
    // A stack of every kind of trouble: a stranger's ServiceAccount, twice.
    let namespace = api.namespace("shop").await;
    let stranger = json!({"metadata": {"name": "checkout-exporter"}});
    namespace.apply("ServiceAccount", &stranger).await;
    let _operator = api.operator(&[]);
    let stack = async |credentials: Value, alerts: Value| {
        let spec = json!({
            "regions": ["eu-west-1"],
            "select": [{"tags": {"app": "checkout"}}],
            "credentials": credentials,
            "alerts": alerts,
        });
        let stack = json!({"metadata": {"name": "checkout"}, "spec": spec});
        namespace.apply("ServerlessStack", &stack).await;
    };
    let reader = json!({"serviceAccountName": "reader"});
    let told = json!({"route": {
        "receivers": [{"name": "hook", "webhook": {"urlSecretRef": {"name": "hook", "key": "url"}}}],
        "critical": "hook",
    }});
    for _ in 0..2 {
        stack(json!({}), json!({})).await;
        namespace
            .wait_for_condition("checkout", "Ready", "False", "NameConflict")
            .await;
        stack(reader.clone(), told.clone()).await;
        namespace
            .wait_for_condition("checkout", "Ready", "False", "ExporterNotReady")
            .await;
    }
    let accounts = namespace.of("ServiceAccount");
    let delete = DeleteParams::background();
    accounts.delete("checkout-exporter", &delete).await.unwrap();
    stack(json!({}), json!({})).await;
    namespace
        .wait_for("ServiceAccount", "checkout-exporter", |_| true)
        .await;
    stack(reader, json!({})).await;
    // Rules move from their ConfigMap to their own kind.
    namespace
        .wait_for("ConfigMap", "checkout-exporter-rules", |_| true)
        .await;
    api.apply_text(PROMETHEUS_RULES);

    let mut granted = granted();
    // Never a request of its own: a creation with an owner reference is judged by it.
    assert!(granted.remove("nightjar.dev:serverlessstacks/finalizers update"));
    let (used, refused) = eventually(
        "the set of permissions that were used",
        async || used(&api),
        |(used, _)| granted.is_subset(used),
    )
    .await;
    assert_eq!(used, granted);
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn in_named_namespaces_the_operator_works_with_roles_alone_and_touches_no_other() {
    let api = KubeApi::start();
    let mut namespaces = Vec::new();
    for name in ["shop", "payments", "other"] {
        namespaces.push(api.namespace(name).await);
    }
    let values = ["--set=namespaces={shop,payments}"];
    for object in template(CHART, &values) {
        let kind = object["kind"].as_str().unwrap();
        assert!(!kind.starts_with("ClusterRole"), "{object:#}");
    }
    api.install_chart_with(&values);
    for namespace in &namespaces {
        namespace.stack("checkout").await;
    }
    let _operator = api.operator(&["--namespace=shop", "--namespace=payments"]);
    for namespace in &namespaces[..2] {
        for kind in ["ServiceAccount", "ConfigMap", "Service", "StatefulSet"] {
            namespace
                .wait_for(kind, "checkout-exporter", |_| true)
                .await;
        }
        // Reading pods' addresses and writing status and Events are part of it.
        namespace
            .wait_for_condition("checkout", "Ready", "False", "ExporterNotReady")
            .await;
    }
    let (_, refused) = used(&api);
    assert!(refused.is_empty(), "{refused:?}");
    let stranger = namespaces[2].of("ServerlessStack");
    let untouched = stranger.get("checkout").await.unwrap();
    assert!(untouched.data["status"].is_null(), "{untouched:#?}");
    for (verb, resource) in [("list", "configmaps"), ("create", "apps:statefulsets")] {
        assert!(may(&api, OPERATOR_USER, verb, resource, "shop").await);
        assert!(!may(&api, OPERATOR_USER, verb, resource, "other").await);
    }
}

#[test]
fn the_right_to_make_stacks_is_bound_to_nobody_and_part_of_no_default_role() {
    for file in combinations() {
        let values = format!("--values={}", file.display());
        let objects = template(CHART, &[&values]);
        let account = objects
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .map(|deployment| &deployment["spec"]["template"]["spec"]["serviceAccountName"])
            .unwrap();
        for object in &objects {
            let what = format!("{}: {object:#}", file.display());
            let kind = object["kind"].as_str().unwrap();
            if kind.ends_with("Binding") {
                assert_eq!(
                    object["subjects"],
                    json!([{"kind": "ServiceAccount", "name": account, "namespace": "default"}]),
                    "{what}"
                );
                let role = object["roleRef"]["name"].as_str().unwrap();
                assert!(!role.contains("stack-editor"), "{what}");
            }
            if kind.ends_with("Role") {
                assert!(object["aggregationRule"].is_null(), "{what}");
                let labels = object["metadata"]["labels"].as_object().unwrap();
                // Kubernetes' own admin, edit and view collect by such labels.
                assert!(
                    !labels.keys().any(|key| key.contains("aggregate")),
                    "{what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_editor_of_stacks_gets_a_namespaces_stacks_and_nothing_else_by_it() {
    let api = &shared().api;
    for name in ["edited-by-dev", "not-devs"] {
        api.namespace(name).await;
    }
    let bind = [
        "-n",
        "edited-by-dev",
        "create",
        "rolebinding",
        "dev",
        "--clusterrole=nightjar-stack-editor",
        "--user=dev",
    ];
    api.kubectl_with(&bind, "").unwrap();
    let stack = |namespace: &str| {
        json!({
            "apiVersion": "nightjar.dev/v1alpha1",
            "kind": "ServerlessStack",
            "metadata": {"name": "checkout", "namespace": namespace},
            "spec": {
                "regions": ["eu-west-1"],
                "select": [{"names": ["checkout-*"]}],
                // The operator's own, as it is called in the operator's own namespace.
                "credentials": {"serviceAccountName": "nightjar"},
            },
        })
        .to_string()
    };
    let as_dev = ["--as=dev", "apply", "-f", "-"];
    api.kubectl_with(&as_dev, &stack("edited-by-dev")).unwrap();
    let refusal = api.kubectl_with(&as_dev, &stack("not-devs")).unwrap_err();
    assert!(refusal.contains("forbidden"), "{refusal}");
    for (verb, resource) in [
        ("create", "pods"),
        ("get", "secrets"),
        ("create", "apps:statefulsets"),
        ("patch", "nightjar.dev:serverlessstacks/status"),
    ] {
        assert!(
            !may(api, "dev", verb, resource, "edited-by-dev").await,
            "dev may {verb} {resource}"
        );
    }
    // What the stack names is its own namespace's, and nobody put a token of it into the pod.
    let namespace = api.namespace("edited-by-dev").await;
    let set = namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    let pod = &set.data["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "nightjar");
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn no_field_of_a_stack_can_name_another_namespace() {
    fn names(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            if name.to_lowercase().contains("namespace") {
                found.push(at.clone());
            }
            names(below, &at, found);
        }
        names_below(&schema["items"], at, found);
        names_below(&schema["additionalProperties"], at, found);
    }
    fn names_below(schema: &Value, at: &str, found: &mut Vec<String>) {
        if schema.is_object() {
            names(schema, at, found);
        }
    }
    let crd: Value =
        serde_saphyr::from_str(include_str!("../../../crds/serverlessstacks.yaml")).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    names(spec, "spec", &mut found);
    assert!(spec["properties"]["credentials"].is_object());
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn the_operators_metrics_name_no_stack_and_no_namespace() {
    let namespace = shared().api.namespace("unnamed").await;
    namespace.stack("unmentioned").await;
    namespace
        .wait_for("StatefulSet", "unmentioned-exporter", |_| true)
        .await;
    let metrics = shared().operator.metrics().await;
    assert!(metrics.contains("nightjar_operator_stacks{"), "{metrics}");
    for name in ["unmentioned", "unnamed"] {
        assert!(!metrics.contains(name), "{name}: {metrics}");
    }
}

#[test]
fn both_listen_on_loopback_unless_told_otherwise() {
    for (role, address) in [
        ("exporter", "127.0.0.1:9988"),
        ("operator", "127.0.0.1:9989"),
    ] {
        let mut command = std::process::Command::new(nightjar());
        let help = output(command.args([role, "--help"]));
        assert!(help.contains(&format!("[default: {address}]")), "{help}");
    }
}
