//! What is done to which requests.

use std::time::Duration;

use super::request::Seen;

/// The verbs that change something.
pub const WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// What is done to which requests. The first rule that fits a request and is not used up has it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Any of these; none means all.
    pub verbs: &'static [&'static str],
    /// Any of these; none means all.
    pub resources: &'static [&'static str],
    /// None of these.
    pub except: &'static [&'static str],
    /// The beginning of the object's name.
    pub name: String,
    /// Only what asks for changes since an older version than this one; none means all.
    pub older: Option<u64>,
    /// So many pass before.
    pub skip: usize,
    /// Only each so many-th of the others.
    pub every: usize,
    /// And of those only so many.
    pub times: usize,
    /// This is done.
    pub effect: Effect,
}

/// What can be done to a request.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The connection is closed, and no answer given.
    Refuse,
    /// No answer is given, and the connection stays.
    Hang,
    /// It is answered without the server.
    Answer {
        /// The HTTP status.
        code: u16,
        /// The reason of the Status.
        reason: &'static str,
        /// Its message.
        message: &'static str,
        /// The header of that name.
        retry_after: Option<&'static str>,
    },
    /// It is passed on later.
    Delay(Duration),
    /// Nothing passes any more, in either direction, from just before this request.
    CutBefore,
    /// The same from just after the server has done it.
    CutAfter,
    /// The answer of a watch is spoiled.
    Stream(Spoil),
    /// A list comes in pages of so many.
    Pages(usize),
}

/// What can be done to the events of a watch.
#[derive(Clone, Copy, Debug)]
pub enum Spoil {
    /// After so many, the answer ends.
    CloseAfter(usize),
    /// After so many, nothing comes any more, and the connection stays.
    HangAfter(usize),
    /// After so many, half of one comes and the connection breaks.
    HalfAfter(usize),
    /// After so many, the server says that the version is gone.
    GoneAfter(usize),
    /// Each comes twice.
    Twice,
    /// Each comes so much later.
    Late(Duration),
}

impl Rule {
    /// This is done to every request.
    pub fn all(effect: Effect) -> Self {
        Self {
            verbs: &[],
            resources: &[],
            except: &[],
            name: String::new(),
            older: None,
            skip: 0,
            every: 1,
            times: usize::MAX,
            effect,
        }
    }

    pub(super) fn fits(&self, seen: &Seen) -> bool {
        let fits = |list: &[&str], what: &str| list.is_empty() || list.contains(&what);
        fits(self.verbs, seen.verb)
            && fits(self.resources, &seen.resource)
            && !self.except.contains(&&*seen.resource)
            && seen.name.starts_with(&self.name)
            && self
                .older
                .is_none_or(|older| seen.since.is_some_and(|since| since < older))
    }
}
