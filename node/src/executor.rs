//! Compiles the runtime blob, and builds the genesis state only when the database needs it.
//!
//! Compiling the blob takes seconds, and a node would do it twice at every start: once to build the genesis state from
//! the specification, even where the database holds it already, and once to run blocks. Compiled code is therefore
//! kept in a folder, by the hash of the blob, and genesis is built once.

use crate::service::{Executor, FullBackend};
use sc_client_api::Backend;
use sc_executor::{HeapAllocStrategy, DEFAULT_HEAP_ALLOC_STRATEGY};
use sc_service::{error::Error as ServiceError, BuildGenesisBlock, ChainSpec, Configuration, GenesisBlockBuilder};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{absolute, Path},
    sync::Arc,
};
use weft_runtime::opaque::Block;

/// Folder of compiled code inside the folder of a chain.
const CACHE: &str = "wasm-cache";
/// Bits of a folder's mode by which its group and others may write.
const WRITABLE: u32 = 0o022;

/// Makes what runs the blob. Compiled code goes to `cache`, or into the folder of the chain; fails when others may write
/// into `cache`.
pub(crate) fn executor(config: &Configuration, cache: Option<&Path>) -> Result<Executor, ServiceError> {
    if let Some(cache) = cache {
        own_folder(cache).map_err(ServiceError::Other)?;
    }
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
    Ok(match absolute(&folder) {
        Ok(folder) => builder.with_cache_path(folder).build(),
        Err(error) => {
            log::warn!("no cache for compiled code at {}: {error}", folder.display());
            builder.build()
        }
    })
}

/// Makes a folder into which only its owner may write, or checks one that exists: the node runs the machine code that
/// lies there.
fn own_folder(folder: &Path) -> Result<(), String> {
    let unusable = |error: std::io::Error| {
        format!("{} cannot hold compiled code: {error}. Next: name another folder with --wasm-cache", folder.display())
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let mode = fs::metadata(folder).map_err(unusable)?.permissions().mode();
    if mode & WRITABLE != 0 {
        return Err(format!(
            "others may write into {} and so run code in this node. Next: chmod go-w {}, or name another folder with \
             --wasm-cache",
            folder.display(),
            folder.display()
        ));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_folder_should_refuse_when_others_may_write() {
        // GIVEN a folder that does not exist
        let parent = std::env::temp_dir().join(format!("weft-node-cache-{}", std::process::id()));
        let folder = parent.join("cache");
        // WHEN it is made THEN it is the owner's alone
        own_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        // WHEN its group, or anyone, may write THEN it is refused
        for (mode, good) in [(0o755, true), (0o770, false), (0o702, false), (0o700, true)] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(own_folder(&folder).is_ok(), good, "{mode:o}");
        }
        // WHEN a file has its name THEN it is refused too
        let file = parent.join("file");
        fs::write(&file, b"").unwrap();
        assert!(own_folder(&file).unwrap_err().contains("--wasm-cache"));
        fs::remove_dir_all(&parent).unwrap();
    }
}
