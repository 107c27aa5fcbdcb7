//! What of an object is ours, as its metadata tell.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Value, json};

use super::FIELD_MANAGER;
use crate::api::hash::sha256_hex;

/// The SHA-256 of what was applied.
pub(super) const HASH_ANNOTATION: &str = "nightjar.dev/applied-hash";

/// What we remember of an object that we applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours {
    /// The hash of what was applied.
    pub(super) applied: String,
    /// The hash of our fields in `managedFields` as the API server left them. Whoever changes or
    /// removes a field of ours takes it away from there.
    pub(super) fields: String,
    /// The version that we wrote upon, and what the API server answered: newer than what the watch
    /// shows, as long as it shows that version.
    pub(super) newer: Option<(Option<String>, ObjectMeta)>,
}

pub(super) fn is_owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether an object carries what we would apply, in fields that are all still ours.
pub(super) fn is_unmodified(live: &ObjectMeta, known: &Ours) -> bool {
    let annotation = live
        .annotations
        .as_ref()
        .and_then(|all| all.get(HASH_ANNOTATION));
    annotation == Some(&known.applied) && our_fields(live).as_ref() == Some(&known.fields)
}

/// Who wrote to the object last, other than us.
pub(super) fn last_other_manager(meta: &ObjectMeta) -> Option<String> {
    let entries = meta.managed_fields.as_deref()?.iter();
    entries
        // An autoscaler writes through the subresource `scale`; its own controller reports in `status`.
        .filter(|entry| entry.subresource.as_deref() != Some("status"))
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?
        .manager
        .clone()
}

/// A hash of the fields that we own by server-side apply; none if we own none.
pub(super) fn our_fields(meta: &ObjectMeta) -> Option<String> {
    let mut entries = meta.managed_fields.iter().flatten();
    let fields = &entries.find(|entry| is_ours(entry))?.fields_v1.as_ref()?.0;
    Some(hash_of(fields))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn hash_of(fields: &Value) -> String {
    match fields {
        // As `compact` left it: a list of fields is never a string.
        Value::String(hash) => hash.clone(),
        fields => sha256_hex(fields.to_string().as_bytes()),
    }
}

/// Leaves of `managedFields`, by far the largest part of what is kept of an object, no more than
/// who wrote when, and a hash of what is ours.
pub fn compact(meta: &mut ObjectMeta) {
    for entry in meta.managed_fields.iter_mut().flatten() {
        let ours = is_ours(entry);
        let fields = entry.fields_v1.take().filter(|_| ours);
        entry.fields_v1 = fields.map(|fields| FieldsV1(json!(hash_of(&fields.0))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed() -> ObjectMeta {
        serde_json::from_value(json!({"managedFields": [
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": FIELD_MANAGER, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {}}},
        ]}))
        .unwrap()
    }

    #[test]
    fn what_is_kept_of_an_object_tells_the_same_of_our_fields_and_of_others_as_the_whole() {
        let whole = managed();
        let mut kept = managed();
        compact(&mut kept);
        assert_eq!(our_fields(&kept), our_fields(&whole));
        assert!(our_fields(&kept).is_some());
        for meta in [&kept, &whole] {
            assert_eq!(last_other_manager(meta).as_deref(), Some("kubectl-edit"));
        }
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("f:"), "{text}");
        // Once more, as with an object that is kept and looked at again.
        compact(&mut kept);
        assert_eq!(our_fields(&kept), our_fields(&whole));
    }
}
