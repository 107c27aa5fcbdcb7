//! The dashboards, made from short descriptions: `dashboards/*.yaml` say what is shown, this module how.
//!
//! They are shipped once for all stacks: stack, account, region and resource are variables.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::LazyLock;

/// `nightjar dashboards`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder that gets a JSON file for each dashboard; made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes a file for each dashboard.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for dashboard in dashboards() {
        let path = folder.join(format!("{}.json", dashboard.uid));
        let text = format!("{:#}\n", json(dashboard));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What a dashboard shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its identity in Grafana, at most 40 characters.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// What the user chooses, in this order.
    pub variables: Vec<Variable>,
    /// Its rows; the first one answers whether all is well.
    pub rows: Vec<Row>,
}

/// What the user chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variable {
    /// Namespaces of stacks.
    Namespace,
    /// Stacks.
    Stack,
    /// AWS accounts.
    Account,
    /// AWS regions.
    Region,
    /// Functions.
    Function,
    /// Tables.
    Table,
    /// APIs.
    Api,
    /// Objectives.
    Objective,
    /// The range of rates.
    Window,
}

/// A row of panels.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its title.
    pub title: String,
    /// From left to right, and on.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// How it is drawn.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// What is shown, and what it is compared with.
    pub description: String,
    /// Of 24 columns.
    pub width: u32,
    /// Grafana's name of the unit.
    pub unit: String,
    /// Colours from a value on; the first has none.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// The dashboard that a click leads to.
    pub link: Option<String>,
    /// What is asked.
    pub queries: Vec<Query>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One number, now.
    Stat,
    /// Lines.
    Timeseries,
    /// A table of series, now.
    Table,
}

/// A colour from a value on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    color: String,
    /// From this value on,
    from: Option<f64>,
    /// or from the default threshold of the alert of this id.
    alert: Option<String>,
}

impl Threshold {
    /// Where the colour begins; the first has no beginning.
    pub fn begin(&self) -> Option<f64> {
        let alert = self.alert.as_deref().and_then(super::catalogue::alert);
        let threshold = alert.and_then(|alert| alert.threshold.as_ref());
        self.from.or(threshold.map(|threshold| threshold.default))
    }
}

/// A query, with `${name}` for the matchers of what is chosen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    expr: String,
    legend: Option<String>,
}

static DASHBOARDS: LazyLock<Vec<Dashboard>> = LazyLock::new(|| {
    [
        include_str!("dashboards/overview.yaml"),
        include_str!("dashboards/stack.yaml"),
        include_str!("dashboards/function.yaml"),
        include_str!("dashboards/table.yaml"),
        include_str!("dashboards/api.yaml"),
        include_str!("dashboards/objectives.yaml"),
        include_str!("dashboards/cost.yaml"),
        include_str!("dashboards/nightjar.yaml"),
    ]
    .iter()
    .map(|text| serde_saphyr::from_str(text).expect("the tests have read every dashboard"))
    .collect()
});

/// All dashboards.
pub fn dashboards() -> &'static [Dashboard] {
    &DASHBOARDS
}

impl Query {
    /// What the legend shows.
    pub fn legend(&self) -> Option<&str> {
        self.legend.as_deref()
    }

    /// The expression with Grafana's variables.
    pub fn expression(&self) -> String {
        let stack = r#"namespace=~"$namespace",stack=~"$stack""#;
        let place = format!(r#"{stack},account_id=~"$account",region=~"$region""#);
        self.expr
            .replace("${stack}", stack)
            .replace(
                "${function}",
                &format!(r#"{place},function_name=~"$function""#),
            )
            .replace("${table}", &format!(r#"{place},table_name=~"$table""#))
            .replace("${api}", &format!(r#"{place},api_name=~"$api""#))
            .replace(
                "${objective}",
                &format!(r#"{stack},objective=~"$objective""#),
            )
            .replace("${place}", &place)
    }
}

/// The dashboard as Grafana imports it.
pub fn json(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    for row in &dashboard.rows {
        id += 1;
        panels.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in &row.panels {
            let height = match panel.kind {
                Kind::Stat => 4,
                Kind::Timeseries => 8,
                Kind::Table => 9,
            };
            if x + panel.width > 24 {
                y += tallest;
                (x, tallest) = (0, 0);
            }
            id += 1;
            let mut drawn = drawn(panel);
            drawn["id"] = json!(id);
            drawn["gridPos"] = json!({"x": x, "y": y, "w": panel.width, "h": height});
            panels.push(drawn);
            x += panel.width;
            tallest = tallest.max(height);
        }
        y += tallest;
    }
    let others: Vec<Value> = vec![json!({
        "type": "dashboards", "title": "Nightjar", "tags": ["nightjar"], "asDropdown": true,
        "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": "",
    })];
    json!({
        "uid": dashboard.uid,
        "title": format!("Nightjar / {}", dashboard.title),
        "description": dashboard.description,
        "tags": ["nightjar"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "fiscalYearStartMonth": 0,
        // One crosshair in all panels.
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "links": others,
        "annotations": {"list": annotations(dashboard)},
        "templating": {"list": variables(dashboard)},
        "panels": panels,
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The labels that single out what a dashboard shows, each with its variable there.
pub fn singled_out(uid: &str) -> Vec<(&'static str, &'static str)> {
    let mut labels = vec![("namespace", "namespace"), ("stack", "stack")];
    let of_resource = match uid {
        "nightjar-function" => Some(("function_name", "function")),
        "nightjar-table" => Some(("table_name", "table")),
        "nightjar-api" => Some(("api_name", "api")),
        "nightjar-objectives" => {
            labels.push(("objective", "objective"));
            None
        }
        _ => None,
    };
    if let Some(label) = of_resource {
        labels.extend([("account_id", "account"), ("region", "region"), label]);
    }
    labels
}

/// A link to a dashboard, with what was clicked on. In a table labels are columns.
fn url(uid: &str, kind: Kind) -> String {
    let mut url = format!("/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}");
    for (label, variable) in singled_out(uid) {
        let value = match kind {
            Kind::Stat | Kind::Timeseries => format!("${{__field.labels.{label}}}"),
            Kind::Table => format!("${{__data.fields.{label}}}"),
        };
        let _ = write!(url, "&var-{variable}={value}");
    }
    url
}

fn drawn(panel: &Panel) -> Value {
    let instant = panel.kind != Kind::Timeseries;
    let targets: Vec<Value> = panel
        .queries
        .iter()
        .zip('A'..='Z')
        .map(|(query, reference)| {
            json!({
                "refId": reference.to_string(), "datasource": source(), "expr": query.expression(),
                "legendFormat": query.legend().unwrap_or("__auto"),
                "instant": instant, "range": !instant, "editorMode": "code",
                "format": if panel.kind == Kind::Table { "table" } else { "time_series" },
            })
        })
        .collect();
    let steps: Vec<Value> = if panel.thresholds.is_empty() {
        vec![json!({"color": "text", "value": null})]
    } else {
        panel
            .thresholds
            .iter()
            .map(|step| json!({"color": step.color, "value": step.begin()}))
            .collect()
    };
    let links: Vec<Value> = panel
        .link
        .iter()
        .map(|uid| json!({"title": "Look closer", "targetBlank": false, "url": url(uid, panel.kind)}))
        .collect();
    let (kind, custom, options) = match panel.kind {
        Kind::Stat => (
            "stat",
            json!({}),
            json!({
                "colorMode": if panel.thresholds.is_empty() { "none" } else { "background" }, "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}, "textMode": "auto", "wideLayout": true,
            }),
        ),
        Kind::Timeseries => (
            "timeseries",
            json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "spanNulls": false, "axisSoftMin": 0,
                "thresholdsStyle": {"mode": if panel.thresholds.is_empty() { "off" } else { "line" }},
            }),
            json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
        ),
        Kind::Table => (
            "table",
            json!({"align": "auto", "filterable": true}),
            json!({"showHeader": true, "cellHeight": "sm"}),
        ),
    };
    let transformations = if panel.kind == Kind::Table {
        json!([{"id": "organize", "options": {"excludeByName": {
            "Time": true, "Value": true, "__name__": true, "job": true, "service": true, "pod": true, "instance": true,
            "container": true, "endpoint": true, "prometheus": true, "alertstate": true, "cause": true,
        }, "indexByName": {}, "renameByName": {}}}])
    } else {
        json!([])
    };
    json!({
        "type": kind, "title": panel.title, "description": panel.description, "datasource": source(), "targets": targets,
        "fieldConfig": {"defaults": {
            "unit": panel.unit, "color": {"mode": if kind == "stat" { "thresholds" } else { "palette-classic" }},
            "custom": custom, "links": links, "mappings": [], "thresholds": {"mode": "absolute", "steps": steps}, "noValue": "no data",
        }, "overrides": []},
        "options": options, "transformations": transformations,
    })
}

/// What happened: alerts that began, functions that were deployed or changed, tables whose capacity was changed.
fn annotations(dashboard: &Dashboard) -> Value {
    let stack = r#"namespace=~"$namespace",stack=~"$stack""#;
    let mut all = vec![json!({
        "name": "Alerts", "datasource": source(), "enable": true, "iconColor": "red", "hide": false,
        "expr": format!("ALERTS{{{stack},alertstate=\"firing\",severity=~\"critical|warning\",pillar!=\"\"}}"),
        "step": "60s", "titleFormat": "{{alertname}}", "textFormat": "{{function_name}}{{table_name}}{{api_name}} {{region}}",
    })];
    let changed = |name: &str, color: &str, expr: String, text: &str| {
        json!({
            "name": name, "datasource": source(), "enable": true, "iconColor": color, "hide": false,
            "expr": expr, "step": "60s", "titleFormat": name, "textFormat": text,
        })
    };
    let has = |variable| dashboard.variables.contains(&variable);
    // What follows a deployment shows wherever functions may be the reason.
    if has(Variable::Stack)
        && (has(Variable::Window) || has(Variable::Objective))
        && !has(Variable::Table)
    {
        let function = if has(Variable::Function) {
            ",function_name=~\"$function\""
        } else {
            ""
        };
        all.push(changed(
            "Function deployed",
            "blue",
            format!(
                "changes(aws_lambda_last_modified_timestamp_seconds{{{stack}{function}}}[2m]) > 0"
            ),
            "{{function_name}} {{region}}",
        ));
    }
    if has(Variable::Table) {
        let of_table =
            |metric: &str| format!("changes({metric}{{{stack},table_name=~\"$table\"}}[2m]) > 0");
        all.push(changed(
            "Capacity changed",
            "blue",
            format!(
                "{} or {}",
                of_table("aws_dynamodb_provisioned_read_capacity_units"),
                of_table("aws_dynamodb_provisioned_write_capacity_units")
            ),
            "{{table_name}} {{global_secondary_index_name}} {{region}}",
        ));
    }
    json!(all)
}

fn variables(dashboard: &Dashboard) -> Vec<Value> {
    let mut list = vec![json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
        "current": {}, "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": "",
    })];
    let stack = r#"namespace=~"$namespace",stack=~"$stack""#;
    let place = format!(r#"{stack},account_id=~"$account",region=~"$region""#);
    for variable in &dashboard.variables {
        let (name, label, query) = match variable {
            Variable::Namespace => (
                "namespace",
                "Namespace",
                "label_values(nightjar_exporter_build_info, namespace)".to_owned(),
            ),
            Variable::Stack => (
                "stack",
                "Stack",
                "label_values(nightjar_exporter_build_info{namespace=~\"$namespace\"}, stack)"
                    .to_owned(),
            ),
            Variable::Account => (
                "account",
                "Account",
                format!("label_values(nightjar_exporter_resources{{{stack}}}, account_id)"),
            ),
            Variable::Region => (
                "region",
                "Region",
                format!(
                    "label_values(nightjar_exporter_resources{{{stack},account_id=~\"$account\"}}, region)"
                ),
            ),
            Variable::Function => (
                "function",
                "Function",
                format!("label_values(aws_lambda_timeout_seconds{{{place}}}, function_name)"),
            ),
            Variable::Table => (
                "table",
                "Table",
                format!("label_values(aws_dynamodb_table_info{{{place}}}, table_name)"),
            ),
            Variable::Api => (
                "api",
                "API",
                format!("label_values(aws_apigateway_stage_info{{{place}}}, api_name)"),
            ),
            Variable::Objective => (
                "objective",
                "Objective",
                format!(
                    "label_values(objective:nightjar_error_budget:ratio{{{stack}}}, objective)"
                ),
            ),
            Variable::Window => {
                let ranges = ["15m", "30m", "1h", "6h", "1d"];
                let options: Vec<Value> = ranges
                    .iter()
                    .map(
                        |range| json!({"text": range, "value": range, "selected": *range == "30m"}),
                    )
                    .collect();
                list.push(json!({
                    "name": "window", "label": "Range of rates", "type": "custom", "query": ranges.join(","), "hide": 0, "options": options,
                    "current": {"text": "30m", "value": "30m", "selected": true}, "includeAll": false, "multi": false,
                    "description": "Counters move once in a poll interval: choose at least two of them and three minutes",
                }));
                continue;
            }
        };
        list.push(json!({
            "name": name, "label": label, "type": "query", "datasource": source(), "definition": query,
            "query": {"query": query, "refId": "variable", "qryType": 1}, "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [],
            "includeAll": true, "allValue": ".*", "multi": true, "current": {"text": ["All"], "value": ["$__all"], "selected": true},
        }));
    }
    list
}
