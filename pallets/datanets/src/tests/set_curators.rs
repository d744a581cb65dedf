use crate::{mock::*, types::*, Error, Event};
use frame::testing_prelude::*;

#[test]
fn set_curators_should_replace_the_list_when_owner_calls() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_ok!(Datanets::set_curators(signed(OWNER), id, vec![BOB].try_into().unwrap()));
        assert_eq!(Datanets::curators(id), vec![BOB]);
        assert_eq!(last_event(), Event::Updated { datanet: id });
    });
}

#[test]
fn set_curators_should_refuse_when_caller_is_not_owner() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_noop!(Datanets::set_curators(signed(CURATOR), id, Default::default()), Error::<Test>::NotOwner);
        assert_noop!(Datanets::set_curators(RuntimeOrigin::none(), id, Default::default()), DispatchError::BadOrigin);
    });
}

#[test]
fn set_curators_should_refuse_when_datanet_is_unknown() {
    build_and_execute(|| {
        assert_noop!(Datanets::set_curators(signed(OWNER), 0, Default::default()), Error::<Test>::UnknownDatanet);
    });
}

#[test]
fn set_curators_should_refuse_when_an_account_is_listed_twice() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let twice = vec![ALICE, BOB, ALICE].try_into().unwrap();
        assert_noop!(Datanets::set_curators(signed(OWNER), id, twice), Error::<Test>::DuplicateCurator);
    });
}

#[test]
fn set_curators_should_start_open_votes_again_when_positions_change() {
    build_and_execute(|| {
        // GIVEN one vote of two
        let id = datanet(Rule::Threshold(2));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(accept(&CURATOR, id, n));
        // WHEN the first position passes to another account
        let list = vec![CURATOR_2, CURATOR].try_into().unwrap();
        assert_ok!(Datanets::set_curators(signed(OWNER), id, list));
        // THEN the old vote counts for nobody, and its giver votes again
        assert_ok!(accept(&CURATOR_2, id, n));
        assert_eq!(Datanets::contribution(id, n).unwrap().state, ContributionState::Pending);
        assert_ok!(accept(&CURATOR, id, n));
        assert_eq!(Datanets::contribution(id, n).unwrap().state, ContributionState::Accepted);
    });
}
