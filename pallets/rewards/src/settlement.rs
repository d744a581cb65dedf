//! Settlement by training weights: who gets which share of an epoch's fees.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame::prelude::*;
use weft_protocol::{
    run::Part,
    split::{ppm, split},
};
use weft_traits::{
    Amount, AttributionBook, Clock, DatanetId, DatanetInspect, Epoch, LicencePart, LicenceVersion, ModelId,
    ModelInspect, ModelTerms, PartShares, PermissionCheck,
};

/// What `finalise` did, for its weight.
pub(crate) struct Finalised {
    /// Payments made.
    pub(crate) payments: u32,
}

impl<T: Config> Pallet<T> {
    /// Epoch of a model at clock value `now`: 1 + ⌊(now − minted) ÷ length⌋.
    pub(crate) fn epoch_at(minted: u32, now: u32) -> Epoch {
        let age = now.saturating_sub(minted);
        age.checked_div(Parameters::<T>::get().epoch_length.max(1)).unwrap_or(0).saturating_add(1)
    }

    /// First clock value after the epoch; `None` for epoch 0 and for epochs beyond the clock's range.
    pub(crate) fn epoch_end(minted: u32, epoch: Epoch) -> Option<u32> {
        if epoch == 0 {
            return None;
        }
        epoch.checked_mul(Parameters::<T>::get().epoch_length.max(1))?.checked_add(minted)
    }

    /// Settles an epoch that is over, or rolls its fees into the running one when they are below the minimum.
    pub(crate) fn do_finalise(model: ModelId, epoch: Epoch) -> Result<Finalised, DispatchError> {
        ensure!(!Settlements::<T>::contains_key(model, epoch), Error::<T>::AlreadySettled);
        let terms = T::Models::model(model).ok_or(Error::<T>::UnknownModel)?;
        ensure!(epoch > 0, Error::<T>::NothingToSettle);
        let now = T::Clock::now();
        let end = Self::epoch_end(terms.minted, epoch).ok_or(Error::<T>::EpochOpen)?;
        ensure!(now >= end, Error::<T>::EpochOpen);
        let revenue = Revenue::<T>::get(model, epoch);
        let fees = total(&revenue).ok_or(ArithmeticError::Overflow)?;
        ensure!(fees > 0, Error::<T>::NothingToSettle);

        let parameters = Parameters::<T>::get();
        let waited = now >= end.saturating_add(parameters.usage_delay);
        let posted =
            |entry: &OracleFees<_>| entry.fees == 0 || T::Attribution::usage(model, epoch, &entry.oracle).is_some();
        ensure!(waited || revenue.iter().all(posted), Error::<T>::UsageMissing);

        if fees < parameters.minimum {
            return Self::roll(model, epoch, Self::epoch_at(terms.minted, now), &revenue, fees);
        }
        Self::settle(model, epoch, &terms, &revenue, fees)
    }

    /// Moves the fees of an epoch to the running one, which is never settled yet.
    fn roll(
        model: ModelId,
        epoch: Epoch,
        into: Epoch,
        revenue: &[OracleFees<T::AccountId>],
        fees: Amount,
    ) -> Result<Finalised, DispatchError> {
        for entry in revenue {
            let rolled = entry.fees.checked_add(entry.rolled).ok_or(ArithmeticError::Overflow)?;
            Self::add_revenue(model, into, &entry.oracle, 0, rolled)?;
        }
        Settlements::<T>::insert(
            model,
            epoch,
            Settlement {
                kind: SettlementKind::Training,
                fees,
                shares: FeeShares::default(),
                parts: BoundedVec::default(),
                poster: None,
                state: SettlementState::Rolled(into),
            },
        );
        Self::deposit_event(Event::RolledOver { model, epoch, into, fees });
        Ok(Finalised { payments: u32::try_from(revenue.len()).unwrap_or(MAX_ORACLES) })
    }

    /// Splits the fees and pays everybody but the contributors.
    fn settle(
        model: ModelId,
        epoch: Epoch,
        terms: &ModelTerms<T::AccountId>,
        revenue: &[OracleFees<T::AccountId>],
        fees: Amount,
    ) -> Result<Finalised, DispatchError> {
        let weights = T::Attribution::training(model).ok_or(Error::<T>::WeightsMissing)?;
        let [treasury, stakers, owner, oracle, data] = terms.split.split(fees).ok_or(Error::<T>::SumMismatch)?;
        let shares = FeeShares { treasury, stakers, owner, oracle, data };

        let mut payments: Payments<T::AccountId> = Vec::new();
        payments.push((T::Treasury::get(), treasury));
        payments.push((T::StakersPot::get(), stakers));
        payments.push((terms.owner.clone(), owner));

        let by_fees = revenue
            .iter()
            .map(|entry| entry.fees.checked_add(entry.rolled).ok_or(ArithmeticError::Overflow))
            .collect::<Result<Vec<_>, _>>()?;
        let oracle_shares = split(oracle, &by_fees).ok_or(Error::<T>::SumMismatch)?;
        payments.extend(revenue.iter().map(|entry| entry.oracle.clone()).zip(oracle_shares));

        let points: Vec<u128> = weights.parts.iter().map(|part| part.paid).collect();
        let pools = split(data, &points).ok_or(Error::<T>::SumMismatch)?;
        let mut parts = BoundedVec::default();
        for (part, pool) in weights.parts.iter().zip(pools) {
            let version = T::Models::licence_version(model, part.datanet).ok_or(Error::<T>::LicenceMissing)?;
            let part = Self::settle_part(part, version, pool, &mut payments)?;
            parts.try_push(part).map_err(|_| Error::<T>::SumMismatch)?;
        }
        Self::open(model, epoch, fees, shares, parts, payments)
    }

    /// Opens Settlement(model, 0) over the licence prices, which the caller has moved to the pot.
    pub(crate) fn do_licence_paid(model: ModelId, paid: &[LicencePart]) -> DispatchResult {
        ensure!(!Settlements::<T>::contains_key(model, 0), Error::<T>::AlreadySettled);
        let sum = paid.iter().try_fold(0u128, |sum, part| sum.checked_add(part.amount));
        let fees = sum.ok_or(ArithmeticError::Overflow)?;
        if fees == 0 {
            return Ok(());
        }
        let weights = T::Attribution::training(model).ok_or(Error::<T>::WeightsMissing)?;
        let mut payments: Payments<T::AccountId> = Vec::new();
        let mut parts = BoundedVec::default();
        for licence in paid {
            // A Datanet without a part of its own has no leaves: all of its price goes to owner and curators.
            let none = Part { datanet: licence.datanet, leaves: 0, root: Default::default(), pos: 0, neg: 0, paid: 0 };
            let part = weights.parts.iter().find(|part| part.datanet == licence.datanet).unwrap_or(&none);
            let part = Self::settle_part(part, licence.version, licence.amount, &mut payments)?;
            parts.try_push(part).map_err(|_| Error::<T>::SumMismatch)?;
        }
        let shares = FeeShares { data: fees, ..FeeShares::default() };
        Self::open(model, 0, fees, shares, parts, payments).map(|_| ())
    }

    /// Stores a settlement whose claims are open and makes its payments.
    fn open(
        model: ModelId,
        epoch: Epoch,
        fees: Amount,
        shares: FeeShares,
        parts: BoundedVec<SettlementPart, ConstU32<MAX_PARTS>>,
        payments: Payments<T::AccountId>,
    ) -> Result<Finalised, DispatchError> {
        let settlement = Settlement {
            kind: SettlementKind::Training,
            fees,
            shares,
            parts,
            poster: None,
            state: SettlementState::Open,
        };
        Settlements::<T>::insert(model, epoch, settlement);
        let count = u32::try_from(payments.len()).unwrap_or(u32::MAX);
        for (who, amount) in payments {
            Self::pay(&who, amount)?;
        }
        Self::deposit_event(Event::Settled { model, epoch, fees });
        Ok(Finalised { payments: count })
    }

    /// Divides the money of one part by its licence. Contributors of a part without points are paid through the owner,
    /// and so are curators where there are none.
    fn settle_part(
        part: &Part,
        version: LicenceVersion,
        pool: Amount,
        payments: &mut Payments<T::AccountId>,
    ) -> Result<SettlementPart, DispatchError> {
        let datanet: DatanetId = part.datanet;
        let owner_account = T::Datanets::owner(datanet).ok_or(Error::<T>::LicenceMissing)?;
        let curator_accounts = T::Datanets::curators(datanet);
        let PartShares { contributors, owner, curators } =
            T::Permissions::shares(datanet, version).ok_or(Error::<T>::LicenceMissing)?;
        let [mut contributors, mut owner, mut curators] =
            ppm(pool, &[contributors, owner, curators]).ok_or(Error::<T>::SumMismatch)?;
        if part.paid == 0 || part.leaves == 0 {
            owner = owner.checked_add(contributors).ok_or(ArithmeticError::Overflow)?;
            contributors = 0;
        }
        if curator_accounts.is_empty() {
            owner = owner.checked_add(curators).ok_or(ArithmeticError::Overflow)?;
            curators = 0;
        }
        payments.push((owner_account, owner));
        if curators > 0 {
            let equal: Vec<u128> = curator_accounts.iter().map(|_| 1).collect();
            let each = split(curators, &equal).ok_or(Error::<T>::SumMismatch)?;
            payments.extend(curator_accounts.into_iter().zip(each));
        }
        Ok(SettlementPart {
            datanet,
            contributors,
            owner,
            curators,
            root: part.root,
            scores: (part.pos, part.neg),
            leaves: part.leaves,
            paid: part.paid,
            claimed_leaves: 0,
            claimed: 0,
        })
    }
}
