//! Dishonest oracles lose their stake, honest ones keep it.

use weft_harness::{adversaries, NetworkConfig, Plan};

use crate::{fixtures, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn dishonest_oracles_should_lose_their_stake_when_four_cheat_and_one_is_accused() {
    let setting = Setting::new().await;
    // The window is long enough for an accusation to be final in it.
    let config =
        NetworkConfig { window: Some(16), ..NetworkConfig::test(setting.dir(), &fixtures().join("tiny-base")) };
    let plan = Plan::small(&fixtures(), setting.dir()).unwrap();
    let (scenario, outcome) =
        adversaries::run(&setting.programs, config, plan).await.unwrap_or_else(|e| panic!("{e}"));
    if let Err(e) = outcome.check(&scenario.plan) {
        panic!("{e}\n{outcome:#?}\n{}", scenario.net.logs());
    }
    let cheats = outcome.verdicts.iter().filter(|v| v.tamper.is_some()).count();
    assert_eq!(cheats, 4);
}
