//! The runtime interface's answer on a contribution.

use pallet_datanets::types::{Contribution, ContributionState, Leaf, Rule};
use pallet_models::types::{Escrow, Job, JobData, Model, ModelRun, ModelStatus};
use weft_protocol::{
    job::{JobState, Tier},
    licence::Terms,
    run::{Commit, Outcome},
    split::ModelSplit,
};
use weft_runtime::{weft_api::contribution_funnel, AccountId, Datanets, Runtime};
use weft_traits::{DatanetInspect, RunBlocks, SnapshotInfo};

const WHO: AccountId = AccountId::new([1; 32]);
const NET: u32 = 3;

/// A Datanet with one contribution that snapshot 0 holds, or not.
fn contribute(in_snapshot: bool) {
    let leaves = u64::from(in_snapshot);
    let info = SnapshotInfo { root: [1; 32], leaves, records: 20, bytes: 4_000, block: 1 };
    Datanets::put_for_tests(NET, WHO, info);
    let item = Contribution {
        owner: WHO,
        root: [2; 32],
        content: [3; 32],
        records: 20,
        bytes: 4_000,
        sequence: 0,
        state: ContributionState::Accepted,
        reason: None,
        note: None,
        leaf: Some(Leaf { index: 0, first: 0 }),
        rule: Rule::Owner,
        revealed: 1,
        decided: Some(1),
        storage: 0,
        risk: 0,
    };
    pallet_datanets::Contributions::<Runtime>::insert(NET, 0, item);
}

/// A model whose run had snapshot 0 of `datanet`.
fn mint(model: u32, datanet: u32) {
    let data = JobData { datanet, snapshot: 0, root: [1; 32], records: 20, grant: 0, version: 1, price: 0 };
    let job = Job {
        builder: WHO,
        base: [1; 32],
        parent: None,
        inputs: vec![data].try_into().unwrap(),
        recipe_hash: [2; 32],
        recipe_content: [3; 32],
        steps: 1,
        records: 20,
        time_ms: 0,
        sem_id: [4; 32],
        method: 0,
        tier: Tier::Full(1),
        score_shift: 40,
        probe_root: [0; 32],
        spec_hash: [5; 32],
        fee: 0,
        verification: 0,
        licence: 0,
        value: 0,
        stake: 0,
        escrow: Escrow::default(),
        split: ModelSplit::DEFAULT,
        terms: Terms::FREE,
        blocks: RunBlocks { run: 1, replay: 1 },
        state: JobState::Final,
        submitted: 1,
        deadline: None,
        model: Some(model),
    };
    let commit = Commit {
        n_done: 1,
        outcome: Outcome::Done,
        data_root: [1; 32],
        steps_root: [2; 32],
        model_commitment: [3; 32],
        attribution_commitment: [4; 32],
        secret: [5; 32],
    };
    let run = ModelRun {
        oracle: WHO,
        beacon: [1; 32],
        seed: [2; 32],
        commit,
        secret: [3; 32],
        artifacts: [4; 32],
        method: 0,
        cotangent: 0,
        x: 0,
        r0: [5; 32],
        parts: Default::default(),
        extra: [6; 32],
    };
    let stored = Model {
        owner: WHO,
        successor: None,
        job: model,
        base: [1; 32],
        lineage: Default::default(),
        state: [2; 32],
        file_len: 1,
        file_pages: [3; 32],
        terms: Terms::FREE,
        split: ModelSplit::DEFAULT,
        value: 0,
        price_version: 0,
        status: ModelStatus::Listed,
        series: None,
        version: 0,
        minted: 1,
        sem_id: [4; 32],
        run,
    };
    pallet_models::Jobs::<Runtime>::insert(model, job);
    pallet_models::Models::<Runtime>::insert(model, stored);
    pallet_models::NextModel::<Runtime>::put(model + 1);
}

#[test]
fn funnel_should_name_the_models_when_their_runs_had_the_contribution() {
    sp_io::TestExternalities::default().execute_with(|| {
        contribute(true);
        mint(0, NET);
        mint(1, NET + 1);
        mint(2, NET);
        let answer = contribution_funnel(NET, 0).unwrap();
        assert_eq!((answer.funnel.accepted, answer.funnel.snapshot), (20, Some(0)));
        assert_eq!(answer.models, [2, 0]);
        assert!(contribution_funnel(NET, 1).is_none());
    });
}

#[test]
fn funnel_should_name_no_model_when_no_snapshot_holds_the_contribution() {
    sp_io::TestExternalities::default().execute_with(|| {
        contribute(false);
        mint(0, NET);
        let answer = contribution_funnel(NET, 0).unwrap();
        assert_eq!((answer.funnel.snapshot, answer.models), (None, vec![]));
    });
}
