//! The RPC groups beside those that every node has: nonces, fees, BABE, GRANDPA, and the state light clients start
//! from.

use crate::service::{FullBackend, FullClient, FullPool, FullSelectChain};
use jsonrpsee::RpcModule;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};

use sp_core::traits::SpawnNamed;
use sp_keystore::KeystorePtr;
use std::sync::Arc;
use weft_runtime::{opaque::Block, BlockNumber, Hash};

/// What the RPC groups need.
pub(crate) struct Deps {
    /// The chain.
    pub(crate) client: Arc<FullClient>,
    /// Transactions that wait.
    pub(crate) pool: Arc<FullPool>,
    /// How the best block is chosen.
    pub(crate) select_chain: FullSelectChain,
    /// The specification the node runs.
    pub(crate) chain_spec: Box<dyn sc_chain_spec::ChainSpec>,
    /// Session keys.
    pub(crate) keystore: KeystorePtr,
    /// Epochs of BABE.
    pub(crate) babe_worker: BabeWorkerHandle<Block>,
    /// The voters of GRANDPA.
    pub(crate) authority_set: SharedAuthoritySet<Hash, BlockNumber>,
    /// The round GRANDPA is in.
    pub(crate) voter_state: SharedVoterState,
    /// Justifications as they are made.
    pub(crate) justifications: GrandpaJustificationStream<Block>,
    /// Proofs of finality.
    pub(crate) finality: Arc<FinalityProofProvider<FullBackend, Block>>,
    /// Runs subscriptions.
    pub(crate) executor: Arc<dyn SpawnNamed>,
}

/// Makes the module with all groups.
pub(crate) fn create(deps: Deps) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
    use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
    use sc_consensus_babe_rpc::{Babe, BabeApiServer};
    use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
    use sc_sync_state_rpc::{SyncState, SyncStateApiServer};
    use substrate_frame_rpc_system::{System, SystemApiServer};

    let mut module = RpcModule::new(());
    module.merge(System::new(deps.client.clone(), deps.pool).into_rpc())?;
    module.merge(TransactionPayment::new(deps.client.clone()).into_rpc())?;
    module
        .merge(Babe::new(deps.client.clone(), deps.babe_worker.clone(), deps.keystore, deps.select_chain).into_rpc())?;
    module.merge(
        Grandpa::new(deps.executor, deps.authority_set.clone(), deps.voter_state, deps.justifications, deps.finality)
            .into_rpc(),
    )?;
    module.merge(SyncState::new(deps.chain_spec, deps.client, deps.authority_set, deps.babe_worker)?.into_rpc())?;
    Ok(module)
}
