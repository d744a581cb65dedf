//! Dishonest oracles lose their stake, honest ones keep it.

use weft_harness::{adversaries, NetworkConfig, Plan};

use crate::{fixtures, limited, verify, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn dishonest_oracles_should_lose_their_stake_when_four_cheat_and_one_is_accused() {
    let setting = Setting::new().await;
    // The window is long enough for an accusation to be final in it.
    let config =
        NetworkConfig { window: Some(16), ..NetworkConfig::test(setting.dir(), &fixtures().join("tiny-base")) };
    let plan = Plan::small(&fixtures(), setting.dir()).unwrap();
    let trial = limited(adversaries::run(&setting.programs, config, plan)).await;
    let (scenario, outcome) = trial.unwrap_or_else(|e| panic!("{e}"));
    if let Err(e) = outcome.check(&scenario.plan) {
        panic!("{e}\n{outcome:#?}\n{}", scenario.net.logs());
    }
    let cheats: Vec<_> = outcome.verdicts.iter().filter(|v| v.tamper.is_some()).collect();
    assert_eq!(cheats.len(), 4);

    // Anybody sees it, without a stake: the run recomputed from public inputs is not the one that was committed.
    for v in cheats {
        let engine = scenario.net.daemon(v.name).unwrap().run_dir(v.job).unwrap().join("engine");
        let more = ["--checkpoints", engine.to_str().unwrap()];
        let (code, output) = verify(&setting, &scenario.net, v.job, &more).await.unwrap();
        println!("{:?}: {output}", v.tamper);
        assert_eq!(code, Some(6), "{:?}: {output}", v.tamper);
        let first = match v.tamper.unwrap() {
            // Half of the twelve steps are trained, then the sixth state is repeated.
            "skip-steps" => "u=7",
            "swap-data" => "u=1",
            "foreign-adapter" => "model_commitment",
            _ => "attribution_commitment",
        };
        assert!(output.contains(first), "{:?}: {output}", v.tamper);
    }
    let honest = outcome.verdicts.iter().find(|v| v.tamper.is_none()).unwrap();
    let (code, output) = verify(&setting, &scenario.net, honest.job, &[]).await.unwrap();
    assert!(code == Some(0) && output.contains("identical"), "{output}");
}
