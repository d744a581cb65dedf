//! The main job, step by step.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{json, Value};
use weft::{
    commands::{job, job::NewJob, reward},
    error::{CliError, Exit},
};
use weft_chain::{datanets, models, oracles, permissions, rewards, system};
use weft_harness::{
    ensure, network::Blocks, process, scenario::NOTE, testnet, HarnessError, HarnessResult, NetworkConfig, Plan,
    Scenario,
};
use weft_protocol::{
    economics::{Timers, WEFT},
    hash::blake2_256,
    job::JobState,
};

use crate::{fixtures, held, limited, verify, Setting};

/// Longest time of a JavaScript client, and of the installation of its packages, on a busy machine.
const CLIENT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn contributors_should_be_paid_when_the_job_runs_end_to_end() {
    let setting = Setting::new().await;
    let config = NetworkConfig::test(setting.dir(), &fixtures().join("tiny-base"));
    let plan = Plan::small(&fixtures(), setting.dir()).unwrap();
    let mut scenario = Scenario::open(&setting.programs, config, plan).await.unwrap_or_else(|e| panic!("{e}"));
    let story = limited(story(&setting, &mut scenario)).await;
    held(story, || scenario.net.logs());
}

async fn story(setting: &Setting, s: &mut Scenario) -> HarnessResult {
    s.start_daemons().await?;
    s.create().await?;
    registered(s).await?;
    s.contribute().await?;
    contributed(s).await?;
    s.ask_base().await?;
    assert_eq!(s.replies_before.len(), 2);
    s.review().await?;
    reviewed(s).await?;
    s.snapshot().await?;
    job_without_grant_is_refused(s).await?;
    s.submit().await?;
    submitted(s).await?;
    s.train().await?;
    minted(s).await?;
    s.price().await?;
    assert_eq!((s.chain_price().await?.input, s.chain_price().await?.output), s.plan.prices);
    s.ask_model().await?;
    s.settle().await?;
    settled(s).await?;
    stock_client(s).await?;
    signed_by_hand(s).await?;
    s.claim().await?;
    let end = s.totals().await?;
    assert_eq!(end.paid_in(), end.fees + end.licences);
    assert_eq!(end.licences, 3 * s.plan.licence_price);
    assert_eq!(end.fees, s.fees);
    assert!(end.ledger.slashes.is_empty(), "{:?}", end.ledger.slashes);
    assert_eq!(end.payouts.iter().map(|p| p.records).sum::<u32>(), 24);
    for payout in &end.payouts {
        assert!(payout.claimed > 0, "{payout:?}");
    }
    everything_is_claimed(s).await?;
    reproduced(setting, s).await
}

async fn registered(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    for person in [&s.cast.oracle, &s.cast.verifier] {
        let oracle = oracles::oracle(&state, &person.account).await?.expect("registered");
        assert_eq!((oracle.bonded, oracle.locked), (s.plan.stake, 0));
        assert_eq!(oracle.status, oracles::OracleStatus::Active);
    }
    assert_eq!(s.datanets, vec![0, 1, 2]);
    for id in &s.datanets {
        assert_eq!(datanets::curators(&state, *id).await?, vec![s.cast.curator.account]);
        let (version, licence) = permissions::current(&state, *id).await?.expect("licensed");
        assert_eq!(licence.terms.0.price, s.plan.licence_price, "version {version}");
    }
    let key = rewards::api_key(&state, &s.cast.consumer.account, &s.key.1).await?.expect("registered");
    assert!(!key.revoked);
    Ok(())
}

async fn contributed(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    assert_eq!(s.given.len(), 10, "three files for each of three Datanets, and one that will be rejected");
    for given in &s.given {
        let n = given.facts.contribution.expect("revealed");
        let found = datanets::contribution(&state, given.facts.datanet, n).await?.expect("on chain");
        assert_eq!(found.state, datanets::ContributionState::Pending);
        assert_eq!(found.owner.0, s.cast.contributors[given.contributor].account);
        assert_eq!((found.content, found.root), (given.facts.content, given.facts.root));
        assert_eq!(found.records, given.facts.records);
    }
    for (datanet, id) in &s.grants {
        let grant = permissions::grant(&state, *id).await?.expect("granted");
        assert_eq!((grant.datanet, grant.left), (*datanet, 8));
        assert!(permissions::is_live(&state, *id).await?);
    }
    let budget = rewards::budget(&state, &s.cast.consumer.account, &s.cast.oracle.account).await?.expect("open");
    assert_eq!((budget.held, budget.spent), (s.plan.budget, 0));
    Ok(())
}

async fn reviewed(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    for given in &s.given {
        let n = given.facts.contribution.expect("revealed");
        let found = datanets::contribution(&state, given.facts.datanet, n).await?.expect("on chain");
        if given.rejected {
            assert_eq!(found.state, datanets::ContributionState::Rejected);
            assert_eq!(found.reason, Some(datanets::RejectCode::OffTopic));
            assert_eq!(found.note, Some(blake2_256(NOTE.as_bytes())));
            assert!(found.leaf.is_none());
        } else {
            assert_eq!(found.state, datanets::ContributionState::Accepted);
            assert!(found.leaf.is_some());
        }
    }
    assert_eq!(s.given.iter().filter(|g| g.rejected).count(), 1);
    Ok(())
}

/// The consumer submits the job with the builder's grants, with a grant that does not exist, and without any: the chain
/// refuses by name and stores nothing.
async fn job_without_grant_is_refused(s: &Scenario) -> HarnessResult {
    let unknown = permissions::next_grant(&s.net.state().await?).await?;
    let job = s.new_job();
    let invented = job.grants.keys().map(|datanet| (*datanet, unknown)).collect();
    let cases = [
        ("NotAllowed", Exit::NotPermitted, job.clone()),
        ("UnknownGrant", Exit::NotFound, NewJob { grants: invented, ..job.clone() }),
        ("GrantMissing", Exit::NotPermitted, NewJob { data: Vec::new(), grants: Default::default(), ..job }),
    ];
    for (name, exit, job) in cases {
        let before = what_a_job_changes(s).await?;
        let e = refusal(s, &job).await;
        assert_eq!(e.exit, exit, "{e}");
        assert!(e.cause.contains(name), "expected {name}: {e}");
        assert_eq!(what_a_job_changes(s).await?, before, "{name} changed what is stored");
    }
    Ok(())
}

/// How the chain refuses a job of the consumer's.
async fn refusal(s: &Scenario, job: &NewJob) -> CliError {
    let who = &s.cast.consumer;
    job::submit_unchecked(&who.ctx, &who.signer, job).await.expect_err("a job without a grant")
}

/// Number of the next job and of the next grant, uses left and in flight of each grant, money on hold of the consumer.
async fn what_a_job_changes(s: &Scenario) -> HarnessResult<(u32, u32, Vec<(u32, u32)>, u128)> {
    let state = s.net.state().await?;
    let mut grants = Vec::new();
    for (_, id) in &s.grants {
        let grant = permissions::grant(&state, *id).await?.expect("granted");
        grants.push((grant.left, grant.in_flight));
    }
    let held = system::balance(&state, &s.cast.consumer.account).await?.reserved;
    Ok((models::next_job(&state).await?, permissions::next_grant(&state).await?, grants, held))
}

async fn submitted(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    let job = models::job(&state, s.job).await?.expect("submitted");
    assert_eq!(job.builder.0, s.cast.builder.account);
    assert_eq!((job.records, job.steps, job.method), (24, 12, 1));
    assert_eq!((job.fee, job.licence), (s.plan.fee, 3 * s.plan.licence_price));
    for (_, id) in &s.grants {
        let grant = permissions::grant(&state, *id).await?.expect("granted");
        assert_eq!((grant.left, grant.in_flight, grant.used), (7, 1, 0));
    }
    Ok(())
}

async fn minted(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    let job = models::job(&state, s.job).await?.expect("submitted");
    assert_eq!(job.state.0, JobState::Final);
    assert_eq!((job.escrow.fee, job.escrow.verification, job.escrow.licence), (0, 0, 0), "nothing stays on hold");
    let model = models::model(&state, s.model).await?.expect("minted");
    assert_eq!(model.owner.0, s.cast.builder.account);
    assert_eq!((model.job, model.run.oracle.0), (s.job, s.cast.oracle.account));
    assert_eq!(model.run.parts.0.len(), 3);
    assert_eq!(model.run.parts.0.iter().map(|p| p.paid).sum::<u128>(), 1_000_000_000_000);
    for person in [&s.cast.oracle, &s.cast.verifier] {
        let oracle = oracles::oracle(&state, &person.account).await?.expect("registered");
        assert_eq!((oracle.bonded, oracle.locked), (s.plan.stake, 0), "stake is free again");
    }
    for (_, id) in &s.grants {
        let grant = permissions::grant(&state, *id).await?.expect("granted");
        assert_eq!((grant.left, grant.in_flight, grant.used), (7, 0, 1));
    }
    // Licences are paid at Final, not before.
    let licences = rewards::settlement(&state, s.model, 0).await?.expect("licences are settled");
    assert_eq!(licences.fees, 3 * s.plan.licence_price);
    assert_eq!(system::total_issuance(&state).await?, s.before.issuance);

    let lag = testnet::lag(&s.net.node.url(), 20).await?;
    println!("development at 500 ms: finality lags at most {lag} blocks");
    let timer = testnet::answers(&Timers::development());
    assert!(timer >= lag + 4, "a timer of {timer} blocks, finality lags {lag}");
    Ok(())
}

async fn settled(s: &Scenario) -> HarnessResult {
    let state = s.net.state().await?;
    let budget = rewards::budget(&state, &s.cast.consumer.account, &s.cast.oracle.account).await?.expect("open");
    assert_eq!(budget.spent, s.fees);
    assert_eq!(budget.held, s.plan.budget - s.fees);
    Ok(())
}

/// The folder of the JavaScript clients, with their packages installed.
async fn clients() -> HarnessResult<PathBuf> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
    if !clients.join("node_modules/@polkadot/api").is_dir() {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&clients);
        let (status, output) = process::run(install, CLIENT).await?;
        ensure(status.success(), || format!("npm ci in tests/clients: {output}"))?;
    }
    Ok(clients)
}

/// A client without any type of Weft reads the pallets, transfers and submits one claim of the last contributor.
async fn stock_client(s: &Scenario) -> HarnessResult {
    let clients = clients().await?;
    let person = s.cast.contributors.last().expect("a contributor");
    let path = format!("/api/v1/settlements/{}/proof/{}", s.model, person.address());
    let proof = s.net.daemon("Oracle")?.get(&path).await?;
    let claim = first_due(&proof, s.model).ok_or_else(|| HarnessError::failed(format!("nothing is due: {proof}")))?;

    let mut command = Command::new("node");
    command.arg("stock.mjs").current_dir(&clients).args([
        &s.net.node.url(),
        "//Bob",
        &person.address(),
        &WEFT.to_string(),
        &claim.to_string(),
    ]);
    let (status, output) = process::run(command, CLIENT).await?;
    ensure(status.success(), || format!("the stock client: {output}"))?;
    let line = output.lines().find(|l| l.starts_with('{')).unwrap_or_default();
    let told: Value = serde_json::from_str(line)
        .map_err(|e| HarnessError::failed(format!("the stock client printed {output}: {e}")))?;
    assert_eq!(told["received"], json!(WEFT.to_string()));
    let entries = |pallet: &str| told["entries"][pallet].as_u64().unwrap_or_default();
    assert_eq!((entries("models"), entries("datanets"), entries("permissions")), (1, 3, 3), "{told}");
    assert_eq!((entries("computeOracles"), entries("attribution")), (2, 1), "{told}");
    // One of the licences, and one of at least one epoch with answers.
    assert!(entries("rewards") >= 2, "{told}");
    let pallets: Vec<&str> = told["pallets"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for ours in ["Datanets", "Permissions", "Models", "ComputeOracles", "Attribution", "Rewards"] {
        assert!(pallets.contains(&ours), "{pallets:?}");
    }
    let events: Vec<&str> = told["claim"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(events.contains(&"rewards.Claimed"), "{events:?}");
    Ok(())
}

/// A transfer that is signed apart and submitted as bytes over HTTP arrives.
async fn signed_by_hand(s: &Scenario) -> HarnessResult {
    let to = &s.cast.curator;
    let before = to.total(&s.net.state().await?).await?;
    let (url, arguments) = (s.net.node.url(), json!([to.address(), WEFT.to_string()]).to_string());
    let mut command = Command::new("node");
    command.current_dir(clients().await?);
    command.args(["sign.mjs", &url, "//Bob", "balances", "transferKeepAlive", &arguments]);
    let (status, output) = process::run(command, CLIENT).await?;
    ensure(status.success(), || format!("sign.mjs: {output}"))?;
    let extrinsic = output.lines().find(|line| line.starts_with("0x")).unwrap_or_default();
    assert_eq!(to.total(&s.net.state().await?).await?, before, "signing submits nothing");

    let hash = testnet::rpc(&url, "author_submitExtrinsic", json!([extrinsic])).await?;
    assert!(hash.as_str().is_some_and(|hash| hash.starts_with("0x")), "{hash}");
    let mut blocks = Blocks::new(s.net.chain().await?, "the transfer that was signed by hand", CLIENT);
    while to.total(&blocks.next().await?).await? != before + WEFT {}
    Ok(())
}

/// Arguments of the first claim that is due.
fn first_due(proof: &Value, model: u32) -> Option<Value> {
    for leaf in proof["leaves"].as_array()? {
        for epoch in leaf["epochs"].as_array()? {
            if epoch["claimed"] == json!(false) && epoch["due"] != json!("0") {
                return Some(json!({
                    "model": model, "epoch": epoch["epoch"], "part": leaf["part"], "index": leaf["index"],
                    "leaf": format!("0x{}", leaf["leaf"].as_str()?), "path": format!("0x{}", leaf["path"].as_str()?),
                }));
            }
        }
    }
    None
}

/// What the contributors see: every accepted contribution was used, has influence and has earned what it claimed; of the
/// rejected one it says so.
async fn everything_is_claimed(s: &Scenario) -> HarnessResult {
    let daemons = [s.net.daemon("Oracle")?.url().to_string()];
    for (i, person) in s.cast.contributors.iter().enumerate() {
        let shown = reward::show(&person.ctx, &person.account, &daemons).await?;
        let given: Vec<_> = s.given.iter().filter(|g| g.contributor == i).collect();
        assert_eq!(shown.len(), given.len());
        for one in &shown {
            let rejected = given.iter().any(|g| {
                g.rejected && (g.facts.datanet, g.facts.contribution) == (one.datanet, Some(one.contribution))
            });
            assert_eq!(one.earned, one.claimed, "{one:?}");
            if rejected {
                assert_eq!((one.accepted, one.earned), (0, 0), "{one:?}");
                assert!(one.used_in.is_empty() && one.influence.is_empty(), "{one:?}");
                assert!(one.zero.as_deref().is_some_and(|why| why.starts_with("rejected: ")), "{one:?}");
            } else {
                // A part of the points goes by trained tokens, so that every accepted contribution earns.
                assert_eq!(one.accepted, one.records, "{one:?}");
                assert_eq!(one.used_in, [s.model], "{one:?}");
                assert!(!one.influence.is_empty() && one.earned > 0, "{one:?}");
                assert_eq!(one.zero, None, "{one:?}");
            }
        }
        let due = reward::due(&person.ctx, &person.account, &daemons).await?;
        assert!(due.iter().all(|d| d.claimed || d.due == 0), "{due:?}");
    }
    Ok(())
}

/// Another process recomputes the run from public inputs: with one thread and two, with every instruction set.
async fn reproduced(setting: &Setting, s: &Scenario) -> HarnessResult {
    for isa in ["scalar", "avx2", "avx512"] {
        if !isa.parse::<weft_engine::Isa>().is_ok_and(weft_engine::Isa::available) {
            println!("verify run: this processor has no {isa}: not checked here");
            continue;
        }
        for threads in ["1", "2"] {
            let how = ["--threads", threads, "--isa", isa];
            let (code, output) = verify(setting, &s.net, s.job, &how).await?;
            assert!(code == Some(0) && output.contains("identical"), "{isa}, {threads} threads: {output}");
        }
    }
    Ok(())
}
