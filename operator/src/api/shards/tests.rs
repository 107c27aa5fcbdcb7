use super::*;

fn pairs(count: u32) -> Vec<(Option<String>, String)> {
    (0..count)
        .map(|n| {
            let role = format!("arn:aws:iam::{:012}:role/nightjar-read", n / 4);
            ((n % 3 != 0).then_some(role), format!("eu-west-{}", n % 7))
        })
        .collect()
}

#[test]
fn the_owner_of_a_pair_is_the_same_for_ever() {
    // An exporter of another version agrees, or a pair has two publishers during an upgrade.
    let role = Some("arn:aws:iam::111122223333:role/nightjar-read");
    let owners: Vec<u32> = (1..=8)
        .flat_map(|shards| {
            [
                owner(None, "eu-west-1", shards),
                owner(role, "us-east-1", shards),
            ]
        })
        .collect();
    // As computed by another program.
    assert_eq!(owners, [0, 0, 0, 1, 0, 2, 0, 2, 0, 4, 0, 4, 0, 4, 0, 4]);
}

#[test]
fn one_more_shard_takes_its_share_and_moves_nothing_else() {
    let pairs: Vec<_> = (0..2000)
        .map(|n| {
            (
                Some(format!("arn:aws:iam::{n:012}:role/r")),
                "eu-west-1".to_owned(),
            )
        })
        .collect();
    for shards in 1..8 {
        let mut moved = 0_u32;
        for (role, region) in &pairs {
            let (before, after) = (
                owner(role.as_deref(), region, shards),
                owner(role.as_deref(), region, shards + 1),
            );
            if before != after {
                assert_eq!(after, shards, "moved to a shard that was there before");
                moved += 1;
            }
        }
        let share = 2000 / (shards + 1);
        assert!(
            moved.abs_diff(share) < share / 3,
            "{moved} of 2000 moved to shard {shards}"
        );
    }
}

#[test]
fn a_pair_that_moves_waits_for_its_old_shard_alone() {
    let pairs = pairs(60);
    let before = Assignment::first(2);
    let moving = before.next(3, &BTreeMap::new());
    assert_eq!((moving.revision, moving.awaited()), (2, [0, 1].into()));
    let one_released = moving.next(3, &[(0, Evidence::CarriedOut(2))].into());
    for (role, region) in &pairs {
        let owner = |shards| owner(role.as_deref(), region, shards);
        let granted = |assignment: &Assignment| {
            (0..3).find(|shard| assignment.grants(*shard, role.as_deref(), region))
        };
        let moves = owner(2) != owner(3);
        assert_eq!(granted(&moving), (!moves).then(|| owner(3)));
        assert_eq!(
            granted(&one_released),
            (!moves || owner(2) == 0).then(|| owner(3))
        );
    }
    let done = one_released.next(3, &[(1, Evidence::CarriedOut(3))].into());
    assert_eq!(
        done,
        Assignment {
            revision: 4,
            shards: 3,
            former: Vec::new()
        }
    );
}

#[test]
fn what_was_carried_out_before_the_change_proves_nothing() {
    let moving = Assignment::first(1).next(2, &BTreeMap::new());
    assert_eq!(
        moving.next(2, &[(0, Evidence::CarriedOut(1))].into()),
        moving
    );
}

#[test]
fn a_shard_that_leaves_stays_until_it_has_released_and_is_not_waited_for_when_it_does_not_run() {
    let moving = Assignment::first(3).next(1, &BTreeMap::new());
    assert_eq!(moving.replicas(|_| true), 3);
    assert_eq!(moving.replicas(|shard| shard == 0), 1);
    let evidence = [(0, Evidence::CarriedOut(2)), (2, Evidence::CarriedOut(2))].into();
    let released = moving.next(1, &evidence);
    assert_eq!(released.replicas(|_| true), 2);
    assert!(!released.next(1, &[(1, Evidence::Gone)].into()).is_moving());
}

#[test]
fn a_memory_that_was_removed_begins_after_what_exporters_have_carried_out() {
    let anew = Assignment::first(2).next(2, &[(0, Evidence::CarriedOut(7))].into());
    assert_eq!(
        anew,
        Assignment {
            revision: 8,
            shards: 2,
            former: Vec::new()
        }
    );
}

/// A stack with its exporters, each of which does what it may at the worst time.
struct World {
    random: fastrand::Rng,
    pairs: Vec<(Option<String>, String)>,
    wanted: u32,
    /// All revisions that were ever written; the last one counts.
    revisions: Vec<Assignment>,
    replicas: u32,
    /// By ordinal: the index of the revision that it has carried out, and what it publishes. None: no pod.
    exporters: BTreeMap<u32, Exporter>,
}

#[derive(Clone, Default)]
struct Exporter {
    read: usize,
    /// What that revision grants to it; none when it was not computed yet.
    granted: Option<BTreeSet<usize>>,
    carried_out: i64,
    publishes: BTreeSet<usize>,
    /// What the operator last saw of it.
    seen: Option<i64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let wanted = random.u32(1..5);
        Self {
            random,
            pairs: pairs(8),
            wanted,
            revisions: vec![Assignment::first(wanted)],
            replicas: wanted,
            exporters: BTreeMap::new(),
        }
    }

    /// The kubelets start and stop pods.
    fn pods(&mut self) {
        let replicas = self.replicas;
        self.exporters.retain(|ordinal, _| *ordinal < replicas);
        for ordinal in 0..replicas {
            if !self.exporters.contains_key(&ordinal) && self.random.bool() {
                let exporter = Exporter {
                    read: self.revisions.len() - 1,
                    ..Exporter::default()
                };
                self.exporters.insert(ordinal, exporter);
            }
        }
        let ordinal = self.random.u32(0..replicas);
        match self.random.u8(..12) {
            // The pod ends, and another one comes.
            0 => drop(self.exporters.remove(&ordinal)),
            // Its container starts again, on the same volume.
            1 => {
                if let Some(exporter) = self.exporters.get_mut(&ordinal) {
                    exporter.publishes.clear();
                    exporter.carried_out = 0;
                }
            }
            _ => {}
        }
    }

    /// An exporter reads its configuration, carries out a part of it, or all.
    fn exporters(&mut self) {
        for (ordinal, exporter) in &mut self.exporters {
            if self.random.u8(..3) == 0 {
                exporter.read = self.random.usize(exporter.read..self.revisions.len());
                exporter.granted = None;
            }
            let assignment = &self.revisions[exporter.read];
            let pairs = &self.pairs;
            let granted = exporter.granted.get_or_insert_with(|| {
                let is_granted = |pair: &usize| {
                    let (role, region) = &pairs[*pair];
                    assignment.grants(*ordinal, role.as_deref(), region)
                };
                (0..pairs.len()).filter(is_granted).collect()
            });
            // It ends what it may not have before it begins anything, and says so when both are done.
            exporter
                .publishes
                .retain(|pair| granted.contains(pair) || self.random.bool());
            if exporter.publishes.is_subset(granted) && self.random.bool() {
                exporter.publishes = granted.clone();
                exporter.carried_out = assignment.revision;
            }
        }
    }

    /// The operator looks at some of them, or remembers what it saw, and writes the next revision.
    fn operator(&mut self, quiet: bool) {
        if !quiet && self.random.u8(..8) == 0 {
            self.wanted = self.random.u32(1..5);
        }
        for exporter in self.exporters.values_mut() {
            if self.random.bool() {
                exporter.seen = Some(exporter.carried_out);
            }
        }
        let now = self.revisions.last().unwrap();
        let mut evidence: BTreeMap<u32, Evidence> = self
            .exporters
            .iter()
            .filter_map(|(ordinal, exporter)| {
                Some((*ordinal, Evidence::CarriedOut(exporter.seen?)))
            })
            .collect();
        for ordinal in self.replicas..8 {
            if !self.exporters.contains_key(&ordinal) {
                evidence.insert(ordinal, Evidence::Gone);
            }
        }
        let next = now.next(self.wanted, &evidence);
        self.replicas = next.replicas(|ordinal| self.exporters.contains_key(&ordinal));
        if next != *now {
            assert!(next.revision > now.revision);
            self.revisions.push(next);
        }
    }

    fn publishers(&self, pair: usize) -> Vec<u32> {
        self.exporters
            .iter()
            .filter(|(_, exporter)| exporter.publishes.contains(&pair))
            .map(|(ordinal, _)| *ordinal)
            .collect()
    }
}

#[test]
fn no_pair_ever_has_two_publishers_and_in_the_end_each_has_its_own() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        for step in 0..300 {
            match world.random.u8(..4) {
                0 => world.pods(),
                1 => world.operator(step > 200),
                _ => world.exporters(),
            }
            for pair in 0..world.pairs.len() {
                let publishers = world.publishers(pair);
                assert!(
                    publishers.len() <= 1,
                    "seed {seed}, step {step}: {publishers:?}"
                );
            }
        }
        for _ in 0..50 {
            world.pods();
            world.exporters();
            world.operator(true);
        }
        // Nobody dies any more.
        for _ in 0..40 {
            for ordinal in 0..world.replicas {
                world.exporters.entry(ordinal).or_default();
            }
            world
                .exporters
                .retain(|ordinal, _| *ordinal < world.replicas);
            for exporter in world.exporters.values_mut() {
                exporter.read = world.revisions.len() - 1;
                exporter.granted = None;
            }
            world.exporters();
            world.operator(true);
        }
        assert!(!world.revisions.last().unwrap().is_moving(), "seed {seed}");
        for pair in 0..world.pairs.len() {
            let (role, region) = &world.pairs[pair];
            let owner = owner(role.as_deref(), region, world.wanted);
            assert_eq!(world.publishers(pair), [owner], "seed {seed}");
        }
    }
}
