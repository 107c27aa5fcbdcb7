//! The exporters. Their pods change only for what a running process cannot change itself
//! (image, resources, environment, identity): an edit of anything else reaches them through the
//! mounted configuration, so nothing here depends on it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, KeyToPath, LocalObjectReference, ObjectFieldSelector,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSecurityContext, PodSpec, PodTemplateSpec,
    Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecretProjection, SecurityContext, Volume, VolumeMount, VolumeProjection,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    CONFIG_KEY, PORT, PORT_NAME, STORAGE_ANNOTATION, labels, metadata, object_name,
    selector_labels, service_account,
};
use crate::api::ServerlessStack;
use crate::api::stack::{Resources, Storage};
use crate::controller::resolve::Resolved;

/// Where an exporter reads which shard it is. Nobody else may say so.
const SHARD_VARIABLE: &str = "NIGHTJAR_SHARD";
const CONFIG_DIR: &str = "/etc/nightjar";
const STATE_DIR: &str = "/var/lib/nightjar";
const STATE_VOLUME: &str = "state";
/// The certificate authorities in it.
const CA_FILE: &str = "ca.pem";
/// The user of the image, and the group that its volumes belong to.
const UID: i64 = 65532;

pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> StatefulSet {
    let storage = resolved.storage(stack);
    let mut metadata = metadata(stack);
    let text = serde_json::to_string(&storage).expect("a volume's size and class are plain data");
    metadata.annotations = Some([(STORAGE_ANNOTATION.to_owned(), text)].into());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: i32::try_from(resolved.shards.replicas).ok(),
            service_name: Some(object_name(stack)),
            // Shards do not depend on each other; and a broken image must not block the
            // roll-out of its cure, as it would with ordered pods.
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(selector_labels(stack)),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(stack)),
                    annotations: Some(
                        // `kubectl logs` and `kubectl exec` need no -c, even beside injected sidecars.
                        [(
                            "kubectl.kubernetes.io/default-container".to_owned(),
                            "exporter".to_owned(),
                        )]
                        .into(),
                    ),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(stack, resolved)),
            },
            persistent_volume_claim_retention_policy: storage.is_some().then(|| {
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some("Delete".to_owned()),
                    when_scaled: Some("Delete".to_owned()),
                }
            }),
            volume_claim_templates: storage.map(|storage| vec![claim(storage)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// The volume of a pod's books. It goes with the stack, and with a shard that is no more: what it
/// knows is published by another one then.
fn claim(storage: &Storage) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(STATE_VOLUME.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(storage.size.clone()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// What the volumes of a StatefulSet's pods are made of.
pub fn storage_of(set: &StatefulSet) -> Option<Storage> {
    let mut claims = set.spec.as_ref()?.volume_claim_templates.iter().flatten();
    let claim = claims.find(|claim| claim.metadata.name.as_deref() == Some(STATE_VOLUME))?;
    let claim = claim.spec.as_ref()?;
    let size = claim
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")?;
    Some(Storage {
        size: size.0.clone(),
        storage_class_name: claim.storage_class_name.clone(),
    })
}

/// The stack's configuration, and room for books where no volume is claimed for them.
fn volumes(stack: &ServerlessStack, resolved: &Resolved) -> Vec<Volume> {
    let config = Volume {
        name: "config".to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(config_sources(stack, resolved)),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    };
    let state = Volume {
        name: STATE_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let state = resolved.storage(stack).is_none().then_some(state);
    std::iter::once(config).chain(state).collect()
}

fn pod(stack: &ServerlessStack, resolved: &Resolved) -> PodSpec {
    PodSpec {
        service_account_name: Some(service_account::name(stack)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: Some(image_pull_secrets(resolved)).filter(|all| !all.is_empty()),
        termination_grace_period_seconds: Some(20),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(UID),
            run_as_group: Some(UID),
            // Makes the token that IRSA mounts readable.
            fs_group: Some(UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(stack, resolved)],
        volumes: Some(volumes(stack, resolved)),
        ..PodSpec::default()
    }
}

fn image_pull_secrets(resolved: &Resolved) -> Vec<LocalObjectReference> {
    let names = resolved.exporter.image_pull_secrets.iter();
    names
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect()
}

/// One volume for all: a mount inside another read-only mount does not work everywhere.
fn config_sources(stack: &ServerlessStack, resolved: &Resolved) -> Vec<VolumeProjection> {
    let stack_file = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: object_name(stack),
            items: Some(vec![key_to_path(CONFIG_KEY, CONFIG_KEY)]),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let external_ids = stack
        .spec
        .accounts
        .iter()
        .enumerate()
        .filter_map(|(index, account)| Some((index, account.external_id_secret_ref.as_ref()?)))
        .map(|(index, secret)| VolumeProjection {
            secret: Some(SecretProjection {
                name: secret.name.clone(),
                items: Some(vec![key_to_path(
                    &secret.key,
                    &format!("external-ids/{index}"),
                )]),
                optional: Some(false),
            }),
            ..VolumeProjection::default()
        });
    let authorities = resolved.exporter.ca_config_map.as_ref();
    let authorities = authorities.map(|(name, key)| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: name.clone(),
            items: Some(vec![key_to_path(key, CA_FILE)]),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    });
    std::iter::once(stack_file)
        .chain(external_ids)
        .chain(authorities)
        .collect()
}

fn key_to_path(key: &str, path: &str) -> KeyToPath {
    KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        ..KeyToPath::default()
    }
}

fn container(stack: &ServerlessStack, resolved: &Resolved) -> Container {
    Container {
        name: "exporter".to_owned(),
        image: Some(resolved.exporter.image.clone()),
        image_pull_policy: resolved.exporter.image_pull_policy.clone(),
        args: Some(
            [
                "exporter".to_owned(),
                format!("--config={CONFIG_DIR}/{CONFIG_KEY}"),
                format!("--listen=0.0.0.0:{PORT}"),
                format!("--state-dir={STATE_DIR}"),
            ]
            .to_vec(),
        ),
        env: Some(environment(stack, resolved)).filter(|env| !env.is_empty()),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // Fast at the start, so that a new stack is Ready soon; calm afterwards.
        startup_probe: Some(probe("/healthz", 1, 60)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        resources: Some(resources(stack.spec.exporter.resources.as_ref())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            VolumeMount {
                name: "config".to_owned(),
                mount_path: CONFIG_DIR.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            },
            VolumeMount {
                name: STATE_VOLUME.to_owned(),
                mount_path: STATE_DIR.to_owned(),
                ..VolumeMount::default()
            },
        ]),
        ..Container::default()
    }
}

/// The operator's defaults, over them the stack's credentials, over them the stack's own
/// variables: the closest to the user wins. One entry for each name, since the API server
/// refuses two.
fn environment(stack: &ServerlessStack, resolved: &Resolved) -> Vec<EnvVar> {
    let mut env: BTreeMap<String, EnvVar> = BTreeMap::new();
    let plain = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    };
    if resolved.exporter.ca_config_map.is_some() {
        // The AWS SDK's trust store begins with the system's, which this replaces.
        let variable = plain("SSL_CERT_FILE", &format!("{CONFIG_DIR}/{CA_FILE}"));
        env.insert(variable.name.clone(), variable);
    }
    for (name, value) in &resolved.exporter.env {
        env.insert(name.clone(), plain(name, value));
    }
    if let Some(secret) = &stack.spec.credentials.secret_ref {
        for (key, optional) in [
            ("AWS_ACCESS_KEY_ID", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("AWS_SESSION_TOKEN", true),
        ] {
            let source = SecretKeySelector {
                name: secret.name.clone(),
                key: key.to_owned(),
                optional: Some(optional),
            };
            env.insert(
                key.to_owned(),
                EnvVar {
                    name: key.to_owned(),
                    value_from: Some(EnvVarSource {
                        secret_key_ref: Some(source),
                        ..EnvVarSource::default()
                    }),
                    ..EnvVar::default()
                },
            );
        }
    }
    env.insert(SHARD_VARIABLE.to_owned(), shard());
    for variable in stack
        .spec
        .exporter
        .env
        .iter()
        .filter(|variable| variable.name != SHARD_VARIABLE)
    {
        env.insert(
            variable.name.clone(),
            plain(&variable.name, &variable.value),
        );
    }
    env.into_values().collect()
}

/// Which shard a pod is: what the StatefulSet numbers it.
fn shard() -> EnvVar {
    EnvVar {
        name: SHARD_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.labels['apps.kubernetes.io/pod-index']".to_owned(),
                // What the API server would add, and anybody could not change then.
                api_version: Some("v1".to_owned()),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(if period_seconds == 1 { 1 } else { 2 }),
        ..Probe::default()
    }
}

fn resources(chosen: Option<&Resources>) -> ResourceRequirements {
    let quantities = |map: &BTreeMap<String, String>| {
        let map = map
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.clone())));
        Some(map.collect::<BTreeMap<_, _>>()).filter(|map| !map.is_empty())
    };
    let map = |entries: &[(&str, &str)]| {
        let entries = entries
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        quantities(&entries.collect())
    };
    match chosen {
        Some(chosen) => ResourceRequirements {
            requests: quantities(&chosen.requests),
            limits: quantities(&chosen.limits),
            ..ResourceRequirements::default()
        },
        None => ResourceRequirements {
            requests: map(&[("cpu", "10m"), ("memory", "32Mi")]),
            limits: map(&[("memory", "512Mi")]),
            ..ResourceRequirements::default()
        },
    }
}
