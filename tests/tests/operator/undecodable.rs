//! Stacks from before the present schema.

use serde_json::json;

use crate::kube_api::KubeApi;

#[tokio::test]
async fn a_stack_that_cannot_be_read_does_not_stop_the_others_and_is_told_so() {
    // Of its own: the kind's definition is changed.
    let api = KubeApi::start();
    let loose = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: serverlessstacks.nightjar.dev}
spec:
  group: nightjar.dev
  names: {kind: ServerlessStack, plural: serverlessstacks, singular: serverlessstack}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
      subresources: {status: {}}
";
    api.apply_text(loose);
    api.wait("Established", "crd/serverlessstacks.nightjar.dev");
    let namespace = api.namespace("old").await;
    let old = json!({"metadata": {"name": "old"}, "spec": {"regions": "eu-west-1", "collection": {"interval": 300}}});
    namespace.apply("ServerlessStack", &old).await;
    // Decodes, but names nothing to select.
    let empty =
        json!({"metadata": {"name": "empty"}, "spec": {"regions": ["eu-west-1"], "select": []}});
    namespace.apply("ServerlessStack", &empty).await;

    api.install_chart();
    let operator = api.operator(&[]);
    namespace.stack("checkout").await;
    namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    crate::kube_api::eventually(
        "the log",
        async || operator.lines_with(&["cannot read the stack", "\"old\""]),
        |lines| *lines > 0,
    )
    .await;
    let events = namespace.of("Event");
    crate::kube_api::eventually(
        "the Events",
        async || {
            events
                .list(&kube::api::ListParams::default())
                .await
                .unwrap()
                .items
        },
        |events| {
            ["old", "empty"].iter().all(|stack| {
                events.iter().any(|event| {
                    event.data["regarding"]["name"] == *stack
                        && event.data["reason"] == "InvalidSpec"
                })
            })
        },
    )
    .await;
    assert!(
        namespace
            .of("StatefulSet")
            .get_opt("old-exporter")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        namespace
            .of("StatefulSet")
            .get_opt("empty-exporter")
            .await
            .unwrap()
            .is_none()
    );
}
