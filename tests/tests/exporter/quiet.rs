//! Where nothing happens, nobody is woken.

use nightjar_tests::quiet::{Play, alarms};
use nightjar_tests::simulator::account::{Incident, Instant};

use crate::harness::nightjar;

/// The evening of a Wednesday, the shop's busiest hours. `make bench` plays a whole week.
fn evening(incidents: Vec<Incident>) -> Play {
    Play {
        from: Instant::parse("2026-11-18T18:00:00Z").unwrap().ms / 1000,
        minutes: 150,
        speed: 120.0,
        restart_after: 50,
        incidents,
        keep: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_evening_of_the_demo_account_raises_nothing() {
    let fired = alarms(&nightjar(), &evening(Vec::new())).await.unwrap();
    assert_eq!(fired, "");
}

/// Else the test above could not fail.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_that_evening_is_in_the_record() {
    let incident = serde_saphyr::from_str(
        "{what: errors, on: [checkout-pay], share: 0.9, start: '2026-11-18T18:20:00Z', end: '2026-11-18T18:40:00Z'}",
    )
    .unwrap();
    let play = Play {
        minutes: 60,
        ..evening(vec![incident])
    };
    let fired = alarms(&nightjar(), &play).await.unwrap();
    assert!(
        fired.contains("LambdaErrorRateCritical") && fired.contains("checkout-pay"),
        "{fired}"
    );
}
