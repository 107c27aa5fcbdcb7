//! The identity of the exporters' pods, which AWS learns through annotations (IRSA) or through
//! its stable name (EKS Pod Identity).

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{metadata, object_name};
use crate::api::ServerlessStack;
use crate::controller::resolve::Resolved;

/// None when the stack names a ServiceAccount of the user's.
pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> Option<ServiceAccount> {
    if stack.spec.credentials.service_account_name.is_some() {
        return None;
    }
    let mut metadata = metadata(stack);
    metadata.annotations = Some(resolved.service_account_annotations(stack))
        .filter(|annotations| !annotations.is_empty());
    Some(ServiceAccount {
        metadata,
        // An exporter never talks to Kubernetes.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}

/// The name of the ServiceAccount that the pods run under.
pub fn name(stack: &ServerlessStack) -> String {
    let named = stack.spec.credentials.service_account_name.clone();
    named.unwrap_or_else(|| object_name(stack))
}
