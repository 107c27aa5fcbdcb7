//! Deletes what a stack does not want any more.

use kube::api::{ApiResource, DeleteParams, DynamicObject, Preconditions};
use kube::{Api, ResourceExt};

use super::owned::is_owned_by;
use super::target::Target;
use super::{Applied, Applier, Kind, failure, identity};
use crate::api::ServerlessStack;
use crate::controller::desired::rules_name;
use crate::controller::error::Error;

impl Applier {
    /// Deletes what is ours and no longer desired, unless what takes its place could not be applied. What
    /// the watches have not shown yet is found at the next reconcile.
    pub(super) async fn prune(
        &self,
        stack: &ServerlessStack,
        targets: &[Target],
        applied: &mut Applied,
    ) {
        let (namespace, uid) = identity(stack);
        let rules = rules_name(stack);
        let mut superfluous = Vec::new();
        for (kind, store) in &self.seen {
            let of_kind = store.state_filter(|meta| {
                meta.metadata.namespace.as_deref() == Some(&namespace)
                    && is_owned_by(&meta.metadata, &uid)
                    && meta.metadata.deletion_timestamp.is_none()
                    && !targets
                        .iter()
                        .any(|t| t.kind == *kind && t.name == meta.name_any())
            });
            for meta in of_kind {
                // A pod that runs under it goes on so; and old rules are better than none.
                let successor = match kind {
                    Kind::ServiceAccount => Some(Kind::StatefulSet),
                    Kind::ConfigMap if meta.name_any() == rules => Some(Kind::PrometheusRule),
                    Kind::ConfigMap
                    | Kind::Service
                    | Kind::StatefulSet
                    | Kind::ServiceMonitor
                    | Kind::PrometheusRule
                    | Kind::AlertmanagerConfig
                    | Kind::GrafanaDashboard => None,
                };
                let mut failed = applied.failed.iter();
                if !failed.any(|error| successor.is_some() && error.kind() == successor) {
                    superfluous.push((*kind, meta));
                }
            }
        }
        if superfluous.is_empty() {
            return;
        }
        // The watch may lag behind: a stack that has changed meanwhile may want again what it did not.
        match self.is_current(stack).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return applied.failed.push(error),
        }
        for (kind, meta) in superfluous {
            let name = meta.name_any();
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: meta.uid(),
                    resource_version: meta.resource_version(),
                }),
                ..DeleteParams::background()
            };
            match self.api(kind, &namespace).delete(&name, &params).await {
                Ok(_) => applied.writes += 1,
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(source) => {
                    let error = failure("delete", kind, &namespace, &name, source);
                    applied.failed.push(error);
                }
            }
            self.contests().remove(&(uid.clone(), kind, name));
        }
    }

    /// Whether the stack still is what we saw of it.
    async fn is_current(&self, stack: &ServerlessStack) -> Result<bool, Error> {
        let resource = ApiResource::erase::<ServerlessStack>(&());
        let namespace = identity(stack).0;
        let stacks: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, &resource);
        let live = stacks.get_metadata_opt(&stack.name_any()).await;
        let live = live.map_err(Error::Stack)?;
        Ok(live.is_some_and(|live| {
            let seen = &stack.metadata;
            (&live.metadata.uid, live.metadata.generation) == (&seen.uid, seen.generation)
        }))
    }
}
