//! Whose accounts are read, and by whom.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An AWS account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.externalIdSecretRef) || has(self.roleArn)")
    .message("externalIdSecretRef needs roleArn: an external id is only sent when a role is assumed"))]
pub struct Account {
    /// The role to assume in the account. Default: none, the credentials' own account is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$')")
        .message("not the ARN of a role: write for example arn:aws:iam::111122223333:role/nightjar-read"))]
    pub role_arn: Option<String>,

    /// The Secret that holds the external id which the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id_secret_ref: Option<SecretKeyRef>,
}

/// One key of a Secret in the stack's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("not the name of a Secret: use lower-case letters, digits, hyphens and dots"))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')")
        .message("not a key of a Secret: use letters, digits and -._"))]
    pub key: String,
}

/// Where the exporter's credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.serviceAccountName) && has(self.secretRef))")
    .message("serviceAccountName and secretRef exclude each other: keep one"))]
pub struct Credentials {
    /// A ServiceAccount in the stack's namespace under which the exporters run. The operator
    /// does not make it. Default: one of the operator's own, named `<stack>-exporter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("not the name of a ServiceAccount: use lower-case letters, digits, hyphens and dots"))]
    pub service_account_name: Option<String>,

    /// A Secret in the stack's namespace with the keys `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`, and perhaps `AWS_SESSION_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,

    /// Annotations for the ServiceAccount that the operator makes, for example
    /// `eks.amazonaws.com/role-arn`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 2048}))]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
        .message("not the key of an annotation: write for example eks.amazonaws.com/role-arn"))]
    pub annotations: BTreeMap<String, String>,
}

/// A Secret in the stack's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("not the name of a Secret: use lower-case letters, digits, hyphens and dots"))]
    pub name: String,
}
