//! What fails now, and since when.

use std::collections::BTreeMap;

use crate::api::exporter_status::Problem;
use crate::aws::AwsError;

/// The present problems, by the part of the work that has them.
#[derive(Clone, Debug, Default)]
pub struct Problems(BTreeMap<&'static str, Vec<Problem>>);

impl Problems {
    /// What a part of the work has to report now, instead of what it reported before. A problem
    /// that goes on keeps its beginning.
    pub fn replace(&mut self, part: &'static str, errors: Vec<AwsError>, now: i64) {
        let before = self.0.remove(part).unwrap_or_default();
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors {
            let same = |p: &&Problem| p.reason == error.reason && p.action == error.action;
            // One for each action and reason is enough to know what to do.
            if problems
                .iter()
                .any(|p| same(&p) && p.reason != crate::api::Reason::AmbiguousName)
            {
                continue;
            }
            let since = before.iter().find(same).map_or(now, |p| p.since);
            problems.push(Problem {
                reason: error.reason,
                action: error.action.to_owned(),
                message: error.message,
                since,
            });
        }
        if !problems.is_empty() {
            self.0.insert(part, problems);
        }
    }

    /// All of them.
    pub fn list(&self) -> Vec<Problem> {
        self.0.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;

    #[test]
    fn a_problem_that_goes_on_keeps_its_beginning_and_one_that_ended_is_gone() {
        let denied = || AwsError::new(Reason::AccessDenied, "lambda:ListFunctions", "denied");
        let mut problems = Problems::default();
        problems.replace("lambda", vec![denied(), denied()], 100);
        assert_eq!(problems.list().len(), 1, "one is enough to know what to do");
        problems.replace("lambda", vec![denied()], 200);
        assert_eq!(
            problems.list().iter().map(|p| p.since).collect::<Vec<_>>(),
            [100]
        );
        problems.replace("lambda", Vec::new(), 300);
        assert!(problems.list().is_empty());
    }
}
