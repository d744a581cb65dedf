//! How long a slot, an epoch and an era last: set in genesis, never changed afterwards.
//!
//! One WebAssembly blob serves a development chain with slots of half a second and a production chain with slots of
//! six. The pallet has no calls. Changing a value of a running chain would stop it: BABE checks every timestamp
//! against the length of a slot, and a client reads the length of an epoch once, at start.
//!
//! The values live in storage, so they exist only inside externalities: reading metadata or constants outside of
//! them fails, and `integrity_test` must not read them.

#![deny(missing_docs)]

pub use pallet::*;

use frame_support::traits::Get;
use sp_staking::SessionIndex;

/// Shortest slot in milliseconds: below, block production and gossip of a slot no longer fit into it.
pub const MIN_SLOT_MS: u64 = 500;

#[frame_support::pallet]
#[allow(missing_docs, reason = "the pallet macro generates items without docs")]
pub mod pallet {
    use super::MIN_SLOT_MS;
    use frame_support::pallet_prelude::*;
    use sp_staking::SessionIndex;

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// It needs nothing but the system.
    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// Length of a slot where genesis says nothing: 6 s.
    #[pallet::type_value]
    pub fn DefaultSlotDuration() -> u64 {
        6_000
    }

    /// Length of an epoch where genesis says nothing: 2,400 slots, the least that gives entropy in every epoch.
    #[pallet::type_value]
    pub fn DefaultEpochDuration() -> u64 {
        2_400
    }

    /// Length of an era where genesis says nothing: six sessions.
    #[pallet::type_value]
    pub fn DefaultSessionsPerEra() -> SessionIndex {
        6
    }

    /// Length of a slot in milliseconds.
    ///
    /// - Value: milliseconds, even, at least [`MIN_SLOT_MS`]
    #[pallet::storage]
    pub type SlotDuration<T> = StorageValue<_, u64, ValueQuery, DefaultSlotDuration>;

    /// Length of an epoch, which is also a session.
    ///
    /// - Value: slots, at least one
    #[pallet::storage]
    pub type EpochDuration<T> = StorageValue<_, u64, ValueQuery, DefaultEpochDuration>;

    /// Length of an era.
    ///
    /// - Value: sessions, at least one
    #[pallet::storage]
    pub type SessionsPerEra<T> = StorageValue<_, SessionIndex, ValueQuery, DefaultSessionsPerEra>;

    /// The lengths a chain starts with.
    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Length of a slot in milliseconds: even, at least [`MIN_SLOT_MS`].
        pub slot_duration: u64,
        /// Length of an epoch in slots, at least one.
        pub epoch_duration: u64,
        /// Length of an era in sessions, at least one.
        pub sessions_per_era: SessionIndex,
        /// The runtime it belongs to.
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                slot_duration: DefaultSlotDuration::get(),
                epoch_duration: DefaultEpochDuration::get(),
                sessions_per_era: DefaultSessionsPerEra::get(),
                _config: Default::default(),
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.slot_duration >= MIN_SLOT_MS, "chainParams.slotDuration must be at least {MIN_SLOT_MS} ms");
            // `pallet-timestamp` keeps half a slot as its minimum period; an odd slot would lose a millisecond.
            assert!(self.slot_duration & 1 == 0, "chainParams.slotDuration must be an even number of milliseconds");
            assert!(self.epoch_duration > 0, "chainParams.epochDuration must be at least one slot");
            assert!(self.sessions_per_era > 0, "chainParams.sessionsPerEra must be at least one session");
            SlotDuration::<T>::put(self.slot_duration);
            EpochDuration::<T>::put(self.epoch_duration);
            SessionsPerEra::<T>::put(self.sessions_per_era);
        }
    }
}

/// Length of a slot in milliseconds, the expected time between two blocks.
pub struct SlotMs<T>(core::marker::PhantomData<T>);
impl<T: Config> Get<u64> for SlotMs<T> {
    fn get() -> u64 {
        SlotDuration::<T>::get()
    }
}

/// Half a slot in milliseconds, as `pallet-timestamp` wants it.
pub struct HalfSlotMs<T>(core::marker::PhantomData<T>);
impl<T: Config> Get<u64> for HalfSlotMs<T> {
    fn get() -> u64 {
        SlotDuration::<T>::get() / 2
    }
}

/// Length of an epoch in slots.
pub struct EpochSlots<T>(core::marker::PhantomData<T>);
impl<T: Config> Get<u64> for EpochSlots<T> {
    fn get() -> u64 {
        EpochDuration::<T>::get()
    }
}

/// Length of an era in sessions.
pub struct EraSessions<T>(core::marker::PhantomData<T>);
impl<T: Config> Get<SessionIndex> for EraSessions<T> {
    fn get() -> SessionIndex {
        SessionsPerEra::<T>::get()
    }
}

/// `Eras` eras in slots: how long an equivocation can be reported.
pub struct ErasInSlots<T, Eras>(core::marker::PhantomData<(T, Eras)>);
impl<T: Config, Eras: Get<u32>> Get<u64> for ErasInSlots<T, Eras> {
    fn get() -> u64 {
        u64::from(Eras::get())
            .saturating_mul(u64::from(SessionsPerEra::<T>::get()))
            .saturating_mul(EpochDuration::<T>::get())
    }
}

/// `Eras` eras in sessions: how long the sessions of GRANDPA's authority sets are remembered.
pub struct ErasInSessions<T, Eras>(core::marker::PhantomData<(T, Eras)>);
impl<T: Config, Eras: Get<u32>> Get<u64> for ErasInSessions<T, Eras> {
    fn get() -> u64 {
        u64::from(Eras::get()).saturating_mul(u64::from(SessionsPerEra::<T>::get()))
    }
}
