//! Tests by concern.

mod budgets;
mod claims;
mod genesis;
mod invariants;
mod keys;
mod licence;
mod origins;
mod properties;
mod redeem;
mod scenarios;
mod settlement;

use crate::{mock::*, types::*, Error, Event};
use frame::testing_prelude::*;
use weft_protocol::sum_tree;
use weft_traits::RevenueSink;

/// The call's origin.
fn signed(who: frame::deps::sp_runtime::AccountId32) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}
