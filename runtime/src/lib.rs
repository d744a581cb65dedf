//! The runtime of the Weft chain: which pallets it has, how they are configured and what it serves to the node.
//!
//! | File | Holds |
//! |---|---|
//! | [`chain_params`] | slot, epoch and era lengths, set once at genesis |
//! | [`configs`] | one file per group of pallets with their configuration |
//! | [`fees`] | where transaction fees, tips and dust go |
//! | [`presets`] | the genesis presets `development`, `local_testnet` and `production` |
//! | [`apis`] | the runtime interfaces |
//! | [`weft_api`] | the interface of Weft's own queries |
//!
//! Pallet indices are permanent: they decide the encoding of calls, events and errors, and the order of hooks and
//! of genesis.

#![cfg_attr(not(feature = "std"), no_std)]
// The tuple of transaction extensions and the table of pallets nest deeper than the default.
#![recursion_limit = "512"]
#![allow(deprecated, reason = "the macros of the SDK expand to items that it has deprecated")]
#![allow(
    missing_docs,
    reason = "the macros that compose the runtime generate items without docs; modules that are ours alone deny it again"
)]
#![allow(unsafe_code, reason = "the exported symbols of the WebAssembly blob are `no_mangle`")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "the macros that compose the runtime expand to them; our own code here only configures pallets"
)]

extern crate alloc;

#[cfg(feature = "wasm")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

/// The blob is built only with feature `wasm`.
#[cfg(all(feature = "std", not(feature = "wasm")))]
pub const WASM_BINARY: Option<&[u8]> = None;

pub mod apis;
pub mod chain_params;
pub mod configs;
pub mod fees;
pub mod presets;
pub mod weft_api;

use alloc::{borrow::Cow, vec::Vec};
pub use apis::RuntimeApi;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// A signature of a transaction: Sr25519, Ed25519 or ECDSA.
pub type Signature = MultiSignature;
/// An account: 32 bytes derived from a public key.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount in the smallest unit; 10^12 units are one WEFT.
pub type Balance = u128;
/// Number of transactions an account has sent.
pub type Nonce = u32;
/// Number of a block.
pub type BlockNumber = u32;
/// Hash of a block, an extrinsic or a state root.
pub type Hash = sp_core::H256;
/// How a transaction names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// Header of a block.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// A block with its justification.
pub type SignedBlock = generic::SignedBlock<Block>;
/// What names a block: hash or number.
pub type BlockId = generic::BlockId<Block>;
/// A transaction as it travels.
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What a signer signs.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// The transaction extensions. Names and order are an interface of wallets; none of them is Weft's own.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_skip_feeless_payment::SkipCheckIfFeeless<
        Runtime,
        pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    >,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// Runs blocks: dispatches to the pallets in the order of their indices.
pub type Executive =
    frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

/// One WEFT in the smallest unit.
pub const WEFT: Balance = 1_000_000_000_000;
/// A thousandth of a WEFT.
pub const MILLI_WEFT: Balance = WEFT / 1_000;
/// A millionth of a WEFT.
pub const MICRO_WEFT: Balance = WEFT / 1_000_000;
/// What an account must hold to exist.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_WEFT;
/// Prefix of addresses in SS58 form.
pub const SS58_PREFIX: u16 = 42;

/// Types that a node can use without knowing how calls are encoded.
pub mod opaque {
    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    use super::{generic, BlakeTwo256, BlockNumber};

    /// Header of a block.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// A block whose transactions are bytes.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
    /// What names a block: hash or number.
    pub type BlockId = generic::BlockId<Block>;
}

impl_opaque_keys! {
    /// The keys with which a validator takes part in consensus.
    pub struct SessionKeys {
        /// Signs blocks and draws slots.
        pub babe: Babe,
        /// Votes on finality.
        pub grandpa: Grandpa,
    }
}

/// Name and versions of this runtime.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("weft"),
    impl_name: Cow::Borrowed("weft-node"),
    authoring_version: 1,
    spec_version: 1,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// The metadata that the chain client is generated from: version 16, which has the view functions, without its length
/// prefix.
///
/// It is made inside externalities, because constants are read from storage; so they are those of a default genesis.
/// A client reads constants from its node.
#[cfg(feature = "std")]
pub fn native_metadata() -> Vec<u8> {
    sp_io::TestExternalities::default()
        .execute_with(|| Runtime::metadata_at_version(16))
        .map(|opaque| (*opaque).clone())
        .unwrap_or_default()
}

#[frame_support::runtime]
mod runtime {
    /// The runtime: all pallets with their configuration.
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system::Pallet<Runtime>;

    // Before everything that reads the length of a slot at genesis.
    #[runtime::pallet_index(1)]
    pub type ChainParams = crate::chain_params::Pallet<Runtime>;

    // Before Timestamp: it checks the slot of the timestamp.
    #[runtime::pallet_index(2)]
    pub type Babe = pallet_babe::Pallet<Runtime>;

    #[runtime::pallet_index(3)]
    pub type Timestamp = pallet_timestamp::Pallet<Runtime>;

    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances::Pallet<Runtime>;

    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;

    #[runtime::pallet_index(6)]
    pub type Authorship = pallet_authorship::Pallet<Runtime>;

    // Before Session: its genesis reads the stakers.
    #[runtime::pallet_index(7)]
    pub type Staking = pallet_staking::Pallet<Runtime>;

    #[runtime::pallet_index(8)]
    pub type Offences = pallet_offences::Pallet<Runtime>;

    #[runtime::pallet_index(9)]
    pub type Historical = pallet_session::historical::Pallet<Runtime>;

    #[runtime::pallet_index(10)]
    pub type Session = pallet_session::Pallet<Runtime>;

    #[runtime::pallet_index(11)]
    pub type Grandpa = pallet_grandpa::Pallet<Runtime>;

    #[runtime::pallet_index(12)]
    pub type Utility = pallet_utility::Pallet<Runtime>;

    #[runtime::pallet_index(13)]
    pub type Sudo = pallet_sudo::Pallet<Runtime>;

    #[runtime::pallet_index(14)]
    pub type SkipFeelessPayment = pallet_skip_feeless_payment::Pallet<Runtime>;

    // 15 to 39 are kept for multisig, proxy, preimage, scheduler, governance, treasury and safe mode.

    #[runtime::pallet_index(40)]
    pub type Datanets = pallet_datanets::Pallet<Runtime>;

    #[runtime::pallet_index(41)]
    pub type Permissions = pallet_permissions::Pallet<Runtime>;

    #[runtime::pallet_index(42)]
    pub type Models = pallet_models::Pallet<Runtime>;

    #[runtime::pallet_index(43)]
    pub type ComputeOracles = pallet_compute_oracles::Pallet<Runtime>;

    #[runtime::pallet_index(44)]
    pub type Attribution = pallet_attribution::Pallet<Runtime>;

    #[runtime::pallet_index(45)]
    pub type Rewards = pallet_rewards::Pallet<Runtime>;
}
