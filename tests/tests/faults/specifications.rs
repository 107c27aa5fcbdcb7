//! What may be written into a stack: complete specifications, and all of one value that is at, beyond or far from the
//! limits that the schema names, empty, or of another kind.

use serde_json::{Value, json};

/// What is changed, and the whole specification.
pub type Variant = (String, Value);

/// Complete stacks: together they have every field, since some fields exclude others.
pub fn bases() -> Vec<Value> {
    let secret = json!({"name": "a-secret", "key": "key"});
    let full = json!({
        "regions": ["eu-west-1", "us-east-1"],
        "accounts": [{"roleArn": "arn:aws:iam::111122223333:role/nightjar-read", "externalIdSecretRef": secret}],
        "credentials": {"annotations": {"example.com/role": "a-role"}},
        "select": [
            {"tags": {"app": "checkout"}},
            {"names": ["checkout-*"]},
            {"cloudFormation": {"stackName": "checkout-prod"}},
            {"arns": ["arn:aws:lambda:eu-west-1:111122223333:function:pay"]},
        ],
        "exclude": [
            {"tags": {"app": "canary"}},
            {"names": ["*-canary"]},
            {"cloudFormation": {"stackName": "canary"}},
            {"arns": ["arn:aws:lambda:eu-west-1:111122223333:function:canary"]},
        ],
        "suspend": false,
        "tags": ["team"],
        "services": {"lambda": {"excludeMetrics": ["Errors"], "optional": ["urls"]}, "dynamodb": {}, "apigateway": {}},
        "latency": {"quantiles": ["0.5", "0.99"], "maxima": true, "histograms": {"bounds": ["0.1", "1"]}},
        "collection": {"interval": "5m", "discoveryInterval": "5m", "budgetUsdPerMonth": "25", "maxSeries": 1000},
        "exporter": {
            "shards": 1,
            "storage": {"size": "1Gi", "storageClassName": "fast"},
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "10m"}},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.shop:3128"}],
        },
        "monitoring": {"labels": {"release": "prometheus"}, "scrapeInterval": "30s"},
        "objectives": [
            {"name": "placed", "target": "99.9", "window": "30d", "of": {"api": {"name": "shop-api", "stage": "prod"}}},
            {"name": "quick", "target": "99", "of": {"function": "checkout-create"}, "latencyBelow": "2s"},
            {"name": "stored", "target": "99", "of": {"table": "orders"}},
            {"name": "all", "target": "99", "of": {"stack": {}}},
        ],
        "alerts": {
            "enabled": true,
            "labels": {"team": "shop"},
            "matchers": {"squad": "shop"},
            "overrides": {"LambdaErrorRateHigh": {
                "enabled": true, "for": "10m", "labels": {"urgent": "yes"}, "severity": "critical", "threshold": "0.02",
                "minimum": "5",
            }},
            "route": {
                "critical": "people", "warning": "people", "info": "people",
                "groupBy": ["stack"], "groupWait": "30s", "groupInterval": "5m", "repeatInterval": "4h",
                "mute": [{"days": ["saturday"], "from": "00:00", "to": "24:00"}],
                "receivers": [
                    {"name": "people", "email": {
                        "from": "nightjar@example.com", "to": "people@example.com", "smarthost": "mail.example.com:587",
                        "username": "nightjar", "passwordSecretRef": secret,
                    }},
                    {"name": "genie", "opsgenie": {"apiKeySecretRef": secret}},
                    {"name": "duty", "pagerDuty": {"routingKeySecretRef": secret}},
                    {"name": "room", "slack": {"channel": "#room", "urlSecretRef": secret}},
                    {"name": "hook", "webhook": {"urlSecretRef": secret}},
                ],
            },
        },
    });
    let with = |credentials: Value| {
        let mut base = full.clone();
        base["credentials"] = credentials;
        base
    };
    vec![
        with(json!({"annotations": {"example.com/role": "a-role"}})),
        with(json!({"serviceAccountName": "somebody"})),
        with(json!({"secretRef": {"name": "checkout-aws"}})),
    ]
}

fn schema() -> Value {
    let definition: Value =
        serde_saphyr::from_str(include_str!("../../../crds/serverlessstacks.yaml")).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The places of a value that a path of the schema means: the first of a list, or of a map, where the rest of the
/// path is. JSON pointers.
fn place(value: &Value, path: &[String]) -> Option<String> {
    let Some((first, rest)) = path.split_first() else {
        return Some(String::new());
    };
    match (first.as_str(), value) {
        ("[]", Value::Array(items)) => {
            let mut places = items.iter().enumerate();
            places.find_map(|(index, item)| Some(format!("/{index}{}", place(item, rest)?)))
        }
        ("*", Value::Object(fields)) => {
            let mut places = fields.iter();
            places.find_map(|(key, field)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                Some(format!("/{key}{}", place(field, rest)?))
            })
        }
        (name, Value::Object(fields)) => {
            Some(format!("/{name}{}", place(fields.get(name)?, rest)?))
        }
        _ => None,
    }
}

pub fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    visit(&schema(), &mut Vec::new(), &mut all);
    all
}

fn visit(schema: &Value, path: &mut Vec<String>, all: &mut Vec<Variant>) {
    // Shards move only with exporters that run.
    if path.join(".") == "exporter.shards" {
        return;
    }
    if !path.is_empty() {
        let found = bases()
            .into_iter()
            .find_map(|base| Some((place(&base, path)?, base)));
        let (place, base) = found.unwrap_or_else(|| panic!("no base has {}", path.join(".")));
        let mut vary = |what: String, value: Option<Value>| {
            let mut spec = base.clone();
            match value {
                Some(value) => *spec.pointer_mut(&place).unwrap() = value,
                None => remove(&mut spec, &place),
            }
            all.push((format!("{} {what}", path.join(".")), spec));
        };
        vary("absent".to_owned(), None);
        vary("null".to_owned(), Some(Value::Null));
        for (what, value) in values(schema, base.pointer(&place).unwrap()) {
            vary(what, Some(value));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            path.push(name.clone());
            visit(schema, path, all);
            path.pop();
        }
    }
    for (step, key) in [("[]", "items"), ("*", "additionalProperties")] {
        if schema[key].is_object() {
            path.push(step.to_owned());
            visit(&schema[key], path, all);
            path.pop();
        }
    }
}

fn remove(value: &mut Value, place: &str) {
    let (parent, last) = place.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Object(fields) => {
            drop(fields.remove(&last.replace("~1", "/").replace("~0", "~")));
        }
        other => panic!("{other} has no {last}"),
    }
}

/// Text that something downstream may take for something else.
const NASTY: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "a\nb: c",
    "ü🐦",
    "\u{202e}abc",
    "\"'`\\",
    "{{ .x }}",
    "$(HOME) ${HOME}",
    "%s%n",
    "*",
    "-a",
    "A.B",
    "0",
    "-1",
    "1e309",
    "true",
    "99999999999999999999h",
];

/// One more of a list, other than those before it if that can be done by its name.
fn numbered(first: &Value, number: u64) -> Value {
    let mut value = first.clone();
    match &mut value {
        Value::String(text) => text.push_str(&number.to_string()),
        Value::Object(fields) => {
            for key in ["name", "roleArn"] {
                if let Some(Value::String(text)) = fields.get_mut(key) {
                    text.push_str(&number.to_string());
                }
            }
        }
        _ => {}
    }
    value
}

/// Values at, beyond and far from the limits of a schema.
fn values(schema: &Value, now: &Value) -> Vec<Variant> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the schema's limits are of 32 bits"
    )]
    let number = |key: &str| Some(schema[key].as_f64()? as i64);
    let mut all: Vec<Variant> = Vec::new();
    match schema["type"].as_str() {
        Some("string") => {
            all.extend(NASTY.iter().map(|text| (format!("{text:?}"), json!(text))));
            if let Some(choices) = schema["enum"].as_array() {
                all.extend(
                    choices
                        .iter()
                        .map(|choice| (choice.to_string(), choice.clone())),
                );
            }
            let most = schema["maxLength"].as_u64().unwrap_or(1 << 18);
            for length in [most, most + 1, most * 10] {
                let length = usize::try_from(length).unwrap();
                all.push((format!("of {length} letters"), json!("a".repeat(length))));
            }
        }
        Some("integer") => {
            for edge in [number("minimum"), number("maximum")].into_iter().flatten() {
                for value in [edge - 1, edge, edge + 1] {
                    all.push((value.to_string(), json!(value)));
                }
            }
            all.push(("huge".to_owned(), json!(i64::MAX)));
            all.push(("a half".to_owned(), json!(0.5)));
        }
        Some("boolean") => {
            all.extend([true, false].map(|value| (value.to_string(), json!(value))));
        }
        Some("array") => {
            let first = now[0].clone();
            all.push(("empty".to_owned(), json!([])));
            all.push(("twice".to_owned(), json!([first.clone(), first.clone()])));
            let most = schema["maxItems"].as_u64().unwrap_or(1000);
            for many in [most, most + 1] {
                let items = (0..many).map(|number| numbered(&first, number));
                all.push((format!("of {many}"), items.collect()));
            }
        }
        Some("object") => {
            all.push(("empty".to_owned(), json!({})));
            all.push(("unknown".to_owned(), json!({"unknown": "field"})));
            if let (true, Some(fields)) =
                (schema["additionalProperties"].is_object(), now.as_object())
            {
                let value = fields.values().next().cloned().unwrap_or(json!("value"));
                let mut keys: Vec<String> = NASTY.iter().map(|key| (*key).to_owned()).collect();
                keys.extend([63, 64, 317, 1000].map(|length| "a".repeat(length)));
                for key in keys {
                    let short: String = key.chars().take(20).collect();
                    all.push((format!("with the key {short:?}"), json!({key: value})));
                }
                let most = schema["maxProperties"].as_u64().unwrap_or(1000);
                for many in [most, most + 1] {
                    let fields = (0..many).map(|number| (format!("key_{number}"), value.clone()));
                    all.push((format!("of {many}"), Value::Object(fields.collect())));
                }
            }
        }
        _ => {}
    }
    all
}
