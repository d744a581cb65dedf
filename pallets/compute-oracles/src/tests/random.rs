//! Random legal and illegal messages in random order: no unit is made or lost, every invariant holds, and an oracle that
//! only ever does honest work is never slashed for anything but silence of its own.

use crate::mock::Account;
use crate::{mock::*, AuditState, Audits, Event, Fault, Juries, Juror, Phase, RunKey, Runs};
use frame::{testing_prelude::*, traits::Hooks};
use proptest::prelude::*;
use weft_protocol::run::JuryValue;

/// One step of a history. Numbers choose among what is possible at that moment.
#[derive(Clone, Debug)]
enum Step {
    /// What the job waits for, done by somebody who owes it: mostly honest.
    Drive {
        job: u8,
        who: u8,
        honest: bool,
        rare: bool,
    },
    Submit(u8),
    Cancel(u8),
    Take(u8, u8),
    Commit {
        job: u8,
        honest: bool,
        diverged: bool,
    },
    AuditCommit {
        job: u8,
        who: u8,
        honest: bool,
    },
    Reveal(u8),
    AuditReveal {
        job: u8,
        who: u8,
        agrees: bool,
    },
    Accuse {
        job: u8,
        second: bool,
    },
    JuryCommit {
        job: u8,
        who: u8,
        honest: bool,
    },
    JuryReveal {
        job: u8,
        who: u8,
    },
    Poke(u8),
    Idle,
    Bond(u8, u16),
    Unbond(u8, u16),
    Withdraw(u8),
    Chill(u8),
    Resume(u8),
    Blocks(u8),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let (job, who, yes) = (0u8..3, 0u8..6, any::<bool>());
    let mostly = || prop::bool::weighted(0.75);
    prop_oneof![
        120 => (job.clone(), who.clone(), prop::bool::weighted(0.8), prop::bool::weighted(0.08))
            .prop_map(|(job, who, honest, rare)| Drive { job, who, honest, rare }),
        3 => (1u8..3).prop_map(Submit),
        1 => job.clone().prop_map(Cancel),
        3 => (job.clone(), who.clone()).prop_map(|(job, who)| Take(job, who)),
        6 => (job.clone(), mostly(), prop::bool::weighted(0.15))
            .prop_map(|(job, honest, diverged)| Commit { job, honest, diverged }),
        8 => (job.clone(), who.clone(), mostly()).prop_map(|(job, who, honest)| AuditCommit { job, who, honest }),
        6 => job.clone().prop_map(Reveal),
        8 => (job.clone(), who.clone(), mostly()).prop_map(|(job, who, agrees)| AuditReveal { job, who, agrees }),
        3 => (job.clone(), yes).prop_map(|(job, second)| Accuse { job, second }),
        10 => (job.clone(), who.clone(), mostly()).prop_map(|(job, who, honest)| JuryCommit { job, who, honest }),
        10 => (job.clone(), who.clone()).prop_map(|(job, who)| JuryReveal { job, who }),
        6 => job.prop_map(Poke),
        3 => Just(Idle),
        1 => (who.clone(), 1u16..2_000).prop_map(|(who, amount)| Bond(who, amount)),
        1 => (who.clone(), 1u16..6_000).prop_map(|(who, amount)| Unbond(who, amount)),
        1 => who.clone().prop_map(Withdraw),
        1 => who.clone().prop_map(Chill),
        1 => who.prop_map(Resume),
        12 => prop_oneof![4 => 1u8..4, 1 => 10u8..30].prop_map(Blocks),
    ]
}

/// The oracles of a history: [`ORACLE`] and five others.
fn account(number: u8) -> Account {
    match number {
        0 => ORACLE,
        other => OTHERS[usize::from(other) - 1].clone(),
    }
}

/// What was posted, and what each blind answer holds: whether it is honest.
#[derive(Default)]
struct Memory {
    posted: std::collections::BTreeMap<RunKey, Truth>,
    audits: std::collections::BTreeMap<(RunKey, [u8; 32]), bool>,
    jurors: std::collections::BTreeMap<(u32, [u8; 32]), bool>,
    dishonest: std::collections::BTreeSet<RunKey>,
}

fn truth(key: RunKey) -> Option<Truth> {
    let run = Runs::<Test>::get(key)?;
    run.seed?;
    Some(Truth::of(key))
}

/// The honest result of what was posted: a diverged run diverges again.
fn known(memory: &Memory, key: RunKey) -> Option<Truth> {
    match memory.posted.get(&key) {
        Some(posted) if posted.opening.is_none() => Some(posted.clone()),
        _ => truth(key),
    }
}

fn apply(step: &Step, memory: &mut Memory) -> Option<DispatchResult> {
    let key = |job: &u8| RunKey::Job(u32::from(*job));
    let pick = |list: Vec<Account>, number: u8| {
        let index = usize::from(number) % list.len().max(1);
        list.get(index).cloned()
    };
    Some(match step {
        Step::Drive { job, who, honest, rare } => return apply(&next_step(*job, *who, *honest, *rare), memory),
        Step::Submit(count) => {
            if pallet_models::NextJob::<Test>::get() >= 3 {
                return None;
            }
            Models::submit_job(signed(&BUILDER), Box::new(spec(*count)))
        }
        Step::Cancel(job) => Models::cancel_job(signed(&BUILDER), u32::from(*job)),
        Step::Take(job, who) => Oracles::take(signed(&account(*who)), u32::from(*job)),
        Step::Commit { job, honest, diverged } => {
            let key = key(job);
            let run = Runs::<Test>::get(key)?;
            truth(key)?;
            let posted = match (honest, diverged) {
                (_, true) => Truth::diverged(key, 5),
                (true, _) => Truth::of(key),
                (false, _) => Truth::false_from(key, 4),
            };
            let result = plain(Oracles::commit(signed(&run.oracle), key, posted.commit));
            if result.is_ok() {
                if !honest && !diverged {
                    memory.dishonest.insert(key);
                }
                memory.posted.insert(key, posted);
            }
            result
        }
        Step::AuditCommit { job, who, honest } => {
            let key = key(job);
            let open = verifiers(key, &[AuditState::Drawn]);
            let all = || Audits::<Test>::iter_key_prefix(key).collect();
            let who = pick(if open.is_empty() { all() } else { open }, *who)?;
            let answer = if *honest { known(memory, key)? } else { Truth::false_from(key, 2) };
            let result = audit_commit(&who, key, &answer);
            if result.is_ok() {
                memory.audits.insert((key, who.into()), *honest);
            }
            result
        }
        Step::Reveal(job) => {
            let key = key(job);
            let run = Runs::<Test>::get(key)?;
            let posted = memory.posted.get(&key)?;
            plain(Oracles::reveal_nonces(signed(&run.oracle), key, posted.secret, posted.opening.clone()))
        }
        Step::AuditReveal { job, who, agrees } => {
            let key = key(job);
            let open = verifiers(key, &[AuditState::Committed]);
            let who = pick(if open.is_empty() { verifiers(key, &[AuditState::Agreed]) } else { open }, *who)?;
            let honest = *memory.audits.get(&(key, who.clone().into()))?;
            let answer = if honest { known(memory, key)? } else { Truth::false_from(key, 2) };
            audit_reveal(&who, key, &answer, *agrees)
        }
        Step::Accuse { job, second } => {
            Oracles::accuse(signed(if *second { &SECOND_ACCUSER } else { &ACCUSER }), key(job), 5)
        }
        Step::JuryCommit { job, who, honest } => {
            let (id, who) = juror(key(job), *who, |juror| juror.commitment.is_none())?;
            let value = value(memory, key(job), id, *honest)?;
            let result = jury_commit(&who, id, &value);
            if result.is_ok() {
                memory.jurors.insert((id, who.into()), *honest);
            }
            result
        }
        Step::JuryReveal { job, who } => {
            let (id, who) = juror(key(job), *who, |juror| juror.commitment.is_some() && juror.value.is_none())?;
            let honest = *memory.jurors.get(&(id, who.clone().into()))?;
            let value = value(memory, key(job), id, honest)?;
            jury_reveal(&who, id, value)
        }
        Step::Poke(job) => poke(u32::from(*job)),
        Step::Idle => {
            <Models as Hooks<u64>>::on_idle(System::block_number(), Weight::MAX);
            <Oracles as Hooks<u64>>::on_idle(System::block_number(), Weight::MAX);
            Ok(())
        }
        Step::Bond(who, amount) => Oracles::bond(signed(&account(*who)), u128::from(*amount) * WEFT),
        Step::Unbond(who, amount) => Oracles::unbond(signed(&account(*who)), u128::from(*amount) * WEFT),
        Step::Withdraw(who) => Oracles::withdraw(signed(&account(*who))),
        Step::Chill(who) => Oracles::chill(signed(&account(*who))),
        Step::Resume(who) => Oracles::resume(signed(&account(*who))),
        Step::Blocks(count) => {
            blocks(u32::from(*count));
            Ok(())
        }
    })
}

/// The step that a job waits for. Rare: time passes instead, or a run diverges.
fn next_step(job: u8, who: u8, honest: bool, rare: bool) -> Step {
    let key = RunKey::Job(u32::from(job));
    let Some(run) = Runs::<Test>::get(key) else { return Step::Take(job, who) };
    let silent = |step| if rare { Step::Blocks(25) } else { step };
    match run.phase {
        Phase::Seeding | Phase::Drawing | Phase::Replacing | Phase::JuryDrawing => Step::Blocks(1),
        Phase::Running => Step::Commit { job, honest, diverged: rare },
        Phase::Auditing => silent(Step::AuditCommit { job, who, honest: honest || who.is_multiple_of(2) }),
        Phase::Revealing => silent(Step::Reveal(job)),
        Phase::Answering => silent(Step::AuditReveal { job, who, agrees: honest }),
        Phase::Window if honest => Step::Blocks(1),
        Phase::Window => Step::Accuse { job, second: rare },
        Phase::JuryCommit => silent(Step::JuryCommit { job, who, honest: honest || who.is_multiple_of(2) }),
        Phase::JuryReveal => silent(Step::JuryReveal { job, who }),
        Phase::Ended => Step::Poke(job),
    }
}

/// A member of the sitting jury, of those that `open` wants if there are any.
fn juror(key: RunKey, number: u8, open: impl Fn(&Juror<Account>) -> bool) -> Option<(u32, Account)> {
    let id = *Runs::<Test>::get(key)?.juries.last()?;
    let members = Juries::<Test>::get(id)?.members;
    let waiting: Vec<_> = members.iter().filter(|juror| open(juror)).collect();
    let list = if waiting.is_empty() { members.iter().collect() } else { waiting };
    let juror = list.get(usize::from(number) % list.len())?;
    Some((id, juror.who.clone()))
}

fn value(memory: &Memory, key: RunKey, id: u32, honest: bool) -> Option<JuryValue> {
    Some(if honest { known(memory, key)?.value(id) } else { Truth::false_from(key, 2).value(id) })
}

/// A run ends by pokes alone, whatever went before.
fn wind_up() {
    for _ in 0..400 {
        for job in 0..pallet_models::NextJob::<Test>::get() {
            let _ = poke(job);
        }
        next_block();
    }
    for job in 0..pallet_models::NextJob::<Test>::get() {
        assert!(state(job).is_terminal(), "job {job} never ends: {:?}", state(job));
    }
    assert_eq!(crate::Disputes::<Test>::iter().count(), 0);
    assert!(Runs::<Test>::iter().all(|(_, run)| run.phase == Phase::Ended));
    assert_eq!(crate::Locks::<Test>::iter().count(), 0, "stake stays locked");
    assert_eq!(crate::Slashes::<Test>::iter().count(), 0, "a slash was never executed");
}

/// Nobody is convicted without a false commitment, unless it was silent or a majority of its jury lied.
fn fraud_is_deserved(memory: &Memory, lied: bool) {
    for record in System::events() {
        if let RuntimeEvent::Oracles(Event::Slashed { run, fault: Fault::Fraud, .. }) = record.event {
            assert!(memory.dishonest.contains(&run) || lied, "an honest oracle was convicted");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_histories_should_conserve_money(steps in prop::collection::vec(step(), 40..200)) {
        new_ext().execute_with(|| {
            let issuance = Balances::total_issuance();
            for number in 0..6 {
                assert_ok!(register(&account(number), BONDED));
            }
            submit(2);
            submit(1);
            let mut memory = Memory::default();
            for step in &steps {
                if let Some(Ok(())) = apply(step, &mut memory) {
                    check_all(issuance);
                }
            }
            wind_up();
            check_all(issuance);
            let lied = memory.jurors.values().any(|honest| !honest);
            fraud_is_deserved(&memory, lied);
        });
    }
}
