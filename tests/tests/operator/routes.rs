//! Who is told of which alert, by the real amtool.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use nightjar::api::ServerlessStack;
use nightjar::rules::render::{Context, groups};
use nightjar::rules::route::alertmanager_file;

const STACK: &str = "
apiVersion: nightjar.dev/v1alpha1
kind: ServerlessStack
metadata: {name: checkout, namespace: shop}
spec:
  regions: [eu-west-1]
  select: [{tags: {app: checkout}}]
  objectives: [{name: all, target: '99.9', of: {stack: {}}}]
  alerts:
    labels: {team: shop}
    route:
      receivers:
        - {name: pager, pagerDuty: {routingKeySecretRef: {name: pagers, key: key}}}
        - {name: chat, slack: {urlSecretRef: {name: chat, key: url}, channel: '#shop'}, email: {to: shop@example.com, from: nightjar@example.com, smarthost: 'mail:25', username: n, passwordSecretRef: {name: mail, key: password}}}
        - {name: hook, webhook: {urlSecretRef: {name: hook, key: url}}, opsgenie: {apiKeySecretRef: {name: genie, key: key}}}
      critical: pager
      warning: chat
      mute: [{days: [saturday, sunday]}, {from: '20:00', to: '24:00'}]
";

fn amtool(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("amtool")
        .args(arguments)
        .arg(file)
        .output()
        .expect("amtool is in the PATH that tests/tier sets");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "amtool {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn receiver(file: &Path, labels: &BTreeMap<String, String>) -> String {
    let output = Command::new("amtool")
        .args(["config", "routes", "test", "--config.file"])
        .arg(file)
        .args(labels.iter().map(|(name, value)| format!("{name}={value}")))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn each_alert_reaches_the_receiver_of_its_severity_and_no_other_stacks_alert_does() {
    let stack: ServerlessStack = serde_saphyr::from_str(STACK).unwrap();
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, alertmanager_file(&stack, route).to_string()).unwrap();
    amtool(&["check-config"], &file);

    // Alerts as Prometheus sends them: also those whose expression has no label of the resource left.
    let rules = groups(&Context {
        stack: &stack,
        interval: stack.spec.collection.interval(),
        runbook_url: "",
    });
    let labels_of = |id: &str| {
        let rule = rules
            .iter()
            .flat_map(|group| &group.rules)
            .find(|rule| rule.alert.as_deref() == Some(id))
            .unwrap_or_else(|| panic!("{id}"));
        let mut labels = rule.labels.clone();
        labels.insert("alertname".to_owned(), id.to_owned());
        labels
    };
    let table = [
        ("LambdaErrorRateCritical", "shop/checkout/pager"),
        ("LambdaErrorRateHigh", "shop/checkout/chat"),
        ("LambdaErrorRateElevated", "shop/checkout/none"),
        ("LambdaRuntimeDeprecated", "shop/checkout/chat"),
        ("DynamoDbRequestsThrottledHeavily", "shop/checkout/pager"),
        ("ApiServerErrorRateCritical", "shop/checkout/pager"),
        ("ApiTrafficDropped", "shop/checkout/chat"),
        // Aggregated: the series had lost all labels but those that the rule gives.
        ("NightjarExporterDown", "shop/checkout/pager"),
        ("NightjarSeriesCapped", "shop/checkout/chat"),
        ("ObjectiveBurnsFast", "shop/checkout/pager"),
        ("ObjectiveBurnsSlowly", "shop/checkout/chat"),
    ];
    for (id, expected) in table {
        let mut labels = labels_of(id);
        assert_eq!(receiver(&file, &labels), expected, "{id}");
        for (label, other) in [("stack", "orders"), ("namespace", "other")] {
            let own = labels.insert(label.to_owned(), other.to_owned()).unwrap();
            assert_eq!(
                receiver(&file, &labels),
                "shop/checkout/none",
                "{id} of another {label}"
            );
            labels.insert(label.to_owned(), own);
        }
    }
}
