//! What a job needs of a grant, and every reason for which it is refused.

use crate::{
    types::{Approval, Grant, GrantState, Licence, Refusal, Scope, SnapshotRange, Terms},
    Config, Current, Error, Grants, Licences, Pallet,
};
use alloc::vec::Vec;
use frame::prelude::*;
use weft_traits::{Clock, DatanetId, DatanetInspect, GrantRef, JobInput, JobScope, LicenceVersion};

impl<T: Config> From<Refusal> for Error<T> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InputsUnordered => Self::InputsUnordered,
            Refusal::UnknownDatanet => Self::UnknownDatanet,
            Refusal::DatanetClosed => Self::DatanetClosed,
            Refusal::NoLicence => Self::NoLicence,
            Refusal::StaleVersion => Self::StaleVersion,
            Refusal::PriceAboveMax => Self::PriceAboveMax,
            Refusal::NotAllowed => Self::NotAllowed,
            Refusal::ScopeTooWide => Self::ScopeTooWide,
            Refusal::UnknownGrant => Self::UnknownGrant,
            Refusal::GrantNotActive => Self::GrantNotActive,
            Refusal::PurposeForbidden => Self::PurposeForbidden,
            Refusal::WrongBaseModel => Self::WrongBaseModel,
            Refusal::WrongProgram => Self::WrongProgram,
            Refusal::SnapshotOutOfRange => Self::SnapshotOutOfRange,
            Refusal::GrantExpired => Self::GrantExpired,
            Refusal::GrantExhausted => Self::GrantExhausted,
            Refusal::TermsConflict => Self::TermsConflict,
        }
    }
}

/// The first refusal as an error, if there is any.
pub(crate) fn first<T: Config>(refusals: &[Refusal]) -> DispatchResult {
    refusals.first().map_or(Ok(()), |refusal| Err(Error::<T>::from(*refusal).into()))
}

impl<T: Config> Pallet<T> {
    /// Every reason for which the job of `who` would be refused, with the Datanet concerned.
    pub(crate) fn refusals(who: &T::AccountId, scope: &JobScope, inputs: &[JobInput]) -> Vec<(DatanetId, Refusal)> {
        let mut found = Vec::new();
        let mut last = None;
        for input in inputs {
            if last.is_some_and(|before| before >= input.datanet) {
                found.push((input.datanet, Refusal::InputsUnordered));
            }
            last = Some(input.datanet);
            let reasons = match &input.grant {
                GrantRef::Held(id) => match Grants::<T>::get(id) {
                    Some(grant) => Self::use_refusals(who, scope, input, &grant),
                    None => alloc::vec![Refusal::UnknownGrant],
                },
                GrantRef::Acquire { version, max_price, purpose, uses } => {
                    Self::acquire_and_use_refusals(who, scope, input, *version, *max_price, *purpose, *uses)
                }
            };
            found.extend(reasons.into_iter().map(|reason| (input.datanet, reason)));
        }
        found
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a grant reference beside its job")]
    fn acquire_and_use_refusals(
        who: &T::AccountId,
        scope: &JobScope,
        input: &JobInput,
        version: LicenceVersion,
        max_price: u128,
        purpose: u16,
        uses: u32,
    ) -> Vec<Refusal> {
        let licence = match Self::offered(input.datanet, version) {
            Ok(licence) => licence,
            Err(reason) => return alloc::vec![reason],
        };
        let asked = Self::whole_scope(&licence.terms, purpose, uses);
        let mut reasons = Self::acquire_refusals(who, input.datanet, version, max_price, &asked, &licence);
        let grant = Self::grant_of(who, input.datanet, version, &asked, &licence.terms, 0);
        for reason in Self::use_refusals(who, scope, input, &grant) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// A version of a Datanet's licence, whether it is the current one or not.
    pub(crate) fn offered(datanet: DatanetId, version: LicenceVersion) -> Result<Licence<T::AccountId>, Refusal> {
        if T::Datanets::owner(datanet).is_none() {
            return Err(Refusal::UnknownDatanet);
        }
        if !Current::<T>::contains_key(datanet) {
            return Err(Refusal::NoLicence);
        }
        // A version that does not exist is as little the current one as a replaced one.
        Licences::<T>::get(datanet, version).ok_or(Refusal::StaleVersion)
    }

    /// Every reason against a grant of `version` to `who`.
    pub(crate) fn acquire_refusals(
        who: &T::AccountId,
        datanet: DatanetId,
        version: LicenceVersion,
        max_price: u128,
        asked: &Scope,
        licence: &Licence<T::AccountId>,
    ) -> Vec<Refusal> {
        let terms = &licence.terms;
        let now = T::Clock::now();
        let owner = T::Datanets::owner(datanet);
        // An owner counts as listed.
        let listed = terms.approval == Approval::Open || owner.as_ref() == Some(who);
        let end = Self::latest_end(terms);
        let too_long = asked.expiry.is_some_and(|asked| end.is_some_and(|end| asked > end));
        let too_wide = asked.uses > terms.max_uses
            || asked.uses == 0
            || too_long
            || !terms.base_models.covers(&asked.base_models)
            || !terms.programs.covers(&asked.programs);
        let reasons = [
            (owner.is_none(), Refusal::UnknownDatanet),
            (!T::Datanets::is_open(datanet), Refusal::DatanetClosed),
            (Current::<T>::get(datanet) != Some(version), Refusal::StaleVersion),
            (!listed, Refusal::NotAllowed),
            (terms.price > max_price, Refusal::PriceAboveMax),
            (!terms.permits(asked.purposes), Refusal::PurposeForbidden),
            (asked.snapshots.first > asked.snapshots.last, Refusal::SnapshotOutOfRange),
            (asked.expiry.is_some_and(|asked| asked <= now), Refusal::GrantExpired),
            (too_wide, Refusal::ScopeTooWide),
        ];
        reasons.into_iter().filter_map(|(refused, reason)| refused.then_some(reason)).collect()
    }

    /// Every reason against using `grant` for this input of the job.
    pub(crate) fn use_refusals(
        who: &T::AccountId,
        scope: &JobScope,
        input: &JobInput,
        grant: &Grant<T::AccountId>,
    ) -> Vec<Refusal> {
        let Some(licence) = Licences::<T>::get(grant.datanet, grant.version) else {
            return alloc::vec![Refusal::NoLicence];
        };
        let taken = T::Datanets::snapshot(input.datanet, input.snapshot).is_some();
        let reasons = [
            (grant.datanet != input.datanet || grant.consumer != *who, Refusal::NotAllowed),
            (grant.state != GrantState::Active, Refusal::GrantNotActive),
            (scope.purpose & !grant.purposes != 0, Refusal::PurposeForbidden),
            (!taken || !grant.snapshots.contains(input.snapshot), Refusal::SnapshotOutOfRange),
            (!grant.base_models.permits(&scope.base_root), Refusal::WrongBaseModel),
            (!grant.programs.permits(&scope.program), Refusal::WrongProgram),
            (grant.expiry.is_some_and(|end| end <= scope.deadline), Refusal::GrantExpired),
            (grant.left == 0, Refusal::GrantExhausted),
            (!licence.terms.fits(scope.attributed), Refusal::TermsConflict),
        ];
        reasons.into_iter().filter_map(|(refused, reason)| refused.then_some(reason)).collect()
    }

    /// The widest scope of a licence for these purposes and uses.
    pub(crate) fn whole_scope(terms: &Terms<T::AccountId>, purposes: u16, uses: u32) -> Scope {
        Scope {
            purposes,
            uses,
            snapshots: SnapshotRange::ALL,
            base_models: terms.base_models.clone(),
            programs: terms.programs.clone(),
            expiry: None,
        }
    }

    /// Last clock value of a grant given now.
    pub(crate) fn latest_end(terms: &Terms<T::AccountId>) -> Option<u32> {
        terms.duration.map(|blocks| T::Clock::now().saturating_add(blocks))
    }
}
