//! What comes with the rules, read by the tools that it is for: the queries of panels, the chart's rules and dashboards, and
//! the files that `nightjar render` prints.

use std::collections::BTreeSet;
use std::process::Command;

use nightjar::rules::operator;
use serde_json::{Value, json};

use super::{promtool, write};

#[test]
fn prometheus_reads_the_query_of_every_panel() {
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<Value> = nightjar::rules::dashboards::dashboards()
        .iter()
        .flat_map(|dashboard| &dashboard.rows)
        .flat_map(|row| &row.panels)
        .flat_map(|panel| &panel.queries)
        .enumerate()
        .map(|(i, query)| {
            json!({"record": format!("panel:{i}:query"), "expr": query.expression().replace("$window", "30m")})
        })
        .collect();
    assert!(rules.len() > 50, "{}", rules.len());
    let file = write(
        folder.path(),
        "panels.json",
        &json!({"groups": [{"name": "panels", "rules": rules}]}),
    );
    promtool(&["check", "rules"], &[&file]);
}

#[test]
fn the_chart_delivers_the_alerts_about_the_operator() {
    let rendered = |values: &[&str]| {
        let documents = crate::kube_api::template(crate::kube_api::CHART, values);
        let rules = documents
            .into_iter()
            .find(|document| document["kind"] == "PrometheusRule");
        rules.map(|rules| rules["spec"].clone())
    };
    assert!(
        rendered(&[]).is_none(),
        "without its series there is nothing to judge"
    );
    let spec = rendered(&[
        "--namespace=ops",
        "--set=metrics.serviceMonitor.enabled=true",
        "--set=metrics.rules.runbookUrl=https://example.com/",
        "--set=metrics.rules.disabled={NightjarStacksNotReady}",
    ])
    .unwrap();
    let mut expected =
        serde_json::to_value(operator::group("ops", "https://example.com/")).unwrap();
    let all = expected["rules"].as_array_mut().unwrap();
    all.retain(|rule| rule["alert"] != "NightjarStacksNotReady");
    assert_eq!(spec, json!({"groups": [expected]}));
    let without = rendered(&["--set=metrics.serviceMonitor.enabled=true"]).unwrap();
    assert!(!without.to_string().contains("runbook_url"), "{without}");
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "operator.json", &spec);
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[&file]);
}

#[test]
fn each_dashboard_is_in_a_config_map_for_grafanas_sidecar_or_for_our_operator() {
    let rendered = |values: &[&str], kind: &str| -> Vec<Value> {
        let documents = crate::kube_api::template(crate::kube_api::CHART, values);
        let of_kind = documents.into_iter().filter(|document| {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            document["kind"] == kind && (name.contains("-dashboard-") || name.contains("-grafana-"))
        });
        of_kind.collect()
    };
    let known = nightjar::rules::dashboards::dashboards();
    let maps = rendered(&[], "ConfigMap");
    assert_eq!(maps.len(), known.len());
    let mut keys = BTreeSet::new();
    for map in &maps {
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1", "{map}");
        for (key, text) in map["data"].as_object().unwrap() {
            assert!(keys.insert(key.clone()), "{key}");
            let json: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            let dashboard = known
                .iter()
                .find(|dashboard| dashboard.uid == json["uid"])
                .unwrap();
            assert_eq!(
                json,
                nightjar::rules::dashboards::json(dashboard),
                "run make generate"
            );
        }
    }
    let selector = "--set=dashboards.grafanaInstanceSelector.matchLabels.dashboards=grafana";
    let maps = rendered(&[selector], "ConfigMap");
    assert_eq!(maps.len(), known.len());
    assert!(
        maps.iter()
            .all(|map| map["metadata"]["labels"]["grafana_dashboard"].is_null())
    );
    assert!(rendered(&["--set=dashboards.enabled=false"], "ConfigMap").is_empty());
}

#[test]
fn the_files_that_render_prints_are_read_by_the_tools_that_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("stack.yaml");
    let text = "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {name: checkout, namespace: shop}\nspec:\n  regions: [eu-west-1]\n  \
                select: [{tags: {app: checkout}}]\n";
    std::fs::write(&stack, text).unwrap();
    let render = |what: &str| {
        let mut command = Command::new(crate::kube_api::nightjar());
        command.args(["render", what, "-f"]).arg(&stack);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = output.status.success().then_some(output.stdout);
        printed.ok_or(error)
    };
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, render("--rules").unwrap()).unwrap();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[&rules]);
    let refused = render("--route").unwrap_err();
    assert!(refused.contains("spec.alerts.route"), "{refused}");
    let route = "  alerts: {route: {receivers: [{name: hook, webhook: {urlSecretRef: {name: a, key: b}}}], critical: hook}}\n";
    std::fs::write(&stack, format!("{text}{route}")).unwrap();
    let file = folder.path().join("alertmanager.yaml");
    std::fs::write(&file, render("--route").unwrap()).unwrap();
    let checked = Command::new("amtool")
        .arg("check-config")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
