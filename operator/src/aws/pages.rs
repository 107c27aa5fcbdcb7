//! The pages of a list, followed to their end: a token that leads round in a circle, or on for ever, is an error and not a loop.

use std::collections::HashSet;

use super::AwsError;
use crate::api::Reason;

/// No list of ours has as many pages: a million functions are 20,000 of 50.
const MOST_PAGES: usize = 50_000;

/// Where in a list we are.
#[derive(Debug)]
pub struct Pages {
    action: &'static str,
    seen: HashSet<String>,
}

impl Pages {
    /// At the beginning of what an action lists.
    pub fn of(action: &'static str) -> Self {
        Self {
            action,
            seen: HashSet::new(),
        }
    }

    /// The token for the page after the one that had this token; none at the end.
    pub fn after(&mut self, token: Option<&str>) -> Result<Option<String>, AwsError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        if self.seen.len() >= MOST_PAGES || !self.seen.insert(token.to_owned()) {
            return Err(AwsError::new(
                Reason::InvalidAnswer,
                self.action,
                format!(
                    "{}: the pages of an answer do not end; it is asked again later",
                    self.action
                ),
            ));
        }
        Ok(Some(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_there_is_no_token_or_an_empty_one() {
        let mut pages = Pages::of("lambda:ListFunctions");
        assert_eq!(pages.after(Some("a")).unwrap().as_deref(), Some("a"));
        assert_eq!(pages.after(Some("b")).unwrap().as_deref(), Some("b"));
        assert_eq!(pages.after(None).unwrap(), None);
        assert_eq!(pages.after(Some("")).unwrap(), None);
    }

    #[test]
    fn a_token_that_leads_in_a_circle_is_an_error() {
        let mut pages = Pages::of("lambda:ListFunctions");
        for token in ["a", "b", "c"] {
            assert!(pages.after(Some(token)).is_ok());
        }
        let error = pages.after(Some("a")).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidAnswer);
        assert_eq!(error.action, "lambda:ListFunctions");
    }

    #[test]
    fn pages_that_go_on_for_ever_are_an_error() {
        let mut pages = Pages::of("tag:GetResources");
        let tokens = (0..).map(|n: u32| n.to_string());
        let mut answers = tokens.map(|token| pages.after(Some(&token)));
        assert!(answers.by_ref().take(MOST_PAGES).all(|page| page.is_ok()));
        assert!(answers.next().unwrap().is_err());
    }
}
