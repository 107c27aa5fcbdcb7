//! What a request asks for, as its method, its path and its query say.

use std::time::Instant;

use hyper::{Method, Uri};

/// One request as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it came.
    pub at: Instant,
    /// As permissions name it; `discover` for what is no object, `continue` for a list's further pages.
    pub verb: &'static str,
    /// Plural, with its subresource: `serverlessstacks/status`.
    pub resource: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
    /// The version from which on a watch asks for changes.
    pub since: Option<u64>,
}

impl Seen {
    /// A connection that was closed before anything was asked for.
    pub(super) fn connection() -> Self {
        Self {
            at: Instant::now(),
            verb: "connect",
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            since: None,
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            verb,
            resource,
            namespace,
            name,
            ..
        } = self;
        write!(f, "{verb} {resource} {namespace}/{name}")
    }
}

/// Path and query, but for the version that a list may be of.
pub(super) fn of_no_version(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let kept: Vec<_> = query
        .split('&')
        .filter(|part| !part.starts_with("resourceVersion") && !part.is_empty())
        .collect();
    format!("{}?{}", uri.path(), kept.join("&"))
}

/// Path and query, with another limit of a page.
pub(super) fn in_pages(uri: &Uri, of: usize) -> Uri {
    let query = uri.query().unwrap_or_default();
    let kept = query
        .split('&')
        .filter(|part| !part.starts_with("limit=") && !part.is_empty())
        .fold(String::new(), |kept, part| format!("{kept}{part}&"));
    format!("{}?{kept}limit={of}", uri.path()).parse().unwrap()
}

pub(super) fn parse(method: &Method, uri: &Uri) -> Seen {
    let query = uri.query().unwrap_or_default();
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    let known = match parts.next() {
        Some("api") => parts.next().is_some(),
        Some("apis") => parts.next().is_some() && parts.next().is_some(),
        _ => false,
    };
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match &rest[..] {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (resource, name) = match rest {
        _ if !known => (String::new(), ""),
        [] => (String::new(), ""),
        [resource] => ((*resource).to_owned(), ""),
        [resource, name] => ((*resource).to_owned(), *name),
        [resource, name, sub @ ..] => (format!("{resource}/{}", sub.join("/")), *name),
    };
    let watches = query.split('&').any(|part| part == "watch=true");
    let continues = query.split('&').any(|part| part.starts_with("continue="));
    let since = query
        .split('&')
        .find_map(|part| part.strip_prefix("resourceVersion="))
        .filter(|_| watches);
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if resource.is_empty() => "discover",
        Method::GET if continues => "continue",
        Method::GET if name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "other",
    };
    Seen {
        at: Instant::now(),
        verb,
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        since: since.and_then(|since| since.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_path() {
        for (method, uri, what) in [
            (
                Method::GET,
                "/apis/apps/v1/statefulsets?labelSelector=a&limit=500",
                "list statefulsets /",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/configmaps?watch=true&b",
                "watch configmaps a/",
            ),
            (
                Method::GET,
                "/api/v1/services?limit=500&continue=abc",
                "continue services /",
            ),
            (
                Method::PATCH,
                "/apis/nightjar.dev/v1alpha1/namespaces/a/serverlessstacks/b/status",
                "patch serverlessstacks/status a/b",
            ),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/a/statefulsets/b",
                "get statefulsets a/b",
            ),
            (Method::GET, "/api/v1/namespaces/a", "get namespaces /a"),
            (Method::GET, "/apis/monitoring.coreos.com/v1", "discover  /"),
            (Method::GET, "/readyz", "discover  /"),
        ] {
            assert_eq!(parse(&method, &uri.parse().unwrap()).to_string(), what);
        }
    }

    #[test]
    fn a_page_is_as_large_as_it_is_told_to_be() {
        let asked: Uri = "/api/v1/services?labelSelector=a&limit=500"
            .parse()
            .unwrap();
        let two = in_pages(&asked, 2).to_string();
        assert_eq!(two, "/api/v1/services?labelSelector=a&limit=2");
    }
}
