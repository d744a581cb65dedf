//! Claims: Merkle-sum proofs of contributors' leaves, and payments out of the pot.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame::prelude::*;
use fungible::{Inspect as _, Mutate as _};
use tokens::{DepositConsequence, Preservation, Provenance};
use weft_protocol::sum_tree::{self, OwnerLeaf, SumNode, Sums};
use weft_traits::{Amount, Epoch, ModelId};

impl<T: Config> Pallet<T> {
    /// Claims one leaf.
    pub(crate) fn do_claim(
        model: ModelId,
        epoch: Epoch,
        part: u32,
        index: u32,
        leaf: OwnerLeaf,
        path: &[SumNode],
    ) -> DispatchResult {
        Self::claim_under(model, epoch, part, &[(index, leaf)], |root, count, leaves| {
            leaves.iter().all(|(index, leaf)| sum_tree::verify(root, count, *index, leaf, path))
        })
    }

    /// Claims several leaves of one part under one proof.
    pub(crate) fn do_claim_many(
        model: ModelId,
        epoch: Epoch,
        part: u32,
        leaves: &[(u32, OwnerLeaf)],
        multiproof: &[SumNode],
    ) -> DispatchResult {
        Self::claim_under(model, epoch, part, leaves, |root, count, leaves| {
            sum_tree::verify_multi(root, count, leaves, multiproof)
        })
    }

    /// Checks that the leaves belong to the part and `holds` under its root, then pays each of them once.
    fn claim_under(
        model: ModelId,
        epoch: Epoch,
        position: u32,
        leaves: &[(u32, OwnerLeaf)],
        holds: impl FnOnce(&SumNode, u32, &[(u32, OwnerLeaf)]) -> bool,
    ) -> DispatchResult {
        let mut settlement = Settlements::<T>::get(model, epoch).ok_or(Error::<T>::NotSettled)?;
        ensure!(settlement.state == SettlementState::Open, Error::<T>::InWindow);
        let at = usize::try_from(position).map_err(|_| Error::<T>::PartUnknown)?;
        let part = settlement.parts.get_mut(at).ok_or(Error::<T>::PartUnknown)?;
        ensure!(part.contributors > 0, Error::<T>::NothingToClaim);

        let (pos, neg) = part.scores;
        let root = SumNode { hash: part.root, sums: Sums { pos, neg, paid: part.paid } };
        // Training weights hold nothing back: a leaf with held units is of another tree.
        let fits = |leaf: &OwnerLeaf| leaf.datanet == part.datanet && leaf.held == 0;
        ensure!(!leaves.is_empty() && leaves.iter().all(|(_, leaf)| fits(leaf)), Error::<T>::ProofMismatch);
        ensure!(holds(&root, part.leaves, leaves), Error::<T>::ProofMismatch);

        let mut payments: Payments<T::AccountId> = Vec::new();
        for (index, leaf) in leaves {
            let who = T::AccountId::from(leaf.owner);
            if Self::is_claimed(model, epoch, position, *index) {
                // The leaf has nothing left, but its owner may be able to take now what it could not take then.
                ensure!(Self::collect(&who)?, Error::<T>::AlreadyClaimed);
                continue;
            }
            Self::set_bit(model, epoch, position, *index)?;
            let amount = part.due(leaf.paid).ok_or(Error::<T>::ProofMismatch)?;
            part.claimed = part.claimed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
            part.claimed_leaves = part.claimed_leaves.checked_add(1).ok_or(ArithmeticError::Overflow)?;
            Self::deposit_event(Event::Claimed {
                model,
                epoch,
                part: position,
                index: *index,
                who: who.clone(),
                amount,
            });
            payments.push((who, amount));
        }
        // Also when nothing new was claimed: then the dust is 0.
        if part.claimed_leaves == part.leaves {
            let dust = part.unclaimed().ok_or(Error::<T>::SumMismatch)?;
            part.claimed = part.contributors;
            payments.push((T::Treasury::get(), dust));
        }
        ensure!(part.claimed <= part.contributors, Error::<T>::SumMismatch);
        Settlements::<T>::insert(model, epoch, settlement);
        payments.iter().try_for_each(|(who, amount)| Self::pay(who, *amount))
    }

    /// Marks a leaf as claimed.
    fn set_bit(model: ModelId, epoch: Epoch, part: u32, index: u32) -> DispatchResult {
        ClaimedBits::<T>::try_mutate((model, epoch, part, index / CHUNK_LEAVES), |bits| {
            bits.set_due(index).ok_or(Error::<T>::AlreadyClaimed.into())
        })
    }

    /// Whether a leaf is claimed.
    pub(crate) fn is_claimed(model: ModelId, epoch: Epoch, part: u32, index: u32) -> bool {
        ClaimedBits::<T>::get((model, epoch, part, index / CHUNK_LEAVES)).is_due_set(index)
    }

    /// Pays `amount` and what the account was owed from the pot. What it cannot take yet, being below the existential
    /// deposit, stays in the pot and is owed.
    pub(crate) fn pay(who: &T::AccountId, amount: Amount) -> DispatchResult {
        let owed = Owed::<T>::get(who);
        let due = owed.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
        if due == 0 {
            return Ok(());
        }
        if T::Currency::can_deposit(who, due, Provenance::Extant) == DepositConsequence::Success {
            T::Currency::transfer(&T::RevenuePot::get(), who, due, Preservation::Preserve)?;
            Owed::<T>::remove(who);
            if owed > 0 {
                Self::deposit_event(Event::Collected { who: who.clone(), amount: owed });
            }
        } else if amount > 0 {
            Owed::<T>::insert(who, due);
            Self::deposit_event(Event::Deferred { who: who.clone(), owed: due });
        }
        Ok(())
    }

    /// Pays what the account was owed; whether that was something and could be paid.
    fn collect(who: &T::AccountId) -> Result<bool, DispatchError> {
        let owed = Owed::<T>::get(who);
        Self::pay(who, 0)?;
        Ok(owed > 0 && !Owed::<T>::contains_key(who))
    }
}
