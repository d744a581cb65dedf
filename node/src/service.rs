//! Puts the parts of a node together: database, import, transaction pool, network, RPC, BABE and GRANDPA.

use crate::{
    executor::{executor, Genesis},
    rpc,
};
use futures::FutureExt;
use sc_client_api::{Backend, BlockBackend};
use sc_consensus_babe::{BabeLink, BabeWorkerHandle, SlotProportion};
use sc_consensus_grandpa::{LinkHalf, SharedVoterState, VotingRulesBuilder};
use sc_network::NetworkBackend;
use sc_service::{error::Error as ServiceError, ChainType, Configuration, TaskManager, WarpSyncConfig};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::inherents::BabeCreateInherentDataProviders;
use std::{path::Path, sync::Arc, time::Duration};
use weft_runtime::{opaque::Block, Hash, RuntimeApi};

/// Runs the blob. It uses no host functions but the standard ones.
pub(crate) type Executor = sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>;
/// The chain with its state.
pub(crate) type FullClient = sc_service::TFullClient<Block, RuntimeApi, Executor>;
/// The database.
pub(crate) type FullBackend = sc_service::TFullBackend<Block>;
/// How the best block is chosen: the longest chain.
pub(crate) type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
/// Transactions that wait.
pub(crate) type FullPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;
/// Imports justifications and changes of voters.
type GrandpaImport = sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;
/// Imports blocks after the checks of BABE.
type BabeImport = sc_consensus_babe::BabeBlockImport<
    Block,
    FullClient,
    GrandpaImport,
    BabeCreateInherentDataProviders<Block>,
    FullSelectChain,
>;

/// A justification is stored at least every so many blocks.
const JUSTIFICATION_PERIOD: u32 = 512;
/// Longest time a vote of GRANDPA is given to spread; the default of other chains.
const MAX_GOSSIP: Duration = Duration::from_millis(333);
/// A round of GRANDPA lasts four times the gossip duration. With a sixth of a slot it ends within a slot, so short
/// slots do not fall behind.
const GOSSIPS_PER_SLOT: u32 = 6;

/// What [`new_partial`] makes beside the standard components.
pub(crate) struct Consensus {
    /// Import of blocks, for authoring.
    block_import: BabeImport,
    /// Votes and their persistent state.
    grandpa_link: LinkHalf<Block, FullClient, FullSelectChain>,
    /// Epochs.
    babe_link: BabeLink<Block>,
    /// Answers questions about epochs.
    babe_worker: BabeWorkerHandle<Block>,
    /// The connection to a telemetry server, if one is configured.
    telemetry: Option<Telemetry>,
}

/// The parts that every command needs.
pub(crate) type Partial = sc_service::PartialComponents<
    FullClient,
    FullBackend,
    FullSelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    FullPool,
    Consensus,
>;

/// How long a vote may take to spread.
fn gossip_duration(slot: Duration) -> Duration {
    slot.checked_div(GOSSIPS_PER_SLOT).map_or(MAX_GOSSIP, |part| part.min(MAX_GOSSIP))
}

/// Opens the database and builds the import queue; starts nothing that talks to others. Compiled code is kept in
/// `wasm_cache`, or in the folder of the chain.
pub(crate) fn new_partial(config: &Configuration, wasm_cache: Option<&Path>) -> Result<Partial, ServiceError> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    let backend = sc_service::new_db_backend::<Block>(config.db_config())?;
    let executor = executor(config, wasm_cache)?;
    let genesis = Genesis {
        spec: config.chain_spec.cloned_box(),
        commit_state: !config.no_genesis(),
        backend: backend.clone(),
        executor: executor.clone(),
    };
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts_with_genesis_builder::<Block, RuntimeApi, _, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor,
            backend,
            genesis,
            false,
        )?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

    let select_chain = sc_consensus::LongestChain::new(backend.clone());

    let transaction_pool: Arc<FullPool> = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (grandpa_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry_handle(),
    )?;

    let babe_config = sc_consensus_babe::configuration(&*client)?;
    let slot_duration = babe_config.slot_duration();
    let inherents: BabeCreateInherentDataProviders<Block> = Arc::new(move |_parent: Hash, ()| async move {
        let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
        let slot = sp_consensus_babe::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
            *timestamp,
            slot_duration,
        );
        Ok((slot, timestamp))
    });
    let (block_import, babe_link) = sc_consensus_babe::block_import(
        babe_config,
        grandpa_import.clone(),
        client.clone(),
        inherents,
        select_chain.clone(),
        OffchainTransactionPoolFactory::new(transaction_pool.clone()),
    )?;
    let (import_queue, babe_worker) = sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
        link: babe_link.clone(),
        block_import: block_import.clone(),
        justification_import: Some(Box::new(grandpa_import)),
        client: client.clone(),
        slot_duration,
        spawner: &task_manager.spawn_essential_handle(),
        registry: config.prometheus_registry(),
        telemetry: telemetry_handle(),
    })?;

    Ok(sc_service::PartialComponents {
        client,
        backend,
        task_manager,
        keystore_container,
        select_chain,
        import_queue,
        transaction_pool,
        other: Consensus { block_import, grandpa_link, babe_link, babe_worker, telemetry },
    })
}

/// Runs a node: validator or full node, as the configuration says.
pub(crate) fn new_full<N: NetworkBackend<Block, Hash>>(
    config: Configuration,
    wasm_cache: Option<&Path>,
) -> Result<TaskManager, ServiceError> {
    let sc_service::PartialComponents {
        client,
        backend,
        mut task_manager,
        keystore_container,
        select_chain,
        import_queue,
        transaction_pool,
        other: Consensus { block_import, grandpa_link, babe_link, babe_worker, mut telemetry },
    } = new_partial(&config, wasm_cache)?;

    let role = config.role;
    let name = config.network.node_name.clone();
    let force_authoring = config.force_authoring;
    let vote = !config.disable_grandpa;
    let development = matches!(config.chain_spec.chain_type(), ChainType::Development);
    let offchain_worker = config.offchain_worker.enabled;
    let prometheus_registry = config.prometheus_registry().cloned();
    let slot_duration = babe_link.config().slot_duration();

    let mut net_config = sc_network::config::FullNetworkConfiguration::<Block, Hash, N>::new(
        &config.network,
        prometheus_registry.clone(),
    );
    let metrics = N::register_notification_metrics(prometheus_registry.as_ref());
    let genesis_hash = client
        .block_hash(0)?
        .ok_or_else(|| ServiceError::Other("the database has no genesis block: purge the chain".into()))?;
    let grandpa_protocol = sc_consensus_grandpa::protocol_standard_name(&genesis_hash, &config.chain_spec);
    let (grandpa_set, grandpa_notifications) = sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(
        grandpa_protocol.clone(),
        metrics.clone(),
        net_config.peer_store_handle(),
    );
    net_config.add_notification_protocol(grandpa_set);

    let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        grandpa_link.shared_authority_set().clone(),
        Vec::new(),
    ));

    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    if offchain_worker {
        // Reports of equivocations leave through the offchain transaction pool.
        let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            keystore: Some(keystore_container.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(transaction_pool.clone())),
            network_provider: Arc::new(network.clone()),
            is_validator: role.is_authority(),
            enable_http_requests: false,
            custom_extensions: |_| vec![],
        })?;
        task_manager.spawn_handle().spawn(
            "offchain-workers-runner",
            "offchain-worker",
            workers.run(client.clone(), task_manager.spawn_handle()).boxed(),
        );
    }

    let voter_state = SharedVoterState::empty();
    let rpc_builder = {
        let client = client.clone();
        let pool = transaction_pool.clone();
        let select_chain = select_chain.clone();
        let chain_spec = config.chain_spec.cloned_box();
        let keystore = keystore_container.keystore();
        let authority_set = grandpa_link.shared_authority_set().clone();
        let justifications = grandpa_link.justification_stream();
        let finality =
            sc_consensus_grandpa::FinalityProofProvider::new_for_service(backend.clone(), Some(authority_set.clone()));
        let voter_state = voter_state.clone();
        move |executor| {
            rpc::create(rpc::Deps {
                client: client.clone(),
                pool: pool.clone(),
                select_chain: select_chain.clone(),
                chain_spec: chain_spec.cloned_box(),
                keystore: keystore.clone(),
                babe_worker: babe_worker.clone(),
                authority_set: authority_set.clone(),
                voter_state: voter_state.clone(),
                justifications: justifications.clone(),
                finality: finality.clone(),
                executor,
            })
            .map_err(Into::into)
        }
    };

    sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool: transaction_pool.clone(),
        rpc_builder: Box::new(rpc_builder),
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;

    let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

    if role.is_authority() {
        let proposer = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            prometheus_registry.as_ref(),
            telemetry_handle(),
        );
        let babe = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
            keystore: keystore_container.keystore(),
            client,
            select_chain,
            env: proposer,
            block_import,
            sync_oracle: sync_service.clone(),
            justification_sync_link: sync_service.clone(),
            create_inherent_data_providers: move |_parent, ()| async move {
                let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
                let slot = sp_consensus_babe::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
                    *timestamp,
                    slot_duration,
                );
                Ok((slot, timestamp))
            },
            force_authoring,
            backoff_authoring_blocks: Some(sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging::default()),
            babe_link,
            block_proposal_slot_portion: SlotProportion::new(0.5),
            max_block_proposal_slot_portion: None,
            telemetry: telemetry_handle(),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking("babe-proposer", Some("block-authoring"), babe);
    }

    if vote {
        let voting_rule = if development {
            // A chain of one authority has no forks: it may finalise its best block at once.
            VotingRulesBuilder::new().build()
        } else {
            VotingRulesBuilder::default().build()
        };
        let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: gossip_duration(slot_duration.as_duration()),
                justification_generation_period: JUSTIFICATION_PERIOD,
                observer_enabled: false,
                local_role: role,
                name: Some(name),
                keystore: role.is_authority().then(|| keystore_container.keystore()),
                telemetry: telemetry_handle(),
                protocol_name: grandpa_protocol,
            },
            link: grandpa_link,
            network,
            sync: Arc::new(sync_service),
            notification_service: grandpa_notifications,
            voting_rule,
            prometheus_registry,
            shared_voter_state: voter_state,
            telemetry: telemetry_handle(),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
        })?;
        // Without a voter nothing becomes final: the node goes down with it.
        task_manager.spawn_essential_handle().spawn_blocking("grandpa-voter", None, voter);
    }

    Ok(task_manager)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_should_take_a_sixth_of_a_slot_when_slots_are_short() {
        assert_eq!(gossip_duration(Duration::from_millis(600)), Duration::from_millis(100));
        assert_eq!(gossip_duration(Duration::from_millis(6_000)), MAX_GOSSIP);
    }
}
