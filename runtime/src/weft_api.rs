//! The interface of Weft's own queries.
//!
//! They are the view functions of the pallets under names that do not change with the signature: what a wallet or a
//! daemon asks before it acts.

#![deny(missing_docs)]

use crate::{Datanets, Runtime};
use alloc::vec::Vec;
use codec::{Codec, Decode, Encode};
use pallet_datanets::types::Funnel;
use pallet_models::types::{JobSpec, Quote};
use pallet_permissions::types::Refusal;
use pallet_rewards::types::ClaimStatus;
use scale_info::TypeInfo;
use weft_traits::{DatanetId, Epoch, JobInput, JobScope, ModelId, SnapshotIndex};

/// Models that one answer of `funnel` looks at, the newest first: it has no weight that would bound it.
pub const MAX_MODELS: u32 = 4_096;

/// How far a contribution has come: to the Datanet's snapshots, and to models.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct ContributionFunnel {
    /// From its reveal to a snapshot, and why no further.
    pub funnel: Funnel,
    /// Models whose run had a snapshot that holds it, of the newest [`MAX_MODELS`], the newest first.
    pub models: Vec<ModelId>,
}

/// How far a contribution has come, if it exists.
pub fn contribution_funnel(datanet: DatanetId, contribution: u32) -> Option<ContributionFunnel> {
    let funnel = Datanets::funnel(datanet, contribution)?;
    let models = funnel.snapshot.map_or_else(Vec::new, |first| {
        let end = pallet_models::NextModel::<Runtime>::get();
        (end.saturating_sub(MAX_MODELS)..end).rev().filter(|model| is_trained_on(*model, datanet, first)).collect()
    });
    Some(ContributionFunnel { funnel, models })
}

/// Whether a model's run had the Datanet's snapshot `first` or a later one.
fn is_trained_on(model: ModelId, datanet: DatanetId, first: SnapshotIndex) -> bool {
    pallet_models::Models::<Runtime>::get(model)
        .and_then(|stored| pallet_models::Jobs::<Runtime>::get(stored.job))
        .is_some_and(|job| job.inputs.iter().any(|input| input.datanet == datanet && input.snapshot >= first))
}

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

        /// How far a contribution has come, in which models it is, and why no further.
        fn funnel(datanet: DatanetId, contribution: u32) -> Option<ContributionFunnel>;
    }
}
