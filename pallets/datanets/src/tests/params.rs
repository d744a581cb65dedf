use crate::{mock::*, types::*, HoldReason, Params};
use frame::testing_prelude::*;

fn other() -> Parameters {
    Parameters {
        datanet_deposit: 2 * WEFT,
        commit_deposit: 3 * WEFT,
        storage_deposit: 4 * WEFT,
        risk_deposit: 5 * WEFT,
        commit_window: 7,
        duplicate_window: 9,
        snapshot_interval: 11,
        commits_per_day: 13,
    }
}

#[test]
fn deposits_and_windows_should_be_the_stored_parameters_when_those_change() {
    build_and_execute(|| {
        assert_eq!(Params::<Test>::get(), Parameters::default());
        Params::<Test>::put(other());
        let id = datanet(Rule::Owner);
        assert_eq!(held(HoldReason::Datanet, &OWNER), 2 * WEFT);
        commit(&BOB, id, root(2));
        assert_eq!(held(HoldReason::Commit, &BOB), 3 * WEFT);
        let n = contribute(&ALICE, id, root(1));
        assert_eq!((held(HoldReason::Storage, &ALICE), held(HoldReason::Risk, &ALICE)), (4 * WEFT, 5 * WEFT));
        assert_ok!(accept(&OWNER, id, n));
        let accepted_at = u32::try_from(System::block_number()).unwrap();
        assert_eq!(Datanets::funnel(id, n).unwrap().risk_free_at, Some(accepted_at + 9));
        // BOB's window of seven blocks is over: the next call forfeits what was held then.
        advance(8);
        Params::<Test>::mutate(|params| params.commit_deposit = WEFT);
        commit(&ALICE, id, root(3));
        assert_eq!(free(&BOB), START - 3 * WEFT);
    });
}

#[test]
fn genesis_should_store_its_parameters() {
    let genesis = crate::GenesisConfig::<Test> { params: other(), ..Default::default() };
    let storage = genesis.build_storage().unwrap();
    TestState::from(storage).execute_with(|| assert_eq!(Params::<Test>::get(), other()));
}
