use crate::{mock::*, types::*, HoldReason, Params};
use frame::testing_prelude::*;

#[test]
fn deposits_should_be_the_stored_parameters_when_those_change() {
    build_and_execute(|| {
        assert_eq!(Params::<Test>::get(), Parameters::default());
        Params::<Test>::put(Parameters { licence_deposit: 3 * WEFT, grant_deposit: 2 * WEFT });
        let id = granted();
        assert_eq!(held(HoldReason::Licence, &OWNER), 3 * WEFT);
        assert_eq!(held(HoldReason::Grant, &BUILDER), 2 * WEFT);
        // What was held is what is freed, whatever the parameters say then.
        Params::<Test>::put(Parameters { licence_deposit: WEFT, grant_deposit: WEFT });
        assert_ok!(Permissions::revoke(signed(OWNER), id, Cause::Breach));
        assert_eq!(free(&BUILDER), START);
    });
}

#[test]
fn genesis_should_store_its_parameters() {
    let params = Parameters { licence_deposit: 5, grant_deposit: 6 };
    let genesis = crate::GenesisConfig::<Test> { params: params.clone(), ..Default::default() };
    let storage = genesis.build_storage().unwrap();
    TestState::from(storage).execute_with(|| assert_eq!(Params::<Test>::get(), params));
}
