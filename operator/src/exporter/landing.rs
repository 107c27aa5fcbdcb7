//! The page for people: what is watched, how fresh, what fails and why, what it costs.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::plan::DOLLARS_PER_METRIC;
use crate::api::Duration;
use crate::api::exporter_status::{ExporterStatus, Spend, TargetStatus};

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#1c2330;--dim:#5c6675;--line:#dfe3e9;--bad:#b3261e;\
--bad-bg:#fdecea;--good:#1b6e3c;--good-bg:#e4f4ea;--link:#0b5cad}\
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--text:#e6e9ee;--dim:#97a3b4;--line:#303945;\
--bad:#ff8a80;--bad-bg:#3a1e1d;--good:#7bd69b;--good-bg:#17301f;--link:#7cb7ff}}\
body{font:15px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--text);max-width:62rem;margin:0 auto;padding:2rem 1rem 4rem}\
a{color:var(--link)}h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem;overflow-wrap:anywhere}\
h2{font-size:1.05rem;margin:0 0 .6rem}h2 small{color:var(--dim);font-weight:400}\
.pill{display:inline-block;font-size:.85rem;font-weight:600;padding:.1rem .7rem;border-radius:1rem;vertical-align:middle;\
background:var(--line);color:var(--text)}\
.pill.good{background:var(--good-bg);color:var(--good)}.pill.bad{background:var(--bad-bg);color:var(--bad)}\
.sub{color:var(--dim);margin:0 0 1.5rem}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.8rem;margin:0 0 1.2rem}\
.tile,section{background:var(--card);border:1px solid var(--line);border-radius:.6rem}\
.tile{padding:.7rem 1rem}.tile b{display:block;font-size:1.5rem;line-height:1.3;font-variant-numeric:tabular-nums}\
.tile span{color:var(--dim);font-size:.9rem}\
section{padding:1rem 1.2rem;margin:0 0 1rem;overflow-x:auto}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem 1rem .4rem 0;border-top:1px solid var(--line);white-space:nowrap}\
tr:first-child>*{border-top:0}th{font-weight:600;color:var(--dim);font-size:.85rem}\
.n{text-align:right;padding-right:0;padding-left:1rem;font-variant-numeric:tabular-nums}\
ul{list-style:none;padding:0;margin:0 0 .8rem}\
.note{background:var(--bad-bg);border-left:4px solid var(--bad);border-radius:.3rem;padding:.5rem .9rem;margin:.4rem 0;overflow-wrap:anywhere}\
.note b{color:var(--bad)}.note p{margin:.1rem 0 0}.note small,.foot{color:var(--dim)}.foot{font-size:.9rem;margin:.6rem 0 0}\
code{font-size:.92em}";

/// Nothing is loaded, run, framed or sent; only our own style, by its hash, is applied.
pub static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("base64 is plain text")
});

/// Writes the page as of `now`.
pub fn page(status: &ExporterStatus, now: i64) -> String {
    let mut html = String::new();
    let stack = escape(&status.stack);
    let problems: usize = status.targets.iter().map(|t| t.problems.len()).sum();
    let services = || status.targets.iter().flat_map(|t| t.services.values());
    let resources: u64 = services().map(|service| service.resources).sum();
    let (word, class) = if status.suspended {
        ("suspended".to_owned(), "")
    } else if status.config_error.is_some() {
        ("the new configuration is refused".to_owned(), "bad")
    } else if problems == 1 {
        ("1 problem".to_owned(), "bad")
    } else if problems > 1 {
        (format!("{problems} problems"), "bad")
    } else if status.targets.is_empty() || status.targets.iter().any(|t| t.last_discovery.is_none())
    {
        ("starting".to_owned(), "")
    } else {
        ("all is well".to_owned(), "good")
    };
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"30\"><title>{stack} - \
         Nightjar</title><style>{STYLE}</style><h1>{stack} <span class=\"pill {class}\">{word}</span></h1><p \
         class=\"sub\">Nightjar exporter {} &middot; up for {} &middot; <a href=\"/metrics\">metrics</a> &middot; \
         <a href=\"/status\">status</a></p>",
        escape(&status.build),
        age(now - status.started),
    );
    let final_through = services()
        .filter_map(|service| service.counted_through)
        .min();
    let _ = write!(
        html,
        "<div class=\"tiles\">{}{}{}{}{}</div>",
        tile(&grouped(resources), "resources watched"),
        tile(&grouped(status.series), "series published"),
        tile(
            &final_through.map_or_else(|| "not yet".to_owned(), |at| age(now - at)),
            "since the last minute that all counters hold for good"
        ),
        tile(
            &format!("${:.2}", status.spend.forecast_usd_per_month),
            "for CloudWatch in 30 days, at this plan"
        ),
        tile(
            &format!("${:.2}", dollars(status.spend.metrics_requested)),
            &format!(
                "since the start: {} metrics asked for",
                grouped(status.spend.metrics_requested)
            )
        ),
    );
    if let Some(error) = &status.config_error {
        note(
            &mut html,
            "Configuration",
            "",
            &format!("The newest configuration cannot be used; the one before it runs on. {error}"),
        );
    }
    if status.suspended {
        let text = "CloudWatch is not asked, and nothing is charged: spec.suspend is true. Counters stand still.";
        let _ = write!(html, "<section>{text}</section>");
    }
    budget(&mut html, &status.spend);
    if status.series_dropped > 0 {
        let text = format!(
            "{} series are left out, always the same ones. Raise spec.collection.maxSeries, or select less.",
            grouped(status.series_dropped)
        );
        note(&mut html, "Too many series", "", &text);
    }
    for target in &status.targets {
        write_target(&mut html, target, now);
    }
    html.push_str("</html>\n");
    html
}

fn budget(html: &mut String, spend: &Spend) {
    let Some(budget) = spend.budget_usd_per_month else {
        return;
    };
    let every = Duration::from_secs(spend.interval_seconds);
    let text = match spend.least_budget_usd_per_month {
        Some(least) => format!(
            "Nothing is polled: even every {every} costs more than the ${budget:.2} that this exporter may spend in 30 days. \
             It would need ${:.2}: raise spec.collection.budgetUsdPerMonth, or select less.",
            (least * 100.0).ceil() / 100.0
        ),
        None if spend.rung > 0 => format!(
            "Polling goes on every {every}, slower than asked for, to stay within ${budget:.2} in 30 days. Nothing is lost but freshness."
        ),
        None => return,
    };
    note(html, "Budget", "", &text);
}

fn write_target(html: &mut String, target: &TargetStatus, now: i64) {
    let account = match (&target.account_id, &target.role_arn) {
        (Some(id), _) => format!("Account {}", escape(id)),
        (None, Some(_)) => "An account that is not known yet".to_owned(),
        (None, None) => "The account of the credentials".to_owned(),
    };
    let role = target
        .role_arn
        .as_deref()
        .map(|role| format!(" <small>as {}</small>", escape(role)))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<section><h2>{account}, {}{role}</h2>",
        escape(&target.region)
    );
    for problem in &target.problems {
        let since = format!("{} for {}", problem.action, age(now - problem.since));
        note(html, problem.reason.as_str(), &since, &problem.message);
    }
    if !target.services.is_empty() {
        html.push_str(
            "<table><tr><th>Service<th class=\"n\">Resources<th class=\"n\">Last good poll<th class=\"n\">Counters final \
             through",
        );
    }
    for (name, service) in &target.services {
        let ago = |at: Option<i64>| match at {
            Some(at) => format!("{} ago", age(now - at)),
            None if service.resources == 0 => "-".to_owned(),
            None => "not yet".to_owned(),
        };
        let _ = write!(
            html,
            "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}",
            escape(name),
            grouped(service.resources),
            ago(service.last_poll),
            ago(service.counted_through),
        );
    }
    if !target.services.is_empty() {
        html.push_str("</table>");
    }
    let found: u64 = target.services.values().map(|s| s.resources).sum();
    let discovery = match target.last_discovery {
        None => "No look-up of resources has succeeded yet.".to_owned(),
        Some(at) if found == 0 => format!(
            "Resources were looked up {} ago, and nothing here is what spec.select selects.",
            age(now - at)
        ),
        Some(at) => format!("Resources were looked up {} ago.", age(now - at)),
    };
    let _ = write!(html, "<p class=\"foot\">{discovery}</p></section>");
}

/// Something that a reader should do something about.
fn note(html: &mut String, title: &str, beside: &str, text: &str) {
    let _ = write!(
        html,
        "<div class=\"note\"><b>{}</b> <small>{}</small><p>{}</p></div>",
        escape(title),
        escape(beside),
        escape(text)
    );
}

fn tile(value: &str, what: &str) -> String {
    format!("<div class=\"tile\"><b>{value}</b><span>{what}</span></div>")
}

/// What CloudWatch charges for metrics asked for.
#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 2^53 metrics, cents do not matter"
)]
fn dollars(metrics: u64) -> f64 {
    metrics as f64 * DOLLARS_PER_METRIC
}

/// A number that a person can read.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn age(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{} s", seconds.max(0)),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::api::exporter_status::Problem;

    #[test]
    fn a_failure_stands_on_the_page_with_its_remedy_and_cannot_inject_markup() {
        let problem = Problem {
            reason: Reason::AccessDenied,
            action: "lambda:ListFunctions".into(),
            message: "Allow the action <b>lambda:ListFunctions</b>".into(),
            since: 100,
        };
        let target = TargetStatus {
            region: "eu-west-1".into(),
            problems: vec![problem],
            ..TargetStatus::default()
        };
        let status = ExporterStatus {
            stack: "shop/<script>alert(1)</script>".into(),
            targets: vec![target],
            ..ExporterStatus::default()
        };
        let html = page(&status, 160);
        for text in [
            "<b>AccessDenied</b> <small>lambda:ListFunctions for 60 s</small>",
            "Allow the action &lt;b&gt;lambda",
            "1 problem",
        ] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("<script>"), "{html}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
