//! What Kubernetes' own controllers say of a stack's exporters: they do not run beside the API server, hence the tests
//! say it.

use std::net::UdpSocket;

use serde_json::json;

use super::Namespace;

/// An address of this machine that an EndpointSlice may hold: loopback is refused there.
pub fn address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .connect("198.51.100.1:9")
        .expect("a route to anywhere: exporters are found by an address that is not loopback");
    socket.local_addr().unwrap().ip().to_string()
}

impl Namespace {
    /// The pod of a stack's shard serves at this port of [`address`]. The slice is its own and has its name, so that
    /// pods come and go one by one.
    pub async fn pod_serves(&self, stack: &str, shard: u32, port: u16) {
        let service = format!("{stack}-exporter");
        let pod = format!("{service}-{shard}");
        let slice = json!({
            "metadata": {"name": pod, "labels": {
                "kubernetes.io/service-name": service,
                "app.kubernetes.io/managed-by": "nightjar",
                "app.kubernetes.io/instance": stack,
            }},
            "addressType": "IPv4",
            "ports": [{"name": "metrics", "port": port, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": [address()],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": self.name, "name": pod},
            }],
        });
        self.apply("EndpointSlice", &slice).await;
    }

    /// So many pods of a stack are there, up to date and ready.
    pub async fn pods_are_ready(&self, stack: &str, pods: usize) {
        let name = format!("{stack}-exporter");
        let set = self.wait_for("StatefulSet", &name, |_| true).await;
        let status = json!({
            "observedGeneration": set.metadata.generation,
            "replicas": pods, "readyReplicas": pods, "updatedReplicas": pods,
        });
        self.write_status("StatefulSet", &name, status).await;
    }
}
