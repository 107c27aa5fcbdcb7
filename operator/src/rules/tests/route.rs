//! A stack's route is the same tree in an AlertmanagerConfig and in the file of a plain Alertmanager.

use super::stack;
use crate::api::ServerlessStack;
use crate::rules::route;

const ROUTE: &str = "alerts: {route: {receivers: [{name: pager, pagerDuty: {routingKeySecretRef: {name: pd, key: k}}}, \
     {name: chat, slack: {urlSecretRef: {name: s, key: url}, channel: '#shop'}, email: {to: a@b.c, from: d@e.f, smarthost: 'm:25'}}], \
     critical: pager, warning: chat, mute: [{days: [saturday, sunday]}]}}";

#[test]
fn a_route_is_the_same_tree_for_the_operator_and_for_a_plain_alertmanager() {
    let stack = stack(ROUTE);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let config = route::alertmanager_config(&stack, route);
    let file = route::alertmanager_file(&stack, route);
    let of = |value: &serde_json::Value, pointer: &str| {
        value.pointer(pointer).cloned().unwrap_or_default()
    };
    assert_eq!(of(&config, "/route/matchers/0/name"), "stack");
    assert_eq!(of(&config, "/route/routes/0/receiver"), "pager");
    assert_eq!(
        of(&config, "/route/routes/0/muteTimeIntervals"),
        serde_json::Value::Null
    );
    assert_eq!(of(&config, "/route/routes/1/muteTimeIntervals/0"), "mute-0");
    assert_eq!(
        of(&config, "/receivers/1/pagerdutyConfigs/0/routingKey/name"),
        "pd"
    );
    assert_eq!(
        of(&file, "/route/routes/0/routes/1/receiver"),
        "shop/checkout/chat"
    );
    assert_eq!(
        of(&file, "/receivers/2/slack_configs/0/api_url_file"),
        "/etc/alertmanager/secrets/s/url"
    );
    let rules =
        |value: &serde_json::Value, pointer: &str| of(value, pointer).as_array().unwrap().len();
    assert_eq!(
        rules(&config, "/inhibitRules"),
        rules(&file, "/inhibit_rules")
    );
    assert_eq!(rules(&config, "/receivers"), 3);
}

#[test]
fn a_stack_says_by_what_its_alerts_are_grouped() {
    let by = |more: &str| {
        let stack = stack(&ROUTE.replace("critical: pager", &format!("critical: pager{more}")));
        let route = stack.spec.alerts.route.as_ref().unwrap();
        let config = route::alertmanager_config(&stack, route);
        let file = route::alertmanager_file(&stack, route);
        assert_eq!(
            config["route"]["groupBy"],
            file["route"]["routes"][0]["group_by"]
        );
        config["route"]["groupBy"].to_string()
    };
    assert_eq!(by(""), r#"["namespace","stack","cause"]"#);
    assert_eq!(by(", groupBy: [stack]"), r#"["stack"]"#);
    for wrong in ["[]", "[a-b]", "['...']", "[stack, stack]"] {
        let route = ROUTE.replace(
            "critical: pager",
            &format!("critical: pager, groupBy: {wrong}"),
        );
        let text = format!(
            "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: a}}, spec: {{regions: [eu-west-1], select: [{{names: [a]}}], {route}}}}}"
        );
        let stack: ServerlessStack = serde_saphyr::from_str(&text).unwrap();
        let found = crate::api::validate::validate(&stack);
        let fields: Vec<&str> = found.iter().map(|invalid| &*invalid.field).collect();
        assert_eq!(fields, ["spec.alerts.route.groupBy"], "{wrong}");
    }
}

#[test]
fn a_route_to_nobody_is_refused_by_name() {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: a}}, spec: {{regions: [eu-west-1], select: [{{names: [a]}}], {}}}}}",
        ROUTE.replace("warning: chat", "warning: cat").replace(
            "[{days: [saturday, sunday]}]",
            "[{from: '22:00', to: '06:00'}]"
        )
    );
    let stack: ServerlessStack = serde_saphyr::from_str(&text).unwrap();
    let found: Vec<String> = crate::api::validate::validate(&stack)
        .into_iter()
        .map(|invalid| invalid.field)
        .collect();
    assert_eq!(
        found,
        ["spec.alerts.route.warning", "spec.alerts.route.mute[0].to"]
    );
}
