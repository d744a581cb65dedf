//! The interface of Weft's own queries.
//!
//! They are the view functions of the pallets under names that do not change with the signature: what a wallet or a
//! daemon asks before it acts.

#![deny(missing_docs)]

use alloc::vec::Vec;
use codec::Codec;
use pallet_datanets::types::Funnel;
use pallet_models::types::{JobSpec, Quote};
use pallet_permissions::types::Refusal;
use pallet_rewards::types::ClaimStatus;
use weft_traits::{DatanetId, Epoch, JobInput, JobScope, ModelId};

sp_api::decl_runtime_apis! {
    /// What a wallet or a daemon asks before it acts.
    pub trait WeftApi<AccountId>
    where
        AccountId: Codec,
    {
        /// Cost of a job for a builder, and everything that would refuse it.
        fn quote(who: AccountId, spec: JobSpec) -> Quote;

        /// Every reason for which the data of a job would be refused, with its Datanet. Empty: it may run.
        fn check(who: AccountId, scope: JobScope, inputs: Vec<JobInput>) -> Vec<(DatanetId, Refusal)>;

        /// What a leaf of a settlement's part is worth, and whether it was claimed. `paid` is the leaf's share.
        fn claim_status(
            model: ModelId,
            epoch: Epoch,
            part: u32,
            index: u32,
            paid: u128,
        ) -> Option<ClaimStatus>;

        /// How far a contribution has come and why no further.
        fn funnel(datanet: DatanetId, contribution: u32) -> Option<Funnel>;
    }
}
