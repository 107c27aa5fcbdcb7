//! What does not answer, or not yet, or not to us: nothing else waits for it.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, ListParams};
use kube::{ResourceExt, core::DynamicObject};
use nightjar_tests::http;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::kube_api::fault_proxy::background;
use crate::kube_api::{
    KubeApi, Namespace, condition, eventually, free_ports, nightjar, output, spawn,
};
use crate::shared;

/// Edits a stack again and again and waits each time until its exporter's configuration says so. All of it
/// within two minutes, which is plenty unless each edit waits for somebody else's timeout.
async fn many_edits_arrive(namespace: &Namespace, stack: &str) {
    let edits = async {
        for round in 0..30 {
            let name = format!("edit-{round}");
            let spec = json!({"regions": ["eu-west-1"], "select": [{"names": [name]}]});
            let edited = json!({"metadata": {"name": stack}, "spec": spec});
            namespace.apply("ServerlessStack", &edited).await;
            namespace
                .wait_for("ConfigMap", &format!("{stack}-exporter"), |map| {
                    map.data["data"]["stack.yaml"]
                        .as_str()
                        .is_some_and(|text| text.contains(&name))
                })
                .await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), edits)
        .await
        .expect("edits wait for something that has nothing to do with them");
}

#[tokio::test]
async fn an_operator_that_finds_no_api_server_lives_is_not_ready_and_hears_that_it_shall_stop() {
    // Takes every connection and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (what, port) in [
        ("silent", silent.local_addr().unwrap().port()),
        ("nobody", free_ports::<1>()[0]),
    ] {
        let kubeconfig = folder.path().join(what);
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "it", "user": {"token": "none"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        let [listen] = free_ports();
        let mut operator = spawn(
            &nightjar(),
            &[
                "operator".to_owned(),
                format!("--listen=127.0.0.1:{listen}"),
            ],
            &[("KUBECONFIG", kubeconfig.to_str().unwrap())],
            &folder.path().join(format!("{what}.log")),
        );
        let url = |path: &str| format!("http://127.0.0.1:{listen}{path}");
        eventually(
            "its health",
            async || http::text(&url("/healthz")).await.is_ok(),
            |lives| *lives,
        )
        .await;
        let refusal = http::text(&url("/readyz")).await.unwrap_err().to_string();
        assert!(refusal.contains("503"), "{refusal}");
        let metrics = http::text(&url("/metrics")).await.unwrap();
        assert!(metrics.contains("nightjar_operator_leader 0"), "{metrics}");

        output(Command::new("kill").args(["-TERM", &operator.0.id().to_string()]));
        let deadline = std::time::Instant::now() + Duration::from_mins(1);
        let status = loop {
            if let Some(status) = operator.0.try_wait().unwrap() {
                break status;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{what}: it does not end"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.code(), Some(0), "{what}");
    }
}

#[tokio::test]
async fn a_kind_that_may_not_be_watched_holds_up_nothing_else_and_is_seen_again_when_it_may() {
    // Of its own: a permission is there for the whole cluster.
    let api = KubeApi::start();
    api.install_chart();
    let before = output(
        api.kubectl()
            .args(["get", "clusterrole", "nightjar", "-o", "json"]),
    );
    let mut role: Value = serde_json::from_str(&before).unwrap();
    role["metadata"] = json!({"name": "nightjar"});
    let whole = role.to_string();
    let mut taken = 0;
    for rule in role["rules"].as_array_mut().unwrap() {
        let names = |resource: &str| {
            rule["resources"]
                .as_array()
                .unwrap()
                .contains(&json!(resource))
        };
        if names("services") || names("endpointslices") {
            let verbs = rule["verbs"].as_array_mut().unwrap();
            verbs.retain(|verb| *verb != "watch" && *verb != "list");
            taken += 1;
            if verbs.is_empty() {
                verbs.push(json!("get"));
            }
        }
    }
    assert_eq!(taken, 2, "the chart's rules are others now");
    api.apply_text(&role.to_string());
    let operator = api.operator(&[]);
    let namespace = api.namespace("revoked").await;
    namespace.stack("checkout").await;
    namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    many_edits_arrive(&namespace, "checkout").await;
    for kind in ["Service", "EndpointSlice"] {
        let errors = format!("nightjar_operator_watch_errors_total{{kind=\"{kind}\"}}");
        let errors = operator.metric(&errors).await;
        assert!(errors.parse::<u64>().unwrap() > 0, "{kind}: {errors}");
    }
    let stacks = "nightjar_operator_watch_errors_total{kind=\"ServerlessStack\"}";
    assert_eq!(operator.metric(stacks).await, "");
    eventually(
        "the queue",
        async || operator.metric("nightjar_operator_queue_depth").await,
        |waiting| waiting == "0",
    )
    .await;

    // Told once, however often it is tried.
    assert_eq!(
        operator.lines_with(&["WARN", "a watch failed", "\"Service\""]),
        1
    );
    api.apply_text(&whole);
    let services = namespace.of("Service");
    let service = services.get("checkout-exporter").await.unwrap();
    let is_new = |new: &DynamicObject| new.uid() != service.uid();
    eventually(
        "the watch",
        async || operator.lines_with(&["the watch works again", "\"Service\""]),
        |lines| *lines == 1,
    )
    .await;
    services
        .delete("checkout-exporter", &DeleteParams::default())
        .await
        .unwrap();
    namespace
        .wait_for("Service", "checkout-exporter", is_new)
        .await;
}

#[tokio::test]
async fn exporters_that_never_answer_hold_up_nobodys_edit() {
    let silent = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let namespace = shared().api.namespace("silent").await;
    // Each is looked at every ten seconds. Whoever waited two seconds for each answer would be late all the time, also
    // with eight at once.
    for number in 0..64 {
        let name = format!("silent-{number}");
        namespace.stack(&name).await;
        namespace.pod_serves(&name, 0, port).await;
    }
    for number in 0..64 {
        let name = format!("silent-{number}");
        namespace.pods_are_ready(&name, 1).await;
    }
    namespace.stack("checkout").await;
    many_edits_arrive(&namespace, "checkout").await;
    // That they do not answer is told all the same.
    for number in [0, 63] {
        namespace
            .wait_for_condition(
                &format!("silent-{number}"),
                "ExporterAvailable",
                "False",
                "ExporterUnreachable",
            )
            .await;
    }
    let all = namespace.of("ServerlessStack");
    all.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
}

/// Answers everybody with the same document.
fn answering(document: &str) -> u16 {
    let socket = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    socket.set_nonblocking(true).unwrap();
    let text: Arc<str> = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{document}").into();
    background().spawn(async move {
        let socket = TcpListener::from_std(socket).unwrap();
        while let Ok((mut stream, _)) = socket.accept().await {
            let text = Arc::clone(&text);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                // Whoever asked may have had enough.
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn an_exporter_that_says_too_much_costs_the_operator_little_and_the_other_stacks_nothing() {
    // Alone: its memory is measured.
    let api = KubeApi::start();
    api.install_chart();
    let operator = api.operator(&[]);
    let namespace = api.namespace("liars").await;
    let of = |stack: &str| format!("{{\"stack\": \"liars/{stack}\"");
    let problem = json!({"reason": "NeverHeardOf", "message": "lies ".repeat(2000)});
    let stacks: Vec<_> = (0..12).map(|number| format!("liar-{number}")).collect();
    for (number, stack) in stacks.iter().enumerate() {
        let document = match number % 3 {
            // A million accounts, in three megabytes.
            0 => format!(
                "{}, \"targets\": [{{}}{}]}}",
                of(stack),
                ",{}".repeat(1_000_000)
            ),
            1 => format!(
                "{}, \"targets\": [{{\"problems\": [{problem}{}]}}]}}",
                of(stack),
                format!(",{problem}").repeat(300)
            ),
            _ => format!(
                "{}, \"build\": \"{}\"}}",
                of(stack),
                "endless".repeat(1_000_000)
            ),
        };
        namespace.stack(stack).await;
        namespace.pod_serves(stack, 0, answering(&document)).await;
    }
    for stack in &stacks {
        namespace.pods_are_ready(stack, 1).await;
    }
    for (number, stack) in stacks.iter().enumerate() {
        let reason = if number % 3 == 2 {
            "ExporterUnreachable"
        } else {
            "ConfigurationPending"
        };
        namespace
            .wait_for_condition(stack, "ExporterAvailable", "False", reason)
            .await;
    }
    let told = namespace.of("ServerlessStack").get("liar-1").await.unwrap();
    let message = condition(&told, "AWSReachable")["message"].to_string();
    assert!(
        message.contains("lies") && message.len() < 5000,
        "{message}"
    );
    namespace.stack("checkout").await;
    many_edits_arrive(&namespace, "checkout").await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = most
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    // What the chart allows it.
    assert!(kilobytes < 256 * 1024, "{kilobytes} kB");
}

#[tokio::test]
async fn numbers_alone_are_written_into_a_status_once_a_minute_and_what_a_condition_says_at_once() {
    let namespace = shared().api.namespace("numbers").await;
    namespace.stack("checkout").await;
    let exporter = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = exporter.local_addr().unwrap().port();
    namespace.pod_serves("checkout", 0, port).await;
    // Says another number each time, and that it runs some other configuration: so it is asked often.
    let mut answered = 0;
    let mut answer = async || {
        let (mut stream, _) = exporter.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        answered += 1;
        let document = json!({"stack": "numbers/checkout", "series": answered, "targets": [{
            "region": "eu-west-1", "services": {"lambda": {"resources": answered}},
        }]});
        let text = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{document}");
        stream.write_all(text.as_bytes()).await.unwrap();
    };
    let writes = || {
        let mut all = shared().api.writes();
        all.retain(|write| write.ends_with(" patch serverlessstacks/status numbers/checkout"));
        all.len()
    };
    answer().await;
    namespace.pods_are_ready("checkout", 1).await;
    let says_pending = async || {
        let stack = namespace
            .of("ServerlessStack")
            .get("checkout")
            .await
            .unwrap();
        condition(&stack, "ExporterAvailable")["reason"] == "ConfigurationPending"
    };
    tokio::time::timeout(Duration::from_mins(1), async {
        while !says_pending().await {
            let _ = tokio::time::timeout(Duration::from_millis(50), answer()).await;
        }
    })
    .await
    .expect("it is told what the exporter runs");
    let before = writes();
    let asked = std::time::Instant::now();
    for _ in 0..4 {
        answer().await;
    }
    // On a machine so slow that this took a minute, one write more is right.
    let minutes = usize::try_from(asked.elapsed().as_secs() / 60).unwrap();
    assert!(
        writes() <= before + 1 + minutes,
        "{} writes for 4 answers",
        writes() - before
    );
    // Another word in a condition does not wait for the minute to end.
    namespace
        .write_status(
            "StatefulSet",
            "checkout-exporter",
            json!({"readyReplicas": 0}),
        )
        .await;
    namespace
        .wait_for_condition("checkout", "Ready", "False", "ExporterNotReady")
        .await;
}
