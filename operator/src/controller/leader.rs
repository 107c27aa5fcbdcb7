//! Which of several operators writes: the holder of a Lease.
//!
//! Every replica watches and is warm; only the leader reconciles. The rules are those of
//! Kubernetes' own components, with their times:
//!
//! - The leader renews its Lease every [`RENEW`]. It leads only until [`LEADS`] after the *start*
//!   of the last renewal that succeeded, by its own monotonic clock.
//! - Another replica takes a Lease over when it has seen no change of it for [`LEASE`], by *its*
//!   own monotonic clock. The times in the Lease are for people: clocks are never compared.
//! - `LEADS < LEASE`, and a renewal starts before anybody can see it: a leader stops before
//!   another one begins, also when it cannot reach the API server, or was frozen meanwhile. The
//!   API server lets two replicas that write the same version of a Lease not both succeed.
//! - A leader that stops gives the Lease back, so that the next one begins within [`LOOK`].
//! - A leader that lost the Lease ends its process: nothing that it remembers is worth keeping.
//! - One that waits for the Lease goes on waiting while the API server is away, and says that it is
//!   not ready ([`Leadership::is_possible`]). It ends only when its token or the API server's
//!   certificate is not accepted any more ([`REFUSED`]): a new process reads both anew.
//!
//! Writes ask [`Leadership::is_leading`] at the last moment, in the client itself
//! ([`super::client`]).

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long a Lease has to be unchanged before another replica takes it.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long after its last renewal a leader leads.
pub const LEADS: Duration = Duration::from_secs(10);
/// How often a leader renews.
pub const RENEW: Duration = Duration::from_secs(2);
/// How often the others look.
pub const LOOK: Duration = Duration::from_secs(1);
/// How long a replica that is not accepted by the API server, or does not accept it, tries again.
const REFUSED: Duration = Duration::from_mins(1);
/// How long one request may take: several fit into [`LEADS`].
const REQUEST: Duration = Duration::from_secs(3);

/// Whether this replica leads now. Given out by [`Election::new`].
#[derive(Clone, Debug)]
pub struct Leadership {
    leads_until: watch::Receiver<Option<Instant>>,
    heard: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Whether it leads at this moment.
    pub fn is_leading(&self) -> bool {
        self.leads_until
            .borrow()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Whether it could lead: the API server has told it about the Lease a short while ago.
    pub fn is_possible(&self) -> bool {
        self.heard.borrow().is_some_and(|at| at.elapsed() < LEASE)
    }

    /// Waits until it leads; for ever if it never does.
    pub async fn acquired(&mut self) {
        if self.leads_until.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Why a replica does not lead any more although nobody told it to stop.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody else holds the Lease.
    #[error("Lease {lease} was taken over by {holder}")]
    Taken {
        /// Namespace and name.
        lease: String,
        /// Who holds it.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error("Lease {lease} could not be renewed for {} seconds: {why}", LEADS.as_secs())]
    NotRenewed {
        /// Namespace and name.
        lease: String,
        /// The last error.
        why: String,
    },
    /// The API server, or whoever answers in its place, and this replica do not accept each other.
    #[error("Lease {lease} could not be read for {} seconds: {why}", REFUSED.as_secs())]
    Refused {
        /// Namespace and name.
        lease: String,
        /// The last error.
        why: String,
    },
}

/// One replica's part in an election.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    namespace: String,
    name: String,
    me: String,
    leads_until: watch::Sender<Option<Instant>>,
    /// When the API server last told about the Lease.
    heard: watch::Sender<Option<Instant>>,
}

/// A Lease as it was seen: the version, and since when it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    version: Option<String>,
    since: Instant,
}

/// What to do about a Lease that somebody holds, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Acquire,
    Wait(Duration),
}

/// `unchanged_for`: how long this replica has seen the Lease as it is.
fn decide(holder: Option<&str>, me: &str, unchanged_for: Duration) -> Decision {
    match holder.unwrap_or_default() {
        "" => Decision::Acquire,
        // An earlier life of this very pod: its process is gone, or we would not run.
        holder if holder == me => Decision::Acquire,
        _ => match LEASE.saturating_sub(unchanged_for) {
            Duration::ZERO => Decision::Acquire,
            left => Decision::Wait(left.min(LOOK)),
        },
    }
}

impl Election {
    /// Takes part under the name `me`, which no other replica may have at the same time.
    pub fn new(client: Client, namespace: &str, name: &str, me: String) -> (Self, Leadership) {
        let (leads_until, leading) = watch::channel(None);
        let (heard, hearing) = watch::channel(None);
        let election = Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            me,
            leads_until,
            heard,
        };
        let leadership = Leadership {
            leads_until: leading,
            heard: hearing,
        };
        (election, leadership)
    }

    /// Takes part until `done` is true, then gives the Lease back. An error means that this
    /// process must end at once.
    pub async fn run(self, mut done: watch::Receiver<bool>) -> Result<(), Lost> {
        let lease = tokio::select! {
            lease = self.acquire() => lease?,
            _ = done.wait_for(|done| *done) => return Ok(()),
        };
        tracing::info!(lease = self.lease(), me = self.me, "leading");
        let mut held = lease;
        loop {
            tokio::select! {
                () = sleep(RENEW) => held = self.renew(held).await?,
                _ = done.wait_for(|done| *done) => {
                    self.release(held).await;
                    return Ok(());
                }
            }
        }
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Waits until the Lease is ours. An outage of the API server is waited out; but who is not
    /// accepted any more reads its token and the API server's certificate anew by starting again.
    async fn acquire(&self) -> Result<Lease, Lost> {
        let mut seen: Option<Seen> = None;
        let mut known_holder = None;
        let mut trouble = None;
        let mut refused_since: Option<Instant> = None;
        loop {
            let lease = match self.get().await {
                Ok(lease) => lease,
                Err(Unread { why, refused }) => {
                    if refused {
                        let since = refused_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > REFUSED {
                            return Err(Lost::Refused {
                                lease: self.lease(),
                                why,
                            });
                        }
                    }
                    if trouble.as_ref() != Some(&why) {
                        tracing::warn!(
                            lease = self.lease(),
                            why,
                            "cannot read the Lease, trying again"
                        );
                        trouble = Some(why);
                    }
                    sleep(LOOK).await;
                    continue;
                }
            };
            refused_since = None;
            if trouble.take().is_some() {
                tracing::info!(lease = self.lease(), "the Lease can be read again");
            }
            let started = Instant::now();
            let version = lease.as_ref().and_then(ResourceExt::resource_version);
            let seen = seen.get_or_insert_with(|| Seen {
                version: version.clone(),
                since: started,
            });
            if seen.version != version {
                *seen = Seen {
                    version,
                    since: started,
                };
            }
            let holder = lease.as_ref().and_then(holder);
            if known_holder.as_deref() != holder {
                tracing::info!(lease = self.lease(), holder, me = self.me, "following");
                known_holder = holder.map(str::to_owned);
            }
            match decide(holder, &self.me, started - seen.since) {
                Decision::Wait(pause) => sleep(pause).await,
                Decision::Acquire => match self.take(lease).await {
                    Ok(lease) => {
                        self.leads_until.send_replace(Some(started + LEADS));
                        return Ok(lease);
                    }
                    // Another one was faster, or the API server fails: the next look tells.
                    Err(error) => {
                        tracing::debug!(lease = self.lease(), error, "cannot take the Lease");
                        sleep(LOOK / 4).await;
                    }
                },
            }
        }
    }

    async fn get(&self) -> Result<Option<Lease>, Unread> {
        match timeout(REQUEST, self.api.get_opt(&self.name)).await {
            Ok(Ok(lease)) => {
                self.heard.send_replace(Some(Instant::now()));
                Ok(lease)
            }
            Ok(Err(error)) => Err(Unread {
                why: explain(&error),
                refused: is_refusal(&error),
            }),
            Err(_) => Err(Unread {
                why: "no answer".to_owned(),
                refused: false,
            }),
        }
    }

    async fn take(&self, lease: Option<Lease>) -> Result<Lease, String> {
        let now = MicroTime(Timestamp::now());
        let before = lease.as_ref().and_then(|lease| lease.spec.clone());
        let transitions = before.as_ref().map_or(0, |spec| {
            let changes_hands = spec.holder_identity.as_deref() != Some(&*self.me);
            spec.lease_transitions
                .unwrap_or(0)
                .saturating_add(changes_hands.into())
        });
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        self.put(lease, spec)
            .await
            .map_err(|failure| match failure {
                Failure::Refused(why) | Failure::Other(why) => why,
            })
    }

    /// Creates the Lease, or replaces the version that was seen.
    async fn put(&self, seen: Option<Lease>, spec: LeaseSpec) -> Result<Lease, Failure> {
        let params = PostParams::default();
        let answer = if let Some(mut lease) = seen {
            lease.spec = Some(spec);
            timeout(REQUEST, self.api.replace(&self.name, &params, &lease)).await
        } else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            };
            timeout(REQUEST, self.api.create(&params, &lease)).await
        };
        match answer {
            Ok(Ok(lease)) => Ok(lease),
            // Changed, removed or made meanwhile: what we knew is old.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                Err(Failure::Refused(status.message.clone()))
            }
            Ok(Err(error)) => Err(Failure::Other(explain(&error))),
            Err(_) => Err(Failure::Other("no answer".to_owned())),
        }
    }

    /// Renews within the time that is left.
    async fn renew(&self, mut held: Lease) -> Result<Lease, Lost> {
        let mut known = Some(held.clone());
        loop {
            let started = Instant::now();
            let spec = LeaseSpec {
                renew_time: Some(MicroTime(Timestamp::now())),
                ..held.spec.clone().unwrap_or_default()
            };
            let failure = match self.put(known.clone(), spec).await {
                Ok(lease) => {
                    held = lease;
                    self.heard.send_replace(Some(Instant::now()));
                    self.leads_until.send_replace(Some(started + LEADS));
                    return Ok(held);
                }
                Err(failure) => failure,
            };
            let why = match failure {
                Failure::Other(why) => why,
                // Somebody wrote a label, or took it, or removed it; or our last answer got lost.
                Failure::Refused(why) => match self.get().await {
                    Ok(Some(lease)) if holder(&lease) == Some(&self.me) => {
                        known = Some(lease);
                        why
                    }
                    Ok(Some(lease)) => {
                        self.leads_until.send_replace(None);
                        let holder = holder(&lease).filter(|holder| !holder.is_empty());
                        return Err(Lost::Taken {
                            lease: self.lease(),
                            holder: holder.unwrap_or("nobody").to_owned(),
                        });
                    }
                    Ok(None) => {
                        known = None;
                        why
                    }
                    Err(unread) => unread.why,
                },
            };
            if !self
                .leads_until
                .borrow()
                .is_some_and(|until| Instant::now() < until)
            {
                self.leads_until.send_replace(None);
                return Err(Lost::NotRenewed {
                    lease: self.lease(),
                    why,
                });
            }
            tracing::debug!(
                lease = self.lease(),
                why,
                "cannot renew the Lease, trying again"
            );
            sleep(LOOK / 4).await;
        }
    }

    /// Gives the Lease back. If that fails, the others wait until it expires.
    async fn release(&self, held: Lease) {
        self.leads_until.send_replace(None);
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..held.spec.clone().unwrap_or_default()
        };
        match self.put(Some(held), spec).await {
            Ok(_) => tracing::info!(lease = self.lease(), "gave the Lease back"),
            Err(Failure::Refused(why) | Failure::Other(why)) => {
                tracing::warn!(lease = self.lease(), why, "cannot give the Lease back");
            }
        }
    }
}

/// Why a Lease could not be read.
struct Unread {
    why: String,
    /// Whether we are not accepted, or do not accept who answers.
    refused: bool,
}

/// Whether our token is not accepted, or we do not accept the API server's certificate. Permission
/// is another matter: starting again does not bring it.
fn is_refusal(error: &kube::Error) -> bool {
    if let kube::Error::Api(status) = error {
        return status.code == 401;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // An I/O error's source is the source of what it wraps, not what it wraps.
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || wrapped.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Why a Lease could not be written.
enum Failure {
    /// It is not what it was when we looked.
    Refused(String),
    /// Anything else, which may pass.
    Other(String),
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "{} (compare the operator's Role with the chart's)",
            status.message
        ),
        kube::Error::Api(status) => status.message.clone(),
        _ => super::trouble::innermost(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_nobody_or_of_our_own_former_life_is_taken_at_once() {
        for holder in [None, Some(""), Some("me")] {
            assert_eq!(decide(holder, "me", Duration::ZERO), Decision::Acquire);
        }
    }

    #[test]
    fn a_lease_of_another_is_taken_only_when_it_was_seen_unchanged_for_its_whole_length() {
        let other = |seconds| decide(Some("other"), "me", Duration::from_secs_f64(seconds));
        assert_eq!(other(0.0), Decision::Wait(LOOK));
        assert_eq!(other(14.9), Decision::Wait(Duration::from_millis(100)));
        assert_eq!(other(15.0), Decision::Acquire);
    }

    #[test]
    fn only_a_token_or_a_certificate_that_is_not_accepted_is_a_refusal() {
        let answer = |code| {
            let status = kube::core::Status::failure("", "").with_code(code);
            kube::Error::Api(status.boxed())
        };
        assert!(is_refusal(&answer(401)));
        assert!(!is_refusal(&answer(403)) && !is_refusal(&answer(503)));
        let io = |error: std::io::Error| kube::Error::Service(Box::new(error));
        let certificate =
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_refusal(&io(std::io::Error::other(certificate))));
        assert!(!is_refusal(&io(
            std::io::ErrorKind::ConnectionRefused.into()
        )));
    }

    #[test]
    fn a_leader_stops_before_another_begins() {
        assert!(LEADS + REQUEST < LEASE && RENEW + REQUEST < LEADS);
    }
}
