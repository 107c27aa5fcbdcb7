//! What discovery remembers between its rounds: settings that cost a request for each resource or
//! seldom change are read about once an hour, and only some in one round; what many requests list is
//! listed less often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::found::Fact;
use super::{apigateway, lambda};
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
    /// Event source mappings of all functions, under one name.
    pub mappings: Kept<lambda::Mappings>,
    /// Stages, by API.
    pub stages: Kept<Vec<apigateway::Stage>>,
}

/// Answers that are good for a while.
#[derive(Debug)]
pub struct Kept<T>(Mutex<HashMap<String, (Instant, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// The answer of that name, as it is kept or as it is read now; what is read says for how long it is good, and up to a
    /// quarter more or less is, so that not all exporters of an account read at once. What cannot be read is not kept either.
    pub async fn get(
        &self,
        name: &str,
        read: BoxFuture<'_, Result<(T, Duration), AwsError>>,
    ) -> Result<Arc<T>, AwsError> {
        let kept = self.lock().get(name).cloned();
        if let Some((until, answer)) = kept
            && until > Instant::now()
        {
            return Ok(answer);
        }
        self.lock().remove(name);
        let (answer, good_for) = read.await?;
        let answer = Arc::new(answer);
        let until = Instant::now() + good_for.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.lock().insert(name.to_owned(), (until, answer.clone()));
        Ok(answer)
    }

    /// Forgets what is due: it is read again, or nobody asks for it any more.
    fn begin(&self) {
        let now = Instant::now();
        self.lock().retain(|_, (until, _)| *until > now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<T>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Remembered {
    facts: HashMap<String, (Instant, Vec<Fact>)>,
    read: u32,
}

impl Memory {
    /// Begins a round: forgets what was of no use for long.
    pub fn begin(&self) {
        self.mappings.begin();
        self.stages.begin();
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

    fn lock(&self) -> MutexGuard<'_, Remembered> {
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
    async fn an_answer_is_read_again_when_it_is_due_and_not_kept_when_it_cannot_be_read() {
        let kept = Kept::default();
        let hour = Duration::from_hours(1);
        assert_eq!(
            *kept
                .get("a", async { Ok((1, hour)) }.boxed())
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            *kept
                .get("a", async { Ok((2, hour)) }.boxed())
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            *kept
                .get("b", async { Ok((3, hour)) }.boxed())
                .await
                .unwrap(),
            3
        );
        kept.lock().get_mut("a").unwrap().0 = Instant::now();
        let error = AwsError::new(Reason::AccessDenied, "a:Read", "no".to_owned());
        let failed = kept.get("a", async { Err(error.clone()) }.boxed()).await;
        assert_eq!(failed, Err(error));
        assert_eq!(
            *kept
                .get("a", async { Ok((4, hour)) }.boxed())
                .await
                .unwrap(),
            4
        );
        kept.lock().get_mut("b").unwrap().0 = Instant::now();
        kept.begin();
        assert_eq!(kept.lock().keys().collect::<Vec<_>>(), ["a"]);
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
