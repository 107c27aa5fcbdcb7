//! Which exporter of a stack watches which account and region, and how one of these pairs moves
//! from one exporter to another without ever being published by both.
//!
//! The one module that both sides use: the operator decides and writes an [`Assignment`] into the
//! exporters' configuration, each exporter asks it what is its own.
//!
//! # Where a pair belongs
//!
//! By rendezvous hashing ([`owner`]): of `n` shards the one whose hash with the pair is the
//! highest. Of all pairs, a change from `n` to `n + 1` shards moves one in `n + 1`, all of them to
//! the new shard; nothing else moves.
//!
//! # How a pair moves
//!
//! Exporters read their configuration when the kubelet brings it, a minute late or ten, each at
//! another time, and talk to nobody. So a change takes two steps, with evidence between them:
//!
//! 1. When the number of shards changes from `n` to `m`, the operator writes a new revision with `m`
//!    and notes `n` as [`Former`]: all its shards are *unreleased*. A pair is granted to its owner
//!    of `m` if no other unreleased shard was its owner of `n`; until then it is granted to nobody.
//! 2. Each exporter says in `/status` which revision it has **carried out**: everything that this
//!    revision does not grant has ended and left `/metrics`. A shard that carried out the revision
//!    which made `n` former, or a later one, is crossed out, in a new revision. So is one whose pod
//!    is gone.
//!
//! # Why a pair never has two publishers
//!
//! Say that exporter `i` publishes a pair `p`, by a revision `r` of `k` shards: `i` is `p`'s owner
//! of `k`. Claim: as long as it does, no later revision grants `p` to another shard `j`.
//! Either all later revisions have `k` shards; then they grant `p` to `i` or to nobody. Or one of
//! them, `s`, changed `k` to something else, and wrote down `k` as former with `i` unreleased; the
//! first such `s` after `r` is the one to look at. `i` is crossed out there only when it has
//! carried out a revision of `s` or later, so not `r`; or when its pod is gone. A later change may
//! drop the entry only by making `k` the number of shards again, when `p`'s owner is `i` itself,
//! and the change after that writes the entry anew. While the entry is there, `p` is granted to
//! nobody but `i`.
//!
//! It rests on three things:
//!
//! - An exporter never goes back: it refuses a revision below the one that it has carried out. A
//!   pod's volume does not go back either, so that this holds over restarts of its container; and
//!   a kubelet that starts a pod gives it the configuration as it was when the pod was created, or a
//!   newer one. (If a kubelet ever breaks this, the operator sees the pair in two `/status`
//!   documents and the stack is not `Ready`.)
//! - There are never two pods of one ordinal: that is what a StatefulSet is, and why a pod on a lost
//!   node is never deleted by force here.
//! - Each revision is made from the one before it: the operator writes it with the resource version
//!   of that, so that two operators, or one that looks at the past, cannot both succeed.
//!
//! Evidence of what an exporter has carried out may be old: it stays carried out. That a pod is gone is
//! another matter, since one of its number may have come meanwhile: the StatefulSet is asked for it at the
//! moment of the decision, and no watch is believed.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Who watches what. Written by the operator only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Counts up with each change.
    pub revision: i64,
    /// The number of shards.
    pub shards: u32,
    /// Numbers of shards that were in effect before, as long as somebody may still act by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
}

/// A number of shards that is not in effect any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    /// The number.
    pub shards: u32,
    /// The revision that ended it.
    pub since: i64,
    /// Its shards that have not shown yet that they know.
    pub unreleased: BTreeSet<u32>,
}

/// What is known of a shard's exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It has carried out this revision.
    CarriedOut(i64),
    /// Its pod is gone.
    Gone,
}

/// Where an account (by the role that is assumed there) and region belongs among `shards`. The same
/// for ever: this is what two versions of an exporter have to agree on. Two roles of one account
/// belong together, so that one exporter sees that it is the same account.
pub fn owner(role_arn: Option<&str>, region: &str, shards: u32) -> u32 {
    if shards <= 1 {
        return 0;
    }
    // arn:aws:iam::<account>:role/<name>
    let account = role_arn.and_then(|role| role.split(':').nth(4));
    let weight = |shard: &u32| {
        let mut hash = Sha256::new();
        for part in [account.unwrap_or_default(), region] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(shard.to_be_bytes());
        hash.finalize()
    };
    (0..shards).max_by_key(weight).unwrap_or_default()
}

impl Assignment {
    /// For a stack that never had exporters.
    pub const fn first(shards: u32) -> Self {
        Self {
            revision: 1,
            shards,
            former: Vec::new(),
        }
    }

    /// Whether this revision grants the account and region to the shard.
    pub fn grants(&self, shard: u32, role_arn: Option<&str>, region: &str) -> bool {
        owner(role_arn, region, self.shards) == shard
            && self.former.iter().all(|former| {
                let before = owner(role_arn, region, former.shards);
                before == shard || !former.unreleased.contains(&before)
            })
    }

    /// Whether a change of the number of shards is under way.
    pub const fn is_moving(&self) -> bool {
        !self.former.is_empty()
    }

    /// The shards that are waited for.
    pub fn awaited(&self) -> BTreeSet<u32> {
        self.former
            .iter()
            .flat_map(|former| former.unreleased.iter().copied())
            .collect()
    }

    /// How many exporters there shall be: one for each shard, and those that have not released what
    /// they had although they run.
    pub fn replicas(&self, runs: impl Fn(u32) -> bool) -> u32 {
        let leaving = self.awaited().into_iter().filter(|shard| runs(*shard));
        leaving.map(|shard| shard + 1).fold(self.shards, u32::max)
    }

    /// The next revision, for that number of shards and what is known of the exporters; `self` if
    /// there is nothing to change.
    #[must_use]
    pub fn next(&self, shards: u32, evidence: &BTreeMap<u32, Evidence>) -> Self {
        let mut next = self.clone();
        for former in &mut next.former {
            let since = former.since;
            former.unreleased.retain(|shard| match evidence.get(shard) {
                Some(Evidence::CarriedOut(revision)) => *revision < since,
                Some(Evidence::Gone) => false,
                None => true,
            });
        }
        next.former.retain(|former| !former.unreleased.is_empty());
        // Somebody removed the configuration and with it our memory, and exporters refuse what seems
        // old to them.
        let newest = evidence.values().filter_map(|evidence| match evidence {
            Evidence::CarriedOut(revision) => Some(*revision),
            Evidence::Gone => None,
        });
        let known = newest.fold(self.revision, i64::max);
        if shards != self.shards {
            next.former
                .retain(|former| former.shards != shards && former.shards != self.shards);
            next.former.push(Former {
                shards: self.shards,
                since: known + 1,
                unreleased: (0..self.shards).collect(),
            });
            next.shards = shards;
        }
        if next != *self || known > self.revision {
            next.revision = known + 1;
        }
        next
    }
}

#[cfg(test)]
mod tests;
