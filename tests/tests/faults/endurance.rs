//! Thousands of looks leave nothing behind.

use futures::future::join_all;
use nightjar_tests::kube_api::eventually;
use serde_json::json;

use crate::World;

/// What an allocator may keep for reasons of its own.
const NOISE_KILOBYTES: u64 = 12 * 1024;

/// Resident memory in kilobytes, and open files.
fn holds(world: &World) -> (u64, usize) {
    let process = format!("/proc/{}", world.operator.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.unwrap().trim().trim_end_matches(" kB").parse();
    let files = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    (memory.unwrap(), files)
}

#[tokio::test]
async fn memory_and_open_files_stay_flat_over_thousands_of_looks() {
    stay_flat("endurance", 2000).await;
}

#[tokio::test]
#[ignore = "minutes: by hand"]
async fn memory_and_open_files_stay_flat_over_ten_thousand_looks() {
    stay_flat("endurance-long", 10_000).await;
}

/// `looks` before anything is measured, and as many between the two measurements.
async fn stay_flat(name: &'static str, number: u64) {
    let world = World::new(name).await;
    let stacks: Vec<_> = (0..8).map(|number| format!("stack-{number}")).collect();
    for stack in &stacks {
        world.apply(stack, &json!({})).await;
        world.stacks.converges(stack, &[]).await;
    }
    let looks = async || -> u64 {
        let series = "nightjar_operator_reconcile_duration_seconds_count";
        world.operator.metric(series).await.parse().unwrap()
    };
    let many = async || {
        let enough = looks().await + number;
        while looks().await < enough {
            join_all(stacks.iter().map(|stack| world.stacks.poke(stack))).await;
        }
    };
    many().await;
    let before = holds(&world);
    many().await;
    // A connection or two may be on their way out.
    eventually(
        "memory and open files",
        async || holds(&world),
        |(memory, files)| *memory <= before.0 + NOISE_KILOBYTES && *files <= before.1 + 2,
    )
    .await;
    world.is_well("stack-0").await;
}
