//! Dashboards name what there is, and say it in fields that Grafana has.

use std::collections::BTreeSet;

use regex::Regex;

use super::labels::{assert_groupings, grouped_by, known_and_recorded};
use crate::rules::dashboards::{Kind, dashboards, json, singled_out};

#[test]
fn every_panel_names_only_series_and_labels_that_there_are() {
    let known = known_and_recorded();
    let matcher = Regex::new(r#"([a-z_]+)(?:=|!=|=~|!~)""#).unwrap();
    let shown = Regex::new(r"\{\{([a-z_]+)\}\}").unwrap();
    let series = Regex::new(r"([a-z]+:)?(?:aws|nightjar|process)_[a-z0-9_]+(?::[a-z_]+)?").unwrap();
    let variables = Regex::new(r"\$([a-z]+)").unwrap();
    let mut seen = 0;
    for dashboard in dashboards() {
        let mut ids = BTreeSet::new();
        let json = json(dashboard);
        assert!(dashboard.uid.len() <= 40 && dashboard.rows[0].title == "Is it well");
        for panel in json["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{}",
                dashboard.uid
            );
        }
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            assert!(panel.description.len() > 10, "{}", panel.title);
            assert!((1..=24).contains(&panel.width), "{}", panel.title);
            for query in &panel.queries {
                let expr = query.expression();
                assert!(!expr.contains("${"), "{expr}");
                assert_groupings(&expr, &known);
                let mut labels = BTreeSet::new();
                for found in series.find_iter(&expr) {
                    let (name, after) = (found.as_str(), &expr[found.end()..]);
                    let Some(selector) = after
                        .strip_prefix('{')
                        .and_then(|rest| rest.split_once('}'))
                    else {
                        assert_eq!(name, "aws_service", "{expr}");
                        continue;
                    };
                    seen += 1;
                    let Some(of_series) = known.get(name) else {
                        panic!("{}: {}: {name}", dashboard.uid, panel.title);
                    };
                    labels.extend(of_series.iter().cloned());
                    for label in matcher.captures_iter(selector.0) {
                        assert!(
                            of_series.contains(&label[1]),
                            "{name} has no label {}: {expr}",
                            &label[1]
                        );
                    }
                }
                if expr.contains(" by (") {
                    labels = grouped_by(&expr);
                }
                for label in query
                    .legend()
                    .iter()
                    .flat_map(|legend| shown.captures_iter(legend))
                {
                    assert!(
                        labels.contains(&label[1]),
                        "{}: {}: no label {}",
                        dashboard.uid,
                        panel.title,
                        &label[1]
                    );
                }
                for variable in variables.captures_iter(&expr) {
                    let there = format!("\"name\":\"{}\"", &variable[1]);
                    assert!(
                        json["templating"].to_string().contains(&there),
                        "{}: {expr}",
                        dashboard.uid
                    );
                }
            }
            if let Some(link) = &panel.link {
                // What a link hands over must be in what is clicked on.
                if panel.kind != Kind::Table {
                    let expr = panel.queries[0].expression();
                    let labels = if expr.contains(" by (") {
                        let of_all = ["namespace", "stack"].map(|label| expr.contains(label));
                        assert!(of_all.iter().all(|there| *there), "{expr}");
                        grouped_by(&expr)
                    } else {
                        let name = series.find(&expr).unwrap().as_str();
                        known[name].clone()
                    };
                    for (label, _) in singled_out(link) {
                        assert!(
                            labels.contains(label),
                            "{}: no {label}: {expr}",
                            panel.title
                        );
                    }
                }
                assert!(
                    dashboards().iter().any(|other| other.uid == *link),
                    "{link}"
                );
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

/// The fields of a JSON object are all among those that Grafana's schema has there.
fn assert_fields(value: &serde_json::Value, path: &str, known: &[&str]) {
    for field in value
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {value}"))
        .keys()
    {
        assert!(
            known.contains(&field.as_str()),
            "{path} has no field {field}"
        );
    }
}

/// Against `dashboard_kind.cue` and the panels' own schemas of Grafana 11, as far as the dashboards use them: a field that
/// is spelt wrong is ignored by Grafana, and nobody sees it.
#[test]
fn dashboards_have_only_fields_units_and_colours_that_grafana_has() {
    const UNITS: [&str; 8] = [
        "short",
        "percentunit",
        "s",
        "bytes",
        "ops",
        "reqps",
        "currencyUSD",
        "none",
    ];
    const COLOURS: [&str; 5] = ["green", "orange", "red", "transparent", "text"];
    let variable = Regex::new(r"\$\{?([a-z]+)").unwrap();
    for dashboard in dashboards() {
        let json = json(dashboard);
        let uid = &dashboard.uid;
        assert_fields(
            &json,
            uid,
            &[
                "uid",
                "title",
                "description",
                "tags",
                "schemaVersion",
                "version",
                "editable",
                "fiscalYearStartMonth",
                "graphTooltip",
                "refresh",
                "time",
                "timepicker",
                "timezone",
                "weekStart",
                "links",
                "annotations",
                "templating",
                "panels",
            ],
        );
        let mut names = BTreeSet::new();
        for variable in json["templating"]["list"].as_array().unwrap() {
            assert!(
                names.insert(variable["name"].as_str().unwrap().to_owned()),
                "{variable}"
            );
            assert_fields(
                variable,
                uid,
                &[
                    "name",
                    "label",
                    "type",
                    "query",
                    "hide",
                    "current",
                    "includeAll",
                    "multi",
                    "options",
                    "refresh",
                    "regex",
                    "datasource",
                    "definition",
                    "sort",
                    "allValue",
                    "description",
                ],
            );
            let kinds = ["datasource", "query", "custom"];
            assert!(
                kinds.contains(&variable["type"].as_str().unwrap()),
                "{variable}"
            );
        }
        assert!(names.contains("datasource"));
        let mut taken: Vec<[u64; 4]> = Vec::new();
        for panel in json["panels"].as_array().unwrap() {
            let at = format!("{uid}: {}", panel["title"]);
            let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            let [x, y, w, h] = ["x", "y", "w", "h"].map(of);
            assert!(w >= 1 && h >= 1 && x + w <= 24, "{at}");
            let free =
                |[a, b, c, d]: &[u64; 4]| x + w <= *a || a + c <= x || y + h <= *b || b + d <= y;
            assert!(taken.iter().all(free), "{at} covers another panel");
            taken.push([x, y, w, h]);
            if panel["type"] == "row" {
                assert_fields(
                    panel,
                    &at,
                    &["id", "type", "title", "collapsed", "panels", "gridPos"],
                );
                continue;
            }
            assert_fields(
                panel,
                &at,
                &[
                    "id",
                    "type",
                    "title",
                    "description",
                    "gridPos",
                    "datasource",
                    "targets",
                    "fieldConfig",
                    "options",
                    "transformations",
                ],
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{at}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert_fields(
                defaults,
                &at,
                &[
                    "unit",
                    "color",
                    "custom",
                    "links",
                    "mappings",
                    "thresholds",
                    "noValue",
                ],
            );
            assert!(
                UNITS.contains(&defaults["unit"].as_str().unwrap()),
                "{at}: {defaults}"
            );
            let steps = defaults["thresholds"]["steps"].as_array().unwrap();
            let begins: Vec<Option<f64>> =
                steps.iter().map(|step| step["value"].as_f64()).collect();
            assert!(
                begins[0].is_none() && begins[1..].iter().all(Option::is_some),
                "{at}: {steps:?}"
            );
            assert!(begins.is_sorted_by(|a, b| a < b), "{at}: {steps:?}");
            for step in steps {
                assert!(
                    COLOURS.contains(&step["color"].as_str().unwrap()),
                    "{at}: {step}"
                );
            }
            let (options, custom): (&[&str], &[&str]) = match panel["type"].as_str().unwrap() {
                "stat" => (
                    &[
                        "colorMode",
                        "graphMode",
                        "justifyMode",
                        "orientation",
                        "reduceOptions",
                        "textMode",
                        "wideLayout",
                    ],
                    &[],
                ),
                "timeseries" => (
                    &["legend", "tooltip"],
                    &[
                        "drawStyle",
                        "lineWidth",
                        "fillOpacity",
                        "showPoints",
                        "spanNulls",
                        "axisSoftMin",
                        "thresholdsStyle",
                    ],
                ),
                "table" => (&["showHeader", "cellHeight"], &["align", "filterable"]),
                other => panic!("{at}: {other}"),
            };
            assert_fields(&panel["options"], &at, options);
            assert_fields(&defaults["custom"], &at, custom);
            let mut references = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert_fields(
                    target,
                    &at,
                    &[
                        "refId",
                        "datasource",
                        "expr",
                        "legendFormat",
                        "instant",
                        "range",
                        "editorMode",
                        "format",
                    ],
                );
                assert!(references.insert(target["refId"].to_string()), "{at}");
                for name in variable.captures_iter(target["expr"].as_str().unwrap()) {
                    assert!(
                        names.contains(&name[1]),
                        "{at}: there is no variable {}",
                        &name[1]
                    );
                }
            }
        }
        for annotation in json["annotations"]["list"].as_array().unwrap() {
            let text = annotation["expr"].as_str().unwrap();
            for name in variable.captures_iter(text) {
                assert!(
                    names.contains(&name[1]),
                    "{uid}: there is no variable {} for {text}",
                    &name[1]
                );
            }
        }
    }
}

#[test]
fn every_threshold_that_is_drawn_by_an_alert_s_name_has_one() {
    for panel in dashboards()
        .iter()
        .flat_map(|d| &d.rows)
        .flat_map(|row| &row.panels)
    {
        for step in panel.thresholds.iter().skip(1) {
            assert!(step.begin().is_some(), "{}: {step:?}", panel.title);
        }
    }
}
