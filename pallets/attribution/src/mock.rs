//! A runtime with this pallet, one model and a table of fees.

use crate as pallet_attribution;
use crate::pallet::GenesisConfig;
use frame::{deps::sp_runtime::AccountId32, testing_prelude::*};
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::split::ModelSplit;
use weft_traits::{
    Amount, DatanetId, Epoch, LicencePart, LicenceVersion, ModelId, ModelInspect, ModelTerms, RevenueSink,
};

#[frame_construct_runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(44)]
    pub type Attribution = pallet_attribution;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = MockBlock<Test>;
}

#[derive_impl(crate::config_preludes::TestDefaultConfig)]
impl crate::Config for Test {
    type Models = Models;
    type Revenue = Fees;
}

/// The oracle of [`MODEL`].
pub(crate) const ORACLE: AccountId32 = AccountId32::new([1; 32]);
/// An account without a role.
pub(crate) const STRANGER: AccountId32 = AccountId32::new([2; 32]);
/// The model.
pub(crate) const MODEL: ModelId = 3;
/// A model that does not exist.
pub(crate) const NO_MODEL: ModelId = 4;

/// Models: [`MODEL`], run by [`ORACLE`].
pub struct Models;
impl ModelInspect<AccountId32> for Models {
    fn model(model: ModelId) -> Option<ModelTerms<AccountId32>> {
        (model == MODEL).then_some(ModelTerms {
            owner: STRANGER,
            oracle: ORACLE,
            split: ModelSplit::DEFAULT,
            minted: 0,
            sem_id: [0; 32],
            listed: true,
        })
    }
    fn prices(_: ModelId, _: u32) -> Option<(Amount, Amount)> {
        None
    }
    fn licence_version(_: ModelId, _: DatanetId) -> Option<LicenceVersion> {
        None
    }
}

parameter_types! {
    /// Redeemed fees.
    pub static Redeemed: BTreeMap<(ModelId, Epoch, AccountId32), Amount> = BTreeMap::new();
    /// Settled epochs.
    pub static Settled: BTreeSet<(ModelId, Epoch)> = BTreeSet::new();
    /// The running epoch of every model.
    pub static Running: Epoch = 1;
}

/// Fees by table.
pub struct Fees;
impl RevenueSink<AccountId32> for Fees {
    fn pot() -> AccountId32 {
        STRANGER
    }
    fn licence_paid(_: ModelId, _: &[LicencePart]) -> DispatchResult {
        Ok(())
    }
    fn redeemed(model: ModelId, epoch: Epoch, oracle: &AccountId32) -> Amount {
        Redeemed::get().get(&(model, epoch, oracle.clone())).copied().unwrap_or(0)
    }
    fn settled(model: ModelId, epoch: Epoch) -> bool {
        Settled::get().contains(&(model, epoch))
    }
    fn epoch_over(_: ModelId, epoch: Epoch) -> bool {
        epoch > 0 && epoch < Running::get()
    }
}

/// Lets an oracle redeem fees.
pub(crate) fn redeem(epoch: Epoch, oracle: AccountId32, fees: Amount) {
    Redeemed::mutate(|table| *table.entry((MODEL, epoch, oracle)).or_default() += fees);
}

/// Runs a test and checks every invariant after it.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    Redeemed::set(BTreeMap::new());
    Settled::set(BTreeSet::new());
    Running::set(1);
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    GenesisConfig::<Test>::default().assimilate_storage(&mut storage).unwrap();
    let mut state = TestState::new(storage);
    state.execute_with(|| {
        System::set_block_number(1);
        test();
        Attribution::do_try_state().unwrap();
    });
}

/// Asserts that the state is broken in the way `because` says, then forgets the state.
pub(crate) fn expect_broken(because: &str, test: impl FnOnce()) {
    let mut state = TestState::new(frame_system::GenesisConfig::<Test>::default().build_storage().unwrap());
    state.execute_with(|| {
        test();
        let refused = Attribution::do_try_state().unwrap_err();
        assert!(matches!(refused, DispatchError::Other(message) if message.starts_with(because)), "{refused:?}");
    });
}
