//! Power cuts and damaged blobs.

use weft_harness::{crash, plan::small_recipe, NetworkConfig, Plan, Scenario};
use weft_protocol::job::JobState;

use crate::{fixtures, held, limited, Setting};

/// Long enough to be killed in the middle of the training: 50 epochs, the most with attribution.
const STEPS: u32 = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_should_be_lost_when_daemon_and_node_are_killed() {
    let setting = Setting::new().await;
    let config = NetworkConfig {
        window: Some(24),
        isa: "scalar",
        ..NetworkConfig::test(setting.dir(), &fixtures().join("tiny-base"))
    };
    let mut plan = Plan::small(&fixtures(), setting.dir()).unwrap();
    plan.recipe = small_recipe(&fixtures(), setting.dir(), STEPS, 1).unwrap();
    let mut scenario = Scenario::open(&setting.programs, config, plan).await.unwrap_or_else(|e| panic!("{e}"));
    let story = limited(crash::run(&mut scenario)).await;
    held(story, || scenario.net.logs());

    let state = scenario.net.state().await.unwrap();
    let job = weft_chain::models::job(&state, scenario.job).await.unwrap().unwrap();
    assert_eq!(job.state.0, JobState::Final);
    // The grant that was revoked between take and commit lived for this job, and no longer.
    assert!(weft_chain::permissions::grant(&state, scenario.grants[0].1).await.unwrap().is_none());
    let (served, undisturbed) = held(crash::adapters(&scenario).await, || scenario.net.logs());
    assert!(!served.is_empty());
    assert_eq!(served, undisturbed, "the adapter differs from that of an undisturbed run");
}
