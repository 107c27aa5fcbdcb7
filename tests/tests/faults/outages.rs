//! The API server, its store or the network are gone for a while.

use std::time::Duration;

use nightjar_tests::kube_api::KubeApi;
use serde_json::json;

#[tokio::test]
async fn an_api_server_that_dies_that_loses_its_store_or_that_gets_another_certificate_is_found_again()
 {
    let api = KubeApi::start();
    api.install_chart();
    let operator = api.operator(&[]);
    operator.supervise();
    let namespace = api.namespace("shop").await;
    namespace.stack("checkout").await;
    namespace.converges("checkout", &[]).await;
    let edit = |tag: &str| crate::stack("checkout", &json!({"tags": [tag]}));

    api.server_dies();
    tokio::time::sleep(Duration::from_secs(12)).await;
    api.server_comes_back();
    namespace.apply("ServerlessStack", &edit("died")).await;
    namespace.converges("checkout", &[]).await;

    api.etcd_hangs();
    tokio::time::sleep(Duration::from_secs(15)).await;
    api.etcd_goes_on();
    let namespace = api.namespace("shop").await;
    namespace.apply("ServerlessStack", &edit("hung")).await;
    namespace.converges("checkout", &[]).await;

    api.server_dies();
    api.server_comes_back_as_another();
    let namespace = api.namespace("shop").await;
    namespace.apply("ServerlessStack", &edit("another")).await;
    namespace.converges("checkout", &[]).await;
    namespace.status_is_true("checkout").await;
}
