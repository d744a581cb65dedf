//! Dishonest oracles, and an honest one that is accused, as concurrent jobs on one chain.
//!
//! Five oracles: each is the oracle of one job and an honest verifier or juror of the others. Four of them cheat on
//! their own job, each in another way; the fifth is honest and falsely accused.

use std::time::Duration;

use futures::future::{try_join, try_join_all};
use weft::commands::{job, oracle};
use weft_chain::{models, oracles, system};
use weft_protocol::{
    economics::Params,
    job::{FailReason, JobState},
};

use crate::{
    ensure,
    ledger::{Fault, Ledger},
    network::{read, Blocks, NetworkConfig},
    people::Person,
    plan::Plan,
    scenario::{register, sign_all, Scenario},
    HarnessError, HarnessResult, Programs,
};

/// Oracles with their way to cheat; the last one is honest.
pub const ORACLES: [(&str, Option<&str>); 5] = [
    ("Verifier", Some("skip-steps")),
    ("Juror1", Some("swap-data")),
    ("Juror2", Some("foreign-adapter")),
    ("Juror3", Some("inflate-score")),
    ("Oracle", None),
];
/// Longest time of all jobs on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// What became of one oracle and its job.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The oracle.
    pub name: &'static str,
    /// How it cheated.
    pub tamper: Option<&'static str>,
    /// The job.
    pub job: u32,
    /// How the job ended.
    pub state: JobState,
    /// Stake that the job locked.
    pub locked: u128,
    /// Bonded stake before and after.
    pub bonded: (u128, u128),
    /// Units that it lost as the oracle of a run.
    pub slashed: u128,
}

/// Everything at the end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One per oracle, in the order of [`ORACLES`].
    pub verdicts: Vec<Verdict>,
    /// Bond that the accuser lost.
    pub accuser_lost: u128,
    /// What the blocks say.
    pub ledger: Ledger,
    /// Money that existed before and after.
    pub issuance: (u128, u128),
}

/// Sets a scenario up with five oracles and runs their jobs to the end.
pub async fn run(programs: &Programs, config: NetworkConfig, plan: Plan) -> HarnessResult<(Scenario, Outcome)> {
    let mut scenario = Scenario::open(programs, config, plan).await?;
    match trial(&mut scenario).await {
        Ok(outcome) => Ok((scenario, outcome)),
        Err(e) => {
            eprintln!("{}", scenario.net.logs());
            Err(e)
        }
    }
}

async fn trial(scenario: &mut Scenario) -> HarnessResult<Outcome> {
    let people = start(scenario).await?;
    let state = scenario.net.state().await?;
    let mut before = Vec::new();
    for person in &people {
        before.push(bonded(&state, person).await?);
    }
    let first = models::next_job(&state).await?;
    let jobs: Vec<u32> = (first..).take(people.len()).collect();
    scenario.report.say("the builder submits five jobs; each oracle takes one");
    let wanted = scenario.new_job();
    let builder = &scenario.cast.builder;
    let spec = job::spec(&builder.ctx, &wanted).await?;
    let quote = job::quote(&builder.ctx, &builder.account, &wanted).await?;
    let calls: Vec<_> = jobs.iter().map(|_| (models::submit_job(&spec), quote.total)).collect();
    sign_all(builder, &calls).await?;
    let takes = people.iter().zip(&jobs).map(|(person, job)| async move {
        person.chain().await?.submit(&person.signer, &oracles::take(*job)).await?;
        Ok::<_, HarnessError>(())
    });
    try_join_all(takes).await?;

    let honest = jobs.last().copied().unwrap_or_default();
    let accuser = scenario.net.person("Eve")?;
    let (states, ()) = try_join(ended(scenario, &jobs), accuse(scenario, &accuser, honest)).await?;

    let (ledger, issuance) = settle_slashes(scenario).await?;
    let state = scenario.net.state().await?;
    let mut verdicts = Vec::new();
    for ((((name, tamper), person), job), (bonded_before, end)) in
        ORACLES.iter().zip(&people).zip(&jobs).zip(before.iter().zip(states))
    {
        verdicts.push(Verdict {
            name,
            tamper: *tamper,
            job: *job,
            state: end.state.0,
            locked: end.stake,
            bonded: (*bonded_before, bonded(&state, person).await?),
            slashed: ledger.lost(&person.account, Fault::Fraud),
        });
    }
    Ok(Outcome {
        verdicts,
        accuser_lost: ledger.lost(&accuser.account, Fault::FailedChallenge),
        ledger,
        issuance: (scenario.before.issuance, issuance),
    })
}

/// Five daemons, Datanets, grants.
async fn start(scenario: &mut Scenario) -> HarnessResult<Vec<Person>> {
    let mut people = Vec::new();
    let contributors = scenario.contributor_stores();
    for (name, tamper) in ORACLES {
        let mut sources = contributors.clone();
        let others = ORACLES.iter().filter(|(other, _)| *other != name);
        sources.extend(others.map(|(other, _)| scenario.net.daemon_store(other)));
        let mut config = scenario.net.daemon_config(name, false, &sources);
        config.tamper = tamper;
        scenario.net.add_daemon(config).await?;
        people.push(scenario.net.person(name)?);
    }
    let stake = scenario.plan.stake;
    let registered = try_join_all(people.iter().map(|person| register(person, stake)));
    let datanets = crate::scenario::create_datanets(&scenario.cast.curator, &scenario.plan);
    let (_, datanets) = try_join(registered, datanets).await?;
    scenario.datanets = datanets;
    scenario.contribute().await?;
    scenario.review().await?;
    scenario.snapshot().await?;
    Ok(people)
}

async fn bonded(state: &weft_chain::State, person: &Person) -> HarnessResult<u128> {
    let found = oracles::oracle(state, &person.account).await?;
    Ok(found.ok_or_else(|| state.missing(format!("oracle {}", person.name)))?.bonded)
}

/// Waits until all jobs are over.
async fn ended(scenario: &Scenario, jobs: &[u32]) -> HarnessResult<Vec<models::Job>> {
    let mut blocks = Blocks::new(scenario.net.chain().await?, "the end of five jobs", LIMIT);
    let mut told = Vec::new();
    loop {
        let state = blocks.next().await?;
        let mut done = Vec::new();
        for id in jobs {
            let Some(Some(job)) = read(models::job(&state, *id).await)? else { break };
            if job.state.0.is_terminal() && !told.contains(id) {
                scenario.report.say(format!("block {}: job {id} ended: {:?}", state.head.number, job.state.0));
                told.push(*id);
            }
            done.push(job);
        }
        if done.len() == jobs.len() && done.iter().all(|job| job.state.0.is_terminal()) {
            return Ok(done);
        }
    }
}

/// Accuses a run as soon as its window is open.
pub async fn accuse(scenario: &Scenario, who: &Person, job: u32) -> HarnessResult {
    let mut blocks = Blocks::new(who.chain().await?, format!("the window of job {job}"), LIMIT);
    loop {
        let state = blocks.next().await?;
        let Some(Some(run)) = read(oracles::run(&state, job).await)? else { continue };
        match run.phase {
            oracles::Phase::Window => break,
            oracles::Phase::Ended => {
                return Err(HarnessError::failed(format!("job {job} ended before anybody could accuse it")))
            }
            _ => {}
        }
    }
    scenario.report.say(format!("{} accuses the honest run of job {job} of a false state 3", who.name));
    oracle::accuse(&who.ctx, &who.signer, job, 3).await?;
    Ok(())
}

/// Waits until every decided slash is executed, and reads the blocks.
async fn settle_slashes(scenario: &Scenario) -> HarnessResult<(Ledger, u128)> {
    let mut blocks = Blocks::new(scenario.net.chain().await?, "the execution of the slashes", LIMIT);
    let first = blocks.next().await?.head.number;
    let wait = Params::fast().slash_delay.saturating_add(4);
    loop {
        let state = blocks.next().await?;
        if state.head.number >= first.saturating_add(wait) {
            let ledger = Ledger::read(&scenario.net.node.url(), state.head.number).await?;
            return Ok((ledger, system::total_issuance(&state).await?));
        }
    }
}

impl Outcome {
    /// What must hold: every cheat loses the stake of its run, nobody else loses anything but the accuser its bond, and
    /// what exists shrank by what was burned.
    pub fn check(&self, plan: &Plan) -> HarnessResult {
        for v in &self.verdicts {
            let (before, after) = v.bonded;
            ensure(before == plan.stake, || format!("{} bonded {before}", v.name))?;
            if v.tamper.is_some() {
                ensure(v.state == JobState::Failed(FailReason::Fraud), || {
                    format!("job {} of {} ({:?}) ended as {:?}", v.job, v.name, v.tamper, v.state)
                })?;
                ensure(v.slashed == v.locked && v.locked > 0, || {
                    format!("{} lost {} of {} for {:?}", v.name, v.slashed, v.locked, v.tamper)
                })?;
                ensure(after == before - v.locked, || format!("{} has {after} bonded of {before}", v.name))?;
            } else {
                ensure(v.state == JobState::Final, || format!("the honest job {} ended as {:?}", v.job, v.state))?;
                ensure(v.slashed == 0 && after == before, || {
                    format!("the honest {} has {after} bonded of {before}", v.name)
                })?;
            }
        }
        let others: Vec<_> =
            self.ledger.slashes.iter().filter(|s| !matches!(s.fault, Fault::Fraud | Fault::FailedChallenge)).collect();
        ensure(others.is_empty(), || format!("honest parties were slashed: {others:?}"))?;
        ensure(self.accuser_lost > 0, || "the false accuser lost nothing".into())?;
        let (before, after) = self.issuance;
        let burned = self.ledger.burned();
        ensure(burned > 0 && after == before - burned, || {
            format!("{before} units existed, {burned} were burned, {after} exist")
        })
    }
}
