use super::*;
use crate::api::shards::Assignment;
use crate::api::stack::{Selector, Storage};
use crate::api::validate::validate;
use crate::controller::apply::documents;
use crate::controller::resolve::{ExporterArgs, Shards};

fn stack(spec: &str) -> ServerlessStack {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, \
         metadata: {{name: checkout, namespace: shop, uid: the-uid, generation: 3, resourceVersion: '77'}}, \
         spec: {{regions: [eu-west-1], select: [{{tags: {{app: checkout}}}}], {spec}}}}}"
    );
    let stack = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(validate(&stack), []);
    stack
}

fn resolved() -> Resolved {
    Resolved {
        exporter: ExporterArgs {
            image: "registry.example/nightjar:1".to_owned(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            service_account_annotations: Vec::new(),
            ca_config_map: None,
            env: Vec::new(),
            monitor_labels: Vec::new(),
            runbook_url: "https://example.com/".to_owned(),
            interval: None,
            budget_usd_per_month: None,
            scrape_interval: None,
        },
        service_monitors: true,
        prometheus_rules: true,
        alertmanager_configs: true,
        interval: None,
        made_storage: None,
        shards: Shards {
            assignment: Assignment::first(1),
            replicas: 1,
            made_from: None,
        },
    }
}

fn pod(stack: &ServerlessStack, resolved: &Resolved) -> serde_json::Value {
    let set = serde_json::to_value(desired(stack, resolved).stateful_set).unwrap();
    set["spec"]["template"].clone()
}

#[test]
fn the_same_stack_gives_the_same_objects() {
    let (a, b) = (stack("suspend: true"), stack("suspend: true"));
    assert_eq!(
        documents(&desired(&a, &resolved())),
        documents(&desired(&b, &resolved()))
    );
}

#[test]
fn all_objects_have_one_name_and_one_owner() {
    let documents = documents(&desired(&stack("suspend: false"), &resolved()));
    assert_eq!(documents.len(), 6);
    for object in documents {
        let metadata = &object["metadata"];
        assert_eq!(
            (&metadata["name"], &metadata["namespace"]),
            (&"checkout-exporter".into(), &"shop".into())
        );
        assert_eq!(metadata["ownerReferences"][0]["uid"], "the-uid", "{object}");
    }
}

#[test]
fn the_exporter_reads_back_what_the_user_wrote_whatever_it_looks_like() {
    let odd = "tags: ['yes', 'null', '1e3', ' a: b #c', \"line\\nbreak\", '{{x}}', 'ü\u{1f426}'], \
               exclude: [{names: ['*-canary', '0x10', '~', '- a']}], exporter: {env: [{name: A, value: '007'}]}";
    let stack = stack(odd);
    let config = desired(&stack, &resolved()).config_map.data.unwrap();
    let read: ServerlessStack = serde_saphyr::from_str(&config[CONFIG_KEY]).unwrap();
    assert_eq!(read.spec, stack.spec);
    assert_eq!(read.metadata.generation, Some(3));
    assert_eq!(read.metadata.namespace.as_deref(), Some("shop"));
}

#[test]
fn the_configuration_names_nothing_that_changes_by_itself() {
    let mut later = stack("suspend: false");
    later.metadata.resource_version = Some("78".to_owned());
    later.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    later.status = Some(crate::api::stack_status::ServerlessStackStatus::default());
    let (now, later) = (
        desired(&stack("suspend: false"), &resolved()),
        desired(&later, &resolved()),
    );
    assert_eq!(now.config_hash(), later.config_hash());
}

#[test]
fn an_edit_that_a_running_exporter_takes_over_leaves_its_pod_alone() {
    let before = pod(&stack("suspend: false"), &resolved());
    let edits = "suspend: true, tags: [team], services: {lambda: {}}, exclude: [{names: [a]}], \
                 collection: {interval: 10m}, latency: {quantiles: ['0.5']}, monitoring: {scrapeInterval: 15s}";
    assert_eq!(pod(&stack(edits), &resolved()), before);
    for edit in [
        "exporter: {env: [{name: A, value: b}]}",
        "exporter: {resources: {limits: {memory: 1Gi}}}",
        "credentials: {serviceAccountName: reader}",
        "credentials: {secretRef: {name: keys}}",
    ] {
        assert_ne!(pod(&stack(edit), &resolved()), before, "{edit}");
    }
}

#[test]
fn the_variable_closest_to_the_user_wins_and_each_is_there_once() {
    let mut resolved = resolved();
    for (name, value) in [
        ("HTTPS_PROXY", "of the operator"),
        ("AWS_ENDPOINT_URL", "http://a"),
        ("AWS_ACCESS_KEY_ID", "no"),
    ] {
        resolved
            .exporter
            .env
            .push((name.to_owned(), value.to_owned()));
    }
    let spec = "credentials: {secretRef: {name: keys}}, exporter: {env: [{name: HTTPS_PROXY, value: of the stack}]}";
    let pod = pod(&stack(spec), &resolved);
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let of = |name: &str| {
        let all: Vec<_> = env
            .iter()
            .filter(|variable| variable["name"] == name)
            .collect();
        assert_eq!(all.len(), 1, "{name}: {env:?}");
        all[0].clone()
    };
    assert_eq!(of("HTTPS_PROXY")["value"], "of the stack");
    assert_eq!(of("AWS_ENDPOINT_URL")["value"], "http://a");
    assert_eq!(
        of("AWS_ACCESS_KEY_ID")["valueFrom"]["secretKeyRef"]["name"],
        "keys"
    );
    assert_eq!(
        of("AWS_SESSION_TOKEN")["valueFrom"]["secretKeyRef"]["optional"],
        true
    );
}

#[test]
fn what_all_exporters_shall_have_reaches_each_of_them() {
    let mut resolved = resolved();
    let settings = &mut resolved.exporter;
    settings.image_pull_secrets = vec!["registry".to_owned()];
    settings.ca_config_map = Some(("company-ca".to_owned(), "bundle.pem".to_owned()));
    settings.service_account_annotations = vec![
        ("role".to_owned(), "of the operator".to_owned()),
        ("owner".to_owned(), "ops".to_owned()),
    ];
    let stack = stack("credentials: {annotations: {role: of the stack}}");
    let pod = pod(&stack, &resolved);
    assert_eq!(pod["spec"]["imagePullSecrets"][0]["name"], "registry");
    assert_eq!(
        pod["spec"]["volumes"][0]["projected"]["sources"][1]["configMap"],
        serde_json::json!({"name": "company-ca", "items": [{"key": "bundle.pem", "path": "ca.pem"}]})
    );
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let bundle = serde_json::json!({"name": "SSL_CERT_FILE", "value": "/etc/nightjar/ca.pem"});
    assert!(env.contains(&bundle), "{env:?}");
    let account = desired(&stack, &resolved).service_account.unwrap();
    let annotations = account.metadata.annotations.unwrap();
    assert_eq!(
        (annotations["role"].as_str(), annotations["owner"].as_str()),
        ("of the stack", "ops")
    );
}

#[test]
fn what_a_stack_does_not_say_is_taken_from_the_operator_and_what_it_says_is_not() {
    let mut settings = resolved().exporter;
    settings.interval = Some("10m".parse().unwrap());
    settings.scrape_interval = Some("1m".parse().unwrap());
    let intervals = |spec: &str| {
        let stack = settings.complete(&stack(spec));
        let (collection, monitoring) = (&stack.spec.collection, &stack.spec.monitoring);
        [collection.interval(), monitoring.scrape_interval()].map(|interval| interval.to_string())
    };
    assert_eq!(intervals("suspend: false"), ["10m", "1m"]);
    let both = "collection: {interval: 5m}, monitoring: {scrapeInterval: 30s}";
    assert_eq!(intervals(both), ["5m", "30s"]);
    // The exporter is told, and needs no restart to hear it.
    let plain = stack("suspend: false");
    let completed = settings.complete(&plain);
    let config = desired(&completed, &resolved()).config_map.data.unwrap();
    assert!(config[CONFIG_KEY].contains("interval: 10m"), "{config:?}");
    assert_eq!(pod(&completed, &resolved()), pod(&plain, &resolved()));
}

#[test]
fn external_ids_are_files_named_by_the_place_of_their_account() {
    let spec = "accounts: [{}, {roleArn: 'arn:aws:iam::111122223333:role/a', externalIdSecretRef: {name: s, key: k}}]";
    let pod = pod(&stack(spec), &resolved());
    let sources = pod["spec"]["volumes"][0]["projected"]["sources"]
        .as_array()
        .unwrap();
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[1]["secret"]["name"], "s");
    assert_eq!(sources[1]["secret"]["optional"], false);
    assert_eq!(
        sources[1]["secret"]["items"][0],
        serde_json::json!({"key": "k", "path": "external-ids/1"})
    );
}

#[test]
fn the_pod_meets_the_restricted_pod_security_standard_and_has_no_token() {
    let pod = pod(&stack("suspend: false"), &resolved());
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        spec["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    let container = &spec["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"][0], "ALL");
}

#[test]
fn a_users_label_of_a_monitor_never_hides_it_from_the_operator() {
    let mut resolved = resolved();
    resolved
        .exporter
        .monitor_labels
        .push(("release".to_owned(), "default".to_owned()));
    let labels = "monitoring: {labels: {release: mine, app.kubernetes.io/managed-by: helm}}";
    let monitor = desired(&stack(labels), &resolved).service_monitor.unwrap();
    let labels = monitor.metadata.labels.unwrap();
    assert_eq!(labels["release"], "mine");
    assert_eq!(labels[MANAGED_BY.0], MANAGED_BY.1);
}

#[test]
fn a_service_is_annotated_only_where_no_monitor_is_made() {
    let stack = stack("suspend: false");
    let with = desired(&stack, &resolved());
    assert!(with.service.metadata.annotations.is_none());
    let without = desired(
        &stack,
        &Resolved {
            service_monitors: false,
            ..resolved()
        },
    );
    assert!(without.service_monitor.is_none());
    assert_eq!(
        without.service.metadata.annotations.unwrap()["prometheus.io/scrape"],
        "true"
    );
}

fn set(stack: &ServerlessStack, resolved: &Resolved) -> StatefulSet {
    desired(stack, resolved).stateful_set
}

#[test]
fn volumes_stay_what_they_were_made_of_and_all_else_goes_on() {
    let grown = stack("exporter: {storage: {size: 10Gi}, env: [{name: A, value: b}]}");
    let fresh = set(&grown, &resolved());
    let made = |size: &str| Resolved {
        made_storage: Some(Some(Storage {
            size: size.to_owned(),
            storage_class_name: None,
        })),
        ..resolved()
    };
    let kept = set(&grown, &made("1Gi"));
    assert_eq!(storage_of(&fresh).unwrap().size, "10Gi");
    assert_eq!(storage_of(&kept).unwrap().size, "1Gi");
    assert!(kept.metadata.annotations.unwrap()[STORAGE_ANNOTATION].contains("1Gi"));
    // The same, written otherwise, is no change.
    let same = set(&grown, &made("10240Mi"));
    assert_eq!(storage_of(&same).unwrap().size, "10Gi");
    // And where none were made, the pods keep the room that they have.
    let none = Resolved {
        made_storage: Some(None),
        ..resolved()
    };
    let none = set(&grown, &none);
    assert_eq!(storage_of(&none), None);
    let pod = none.spec.unwrap().template.spec.unwrap();
    let volumes = pod.volumes.unwrap();
    assert!(volumes.iter().any(|volume| volume.empty_dir.is_some()));
    let env = pod.containers[0].env.as_ref().unwrap();
    assert!(env.iter().any(|variable| variable.name == "A"));
}

#[test]
fn a_stack_that_no_object_can_hold_is_refused_with_a_way_out() {
    let small = stack("suspend: false");
    assert_eq!(desired(&small, &resolved()).too_large(), None);
    let mut large = small;
    let names = |selector| {
        let names = (0..256).map(move |i| format!("{selector}-{i}-{}", "n".repeat(240)));
        Selector {
            names: Some(names.collect()),
            ..Selector::default()
        }
    };
    large.spec.select = (0..32).map(names).collect();
    assert_eq!(crate::api::validate::validate(&large), []);
    let invalid = desired(&large, &resolved()).too_large().unwrap();
    assert!(invalid.message.contains("names with *"), "{invalid}");
}

#[test]
fn no_field_of_a_stack_reaches_the_image_the_command_or_the_security_context() {
    // What a stack may say about its pods: variables, amounts, and names of its own namespace's objects.
    let rest = |spec: &str| {
        let mut pod = pod(&stack(spec), &resolved());
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            let kinds = ["projected", "emptyDir"];
            assert!(kinds.iter().any(|kind| !volume[kind].is_null()), "{volume}");
        }
        for (at, fields) in [
            ("/spec/containers/0", ["env", "resources"]),
            ("/spec", ["serviceAccountName", "volumes"]),
        ] {
            let part = pod.pointer_mut(at).unwrap().as_object_mut().unwrap();
            for field in fields {
                part.remove(field);
            }
        }
        pod
    };
    let everything = "accounts: [{roleArn: 'arn:aws:iam::111122223333:role/a', externalIdSecretRef: {name: a, key: b}}], \
        credentials: {serviceAccountName: kube-admin}, exclude: [{names: ['*-canary']}], suspend: true, tags: [team], \
        services: {lambda: {optional: [async], excludeMetrics: ['aws_*']}}, latency: {quantiles: ['0.5'], maxima: true}, \
        collection: {interval: 10m, discoveryInterval: 10m, budgetUsdPerMonth: '5', maxSeries: 100}, \
        exporter: {shards: 3, env: [{name: privileged, value: 'true'}], resources: {limits: {memory: 1Gi}}}, \
        monitoring: {labels: {a: b}, scrapeInterval: 1m}, \
        objectives: [{name: all, target: '99', of: {stack: {}}}], \
        alerts: {enabled: false, labels: {a: b}, matchers: {c: d}, overrides: {LambdaErrorRateHigh: {enabled: false}}, \
        route: {receivers: [{name: hook, webhook: {urlSecretRef: {name: hook, key: url}}}], critical: hook}}";
    assert_eq!(rest(everything), rest("suspend: false"));
}

#[test]
fn the_operator_uses_nothing_of_what_talks_to_aws() {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/controller");
    files(folder.as_ref(), &mut found);
    // Tests may: what an exporter says of AWS is what the operator tells on.
    found.retain(|file| !file.components().any(|part| part.as_os_str() == "tests"));
    assert!(found.len() > 20, "{found:?}");
    // In two parts, so that this file does not name it.
    for forbidden in [["crate::", "aws"], ["aws", "_sdk_"], ["aws", "_config"]] {
        let forbidden = forbidden.concat();
        for file in &found {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains(&forbidden), "{}", file.display());
        }
    }
}
