//! Base models.

use crate::{pallet::*, types::*};
use codec::DecodeAll;
use frame::{
    prelude::*,
    token::{fungible::hold::Mutate, tokens::Restriction, Fortitude, Precision},
};
use weft_protocol::{hash::Hash, shape::ModelShape};

impl<T: Config> Pallet<T> {
    /// Registers a base model that waits for the registrar.
    pub(crate) fn do_register_base(who: T::AccountId, spec: BaseModelSpec) -> DispatchResult {
        ensure!(!BaseModels::<T>::contains_key(spec.root), Error::<T>::BaseExists);
        Self::check_shape(&spec.shape)?;
        let deposit = Params::<T>::get().base_deposit;
        T::Currency::hold(&HoldReason::BaseDeposit.into(), &who, deposit)?;
        let BaseModelSpec { root, name, shape, tokenizer, template, licence } = spec;
        BaseModels::<T>::insert(
            root,
            BaseModel {
                registrant: Some(who.clone()),
                deposit,
                name,
                shape,
                tokenizer,
                template,
                licence,
                status: BaseStatus::Registered,
            },
        );
        Self::deposit_event(Event::BaseModelRegistered { root, who });
        Ok(())
    }

    /// Opens a registered base model to jobs.
    pub(crate) fn do_activate(root: Hash) -> DispatchResult {
        BaseModels::<T>::try_mutate(root, |base| -> DispatchResult {
            let base = base.as_mut().ok_or(Error::<T>::UnknownBase)?;
            ensure!(base.status == BaseStatus::Registered, Error::<T>::WrongState);
            base.status = BaseStatus::Active;
            Ok(())
        })?;
        Self::deposit_event(Event::BaseModelActive { root });
        Ok(())
    }

    /// Closes a base model: an active one to new jobs, a waiting one for good.
    pub(crate) fn do_retire(root: Hash) -> DispatchResult {
        let mut base = BaseModels::<T>::get(root).ok_or(Error::<T>::UnknownBase)?;
        match base.status {
            BaseStatus::Active => {
                base.status = BaseStatus::Retired;
                BaseModels::<T>::insert(root, base);
                Self::deposit_event(Event::BaseModelRetired { root });
            }
            BaseStatus::Registered => {
                if let Some(who) = base.registrant.filter(|_| base.deposit > 0) {
                    T::Currency::transfer_on_hold(
                        &HoldReason::BaseDeposit.into(),
                        &who,
                        &T::Treasury::get(),
                        base.deposit,
                        Precision::Exact,
                        Restriction::Free,
                        Fortitude::Force,
                    )?;
                }
                BaseModels::<T>::remove(root);
                Self::deposit_event(Event::BaseModelRemoved { root, forfeited: base.deposit });
            }
            BaseStatus::Retired | BaseStatus::Refuted => return Err(Error::<T>::WrongState.into()),
        }
        Ok(())
    }

    /// Writes a base model of genesis, active at once and without a deposit.
    pub(crate) fn put_genesis_base(base: &GenesisBase) -> Result<(), DispatchError> {
        let shape = ModelShape::decode_all(&mut &base.shape.0[..]).map_err(|_| Error::<T>::ShapeOutOfBounds)?;
        Self::check_shape(&shape)?;
        let text = |s: &str| Name::try_from(s.as_bytes().to_vec()).map_err(|_| Error::<T>::ShapeOutOfBounds);
        BaseModels::<T>::insert(
            base.root.0,
            BaseModel {
                registrant: None,
                deposit: 0,
                name: text(&base.name)?,
                shape,
                tokenizer: base.tokenizer.0,
                template: base.template.0,
                licence: text(&base.licence)?,
                status: BaseStatus::Active,
            },
        );
        Ok(())
    }

    fn check_shape(shape: &ModelShape) -> DispatchResult {
        ensure!(shape.is_consistent(), Error::<T>::ShapeOutOfBounds);
        Ok(())
    }
}
