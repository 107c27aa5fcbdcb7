//! What discovery remembers between its rounds: settings that cost a request for each resource or
//! seldom change are read about once an hour, and only some in one round.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::found::Fact;
use super::lambda;
use crate::aws::AwsError;

/// How long a setting is good. Up to a tenth is added, so that they are not all read at once.
const FRESH: Duration = Duration::from_hours(1);
/// The most settings that one round reads: discovery shall not wait long for them.
const MOST_IN_A_ROUND: u32 = 100;

/// The settings of one account and region.
#[derive(Debug, Default)]
pub struct Memory {
    facts: Mutex<Remembered>,
    /// What was read of Lambda's functions.
    pub lambda: lambda::Memory,
}

#[derive(Debug, Default)]
struct Remembered {
    facts: HashMap<String, (Instant, Vec<Fact>)>,
    read: u32,
}

impl Memory {
    /// Begins a round: forgets what was of no use for long.
    pub fn begin(&self) {
        let now = Instant::now();
        let mut remembered = self.lock();
        remembered.read = 0;
        remembered
            .facts
            .retain(|_, (until, _)| *until + FRESH > now);
    }

    /// The settings of that name, as they are remembered or as they are read now. When reading
    /// fails, the last ones are kept, and the error is told.
    pub async fn facts(
        &self,
        name: String,
        read: BoxFuture<'_, Result<Vec<Fact>, AwsError>>,
    ) -> (Vec<Fact>, Option<AwsError>) {
        let now = Instant::now();
        let last = {
            let mut remembered = self.lock();
            let last = remembered.facts.get(&name).cloned();
            let fresh = last.as_ref().is_some_and(|(until, _)| *until > now);
            if fresh || remembered.read >= MOST_IN_A_ROUND {
                return (last.map(|(_, facts)| facts).unwrap_or_default(), None);
            }
            remembered.read += 1;
            last.map(|(_, facts)| facts).unwrap_or_default()
        };
        match read.await {
            Ok(facts) => {
                let until = Instant::now() + FRESH.mul_f64(1.0 + fastrand::f64() * 0.1);
                self.lock().facts.insert(name, (until, facts.clone()));
                (facts, None)
            }
            Err(error) => {
                // Due again, and not forgotten because it could not be read for an hour.
                if let Some((until, _)) = self.lock().facts.get_mut(&name) {
                    *until = Instant::now();
                }
                (last, Some(error))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::api::Reason;
    use crate::services::table::{Family, FamilyKind};

    static FAMILY: Family = Family {
        name: "aws_test",
        kind: FamilyKind::Gauge,
        help: "",
    };

    fn facts(value: f64) -> Vec<Fact> {
        vec![Fact {
            family: &FAMILY,
            labels: Vec::new(),
            info: false,
            value,
        }]
    }

    #[tokio::test]
    async fn a_setting_is_read_once_an_hour_and_kept_when_it_cannot_be_read() {
        let memory = Memory::default();
        let name = || "limits".to_owned();
        let read = memory.facts(name(), async { Ok(facts(1.0)) }.boxed()).await;
        assert_eq!(read, (facts(1.0), None));
        memory.begin();
        let read = memory.facts(name(), async { Ok(facts(2.0)) }.boxed()).await;
        assert_eq!(read.0, facts(1.0), "it is still fresh");
        let overdue = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        memory.lock().facts.get_mut("limits").unwrap().0 = overdue;
        memory.begin();
        let error = AwsError::new(Reason::AccessDenied, "a:Read", "no".to_owned());
        let failed = memory
            .facts(name(), async { Err(error.clone()) }.boxed())
            .await;
        assert_eq!(failed, (facts(1.0), Some(error)));
        let kept = memory.lock().facts["limits"].0;
        assert!(kept > overdue, "an hour of such rounds would forget it");
        let read = memory.facts(name(), async { Ok(facts(2.0)) }.boxed()).await;
        assert_eq!(read.0, facts(2.0));
    }

    #[tokio::test]
    async fn one_round_reads_only_so_many() {
        let memory = Memory::default();
        for number in 0..MOST_IN_A_ROUND {
            memory
                .facts(number.to_string(), async { Ok(facts(1.0)) }.boxed())
                .await;
        }
        let read = memory
            .facts("more".to_owned(), async { Ok(facts(1.0)) }.boxed())
            .await;
        assert_eq!(read.0, []);
        memory.begin();
        let read = memory
            .facts("more".to_owned(), async { Ok(facts(1.0)) }.boxed())
            .await;
        assert_eq!(read.0, facts(1.0));
    }
}
