//! Every question is in one call, and the calls are full.

use proptest::prelude::*;

use crate::exporter::book::{DAY, Minute, Span};
use crate::exporter::plan::{self, Batch, Group, Of, QUERIES_PER_CALL};
use crate::exporter::series::Stat;

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let bin = prop_oneof![Just(1_i64), Just(5), Just(60), Just(DAY)];
    let group = (
        0..3000_usize,
        0..9_usize,
        1..9_usize,
        bin,
        0..200_i64,
        0..3_i64,
    );
    let group = group.prop_map(|(subject, row, statistics, bin, back, end)| {
        let to = Minute((20_000 - end) * DAY);
        Group {
            of: Of::Row { subject, row },
            stats: vec![Stat::Sum; statistics],
            span: Span {
                from: to.back((back + 1) * bin),
                to,
                bin,
            },
        }
    });
    proptest::collection::vec(group, 0..1500)
}

fn queries(batch: &Batch) -> usize {
    batch.groups.iter().map(|group| group.stats.len()).sum()
}

proptest! {
    /// Whatever is asked for, it is asked for once, all statistics of a metric in one call, no call is longer than
    /// CloudWatch takes, and each covers what its questions need.
    #[test]
    fn every_question_is_in_exactly_one_call_that_covers_it(groups in groups()) {
        let batches = plan::batches(groups.clone());
        let key = |group: &Group| {
            let Of::Row { subject, row } = group.of else { unreachable!("only rows are asked for") };
            (subject, row, group.stats.len(), group.span.from, group.span.to, group.span.bin)
        };
        let mut asked: Vec<_> = batches.iter().flat_map(|batch| &batch.groups).map(key).collect();
        let mut wanted: Vec<_> = groups.iter().map(key).collect();
        asked.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(asked, wanted);
        for batch in &batches {
            prop_assert!(queries(batch) <= QUERIES_PER_CALL);
            for group in &batch.groups {
                prop_assert!(batch.span.from <= group.span.from);
                prop_assert_eq!((batch.span.to, batch.span.bin), (group.span.to, group.span.bin));
            }
        }
    }

    /// Questions that ask for the same time fill their calls.
    #[test]
    fn a_steady_cycle_takes_hardly_more_calls_than_there_must_be(
        rows in proptest::collection::vec((1..6_usize, 0..30_i64), 1..4000),
    ) {
        let now = Minute(1_000_000);
        let groups: Vec<Group> = rows.iter().enumerate().map(|(subject, (statistics, lag))| Group {
            of: Of::Row { subject, row: 0 },
            stats: vec![Stat::Sum; *statistics],
            span: Span { from: now.back(1 + lag), to: now, bin: 1 },
        }).collect();
        let all: usize = groups.iter().map(|group| group.stats.len()).sum();
        let least = all.div_ceil(QUERIES_PER_CALL);
        let calls = plan::batches(groups).len();
        prop_assert!(calls * 100 <= least * 105 + 100, "{} calls, not {}", calls, least);
    }
}
