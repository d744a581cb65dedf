//! Compiles the runtime blob, and builds the genesis state only when the database needs it.
//!
//! Compiling the blob takes seconds, and a node would do it twice at every start: once to build the genesis state from
//! the specification, even where the database holds it already, and once to run blocks. Compiled code is therefore
//! kept in a folder, by the hash of the blob, and genesis is built once.

use crate::service::{Executor, FullBackend};
use sc_client_api::Backend;
use sc_executor::{HeapAllocStrategy, DEFAULT_HEAP_ALLOC_STRATEGY};
use sc_service::{BuildGenesisBlock, ChainSpec, Configuration, GenesisBlockBuilder};
use std::{
    path::{absolute, Path},
    sync::Arc,
};
use weft_runtime::opaque::Block;

/// Folder of compiled code inside the folder of a chain.
const CACHE: &str = "wasm-cache";

/// Makes what runs the blob. Compiled code goes to `cache`, or into the folder of the chain.
pub(crate) fn executor(config: &Configuration, cache: Option<&Path>) -> Executor {
    let heap = config
        .executor
        .default_heap_pages
        .and_then(|pages| u32::try_from(pages).ok())
        .map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |extra_pages| HeapAllocStrategy::Static { extra_pages });
    let folder = cache.map_or_else(|| config.data_path.join(CACHE), Path::to_path_buf);
    let builder = Executor::builder()
        .with_execution_method(config.executor.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(config.executor.max_runtime_instances)
        .with_runtime_cache_size(config.executor.runtime_cache_size);
    // The cache refuses a relative path; without one the blob is compiled at every start.
    match absolute(&folder) {
        Ok(folder) => builder.with_cache_path(folder).build(),
        Err(error) => {
            log::warn!("no cache for compiled code at {}: {error}", folder.display());
            builder.build()
        }
    }
}

/// Builds the genesis block when the database asks for it, which it does only when it is empty.
pub(crate) struct Genesis {
    /// Holds the genesis.
    pub(crate) spec: Box<dyn ChainSpec>,
    /// Whether the state is written; not when it will be synced.
    pub(crate) commit_state: bool,
    /// The database.
    pub(crate) backend: Arc<FullBackend>,
    /// Runs the blob.
    pub(crate) executor: Executor,
}

impl BuildGenesisBlock<Block> for Genesis {
    type BlockImportOperation = <FullBackend as Backend<Block>>::BlockImportOperation;

    fn build_genesis_block(self) -> sp_blockchain::Result<(Block, Self::BlockImportOperation)> {
        GenesisBlockBuilder::new(self.spec.as_storage_builder(), self.commit_state, self.backend, self.executor)?
            .build_genesis_block()
    }
}
