//! The Service that names the exporters' addresses. It is headless: nobody wants one of the
//! exporters, Prometheus scrapes and the operator reads each of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{PORT, PORT_NAME, metadata, selector_labels};
use crate::api::ServerlessStack;
use crate::controller::resolve::Resolved;

pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> Service {
    let mut metadata = metadata(stack);
    // Never both: a Prometheus that follows annotations and ServiceMonitors would scrape twice.
    if !resolved.service_monitors {
        metadata.annotations = Some(scrape_annotations());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(selector_labels(stack)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn scrape_annotations() -> BTreeMap<String, String> {
    [
        ("prometheus.io/scrape", "true".to_owned()),
        ("prometheus.io/port", PORT.to_string()),
        ("prometheus.io/path", "/metrics".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
