//! The CustomResourceDefinition as the file in `crds/` and the chart hold it.

use kube::CustomResourceExt;

use super::ServerlessStack;

/// The YAML that `nightjar crd` prints.
pub fn yaml() -> String {
    let crd = serde_saphyr::to_string(&ServerlessStack::crd())
        .expect("a CRD is plain data with string keys");
    format!("# Made by `nightjar crd`. Change operator/src/api/stack.rs instead.\n{crd}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_files_for_kubectl_and_for_helm_are_what_the_code_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for file in [
            "crds/serverlessstacks.yaml",
            "charts/nightjar/files/crds/serverlessstacks.yaml",
        ] {
            let there = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(
                there == super::yaml(),
                "{file} is old: cargo run -p nightjar -- crd > {file}"
            );
        }
    }

    #[test]
    fn no_number_has_a_format_that_the_api_server_warns_about() {
        let yaml = super::yaml();
        for format in ["uint", "float"] {
            assert!(!yaml.contains(&format!("format: {format}")), "{format}");
        }
    }
}
