//! Nightjar: a Kubernetes operator and Prometheus exporter for AWS serverless stacks.
//!
//! One binary has two roles with a wall between them.
//!
//! ```text
//! kubectl apply                                                     Prometheus
//!      |                                                                ^
//!      v                                                                | scrape
//! ServerlessStack --> nightjar operator --> StatefulSet of nightjar exporters
//!                      (never AWS)            (never Kubernetes)    ^
//!                                                                   |
//!                                          AWS: CloudWatch and the services' own APIs
//! ```
//!
//! The operator never holds AWS credentials, an exporter mounts no Kubernetes token. What they say
//! to each other is the configuration file (a ConfigMap with the `ServerlessStack` in it) and the
//! exporter's `/status`; both are types in [`api`].
//!
//! **The operator's data flow** ([`controller`]): everything is derived anew in each
//! reconciliation, and written only where the cluster differs.
//!
//! ```text
//! ServerlessStack -> resolve -> desired (pure) -> apply -> ask exporters -> judge (pure) -> status, Events
//! ```
//!
//! **The exporter's data flow** ([`exporter`]), for each account and region by itself:
//!
//! ```text
//! config -> discover -> plan (pure) -> poll -> fold (pure) -> view -> snapshot -> a copy for each scrape
//!              ^ slow loop                ^ fast loop                  immutable, swapped whole
//! ```
//!
//! [`services`] holds what is known about each AWS service as tables, one folder for each;
//! [`aws`] is the only place that builds SDK clients.
//!
//! # Decisions
//!
//! - **A counter is a counter.** CloudWatch's `Sum` of each minute is added to the counter once,
//!   in integers. The trailing minutes are read again at every poll until they are settled, so
//!   late data is corrected, and a poll that fails loses nothing. See [`exporter::book`].
//! - **Absent is not zero.** A missing datapoint is zero only where a row of the table says so.
//!   What cannot be exact is absent, with a reason in `/status` and on the landing page.
//! - **A start is seen.** A new counter is published as 0 until a scrape has taken it, because
//!   Prometheus sees no increase in the first sample of a series. See [`exporter::series`].
//! - **Fakes are servers.** The code has no seams for tests; AWS is played by a server that speaks
//!   its protocols, Kubernetes is a real API server.
//! - **Regions are checked by their grammar, not by a list**: a list would refuse a region that AWS
//!   opens tomorrow. One that does not exist shows as unreachable in the stack's condition.

pub mod api;
pub mod aws;
pub mod controller;
pub mod exporter;
pub mod logging;
pub mod rules;
pub mod services;
