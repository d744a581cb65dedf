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
    io::{Error as IoError, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{absolute, Path},
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};
use weft_runtime::opaque::Block;

/// Folder of compiled code inside the folder of a chain.
const CACHE: &str = "wasm-cache";
/// Bits of a folder's mode by which its group and others may write.
const WRITABLE: u32 = 0o022;
/// Bits of a folder's mode by which its group and others may reach what is inside.
const SEARCHABLE: u32 = 0o011;

/// Makes what runs the blob. Compiled code goes to `cache`, or into a folder in that of the chain. Where others may write,
/// `cache` is refused, and the folder in that of the chain is not used.
pub(crate) fn executor(config: &Configuration, cache: Option<&Path>) -> Result<Executor, ServiceError> {
    let folder = cache.map_or_else(|| config.data_path.join(CACHE), Path::to_path_buf);
    let usable = own_folder(&folder);
    if cache.is_some() {
        usable.clone().map_err(ServiceError::Other)?;
    }
    let heap = config
        .executor
        .default_heap_pages
        .and_then(|pages| u32::try_from(pages).ok())
        .map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |extra_pages| HeapAllocStrategy::Static { extra_pages });
    let builder = Executor::builder()
        .with_execution_method(config.executor.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(config.executor.max_runtime_instances)
        .with_runtime_cache_size(config.executor.runtime_cache_size);
    // The cache refuses a relative path; without one the blob is compiled at every start.
    let usable = usable.and_then(|()| absolute(&folder).map_err(|error| error.to_string()));
    Ok(match usable {
        Ok(folder) => builder.with_cache_path(folder).build(),
        Err(error) => {
            log::warn!("no cache for compiled code: {error}");
            builder.build()
        }
    })
}

/// Makes a folder into which only this process's user may write, or checks one that exists, with everything in it: the
/// node runs the machine code that lies there.
fn own_folder(folder: &Path) -> Result<(), String> {
    let unusable = |error: IoError| unusable(folder, &error);
    if let Some(parent) = folder.parent() {
        // Other things lie beside the folder: only itself is closed to others.
        fs::create_dir_all(parent).map_err(unusable)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let mode = fs::metadata(folder).map_err(unusable)?.mode();
    // What is inside a folder that others cannot enter is out of their reach, whatever its mode.
    check(folder, mode, None)?;
    let user = user_by_file(folder).map_err(unusable)?;
    let closed = mode & SEARCHABLE == 0;
    check_tree(folder, user, closed)
}

/// Why a folder cannot be the cache.
fn unusable(folder: &Path, error: &IoError) -> String {
    format!("{} cannot hold compiled code: {error}. Next: name another folder with --wasm-cache", folder.display())
}

/// The user of this process: the owner of a file that it makes in the folder.
fn user_by_file(folder: &Path) -> Result<u32, IoError> {
    // Nodes may share the folder, and one process may ask more than once at a time.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(".owner-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(name);
    let file = match open_new(&path) {
        // Left behind by a process of the same number that was killed in this moment.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&path)?;
            open_new(&path)?
        }
        other => other?,
    };
    let user = file.metadata()?.uid();
    // One that stays is empty and harms nobody.
    let _ = fs::remove_file(&path);
    Ok(user)
}

/// Makes a file that does not exist yet.
fn open_new(path: &Path) -> Result<fs::File, IoError> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Checks a folder and everything below it: owner, mode unless the folder is closed to others, and no link that leads
/// elsewhere. Other nodes may take files away meanwhile.
fn check_tree(folder: &Path, user: u32, closed: bool) -> Result<(), String> {
    let gone = |error: &IoError| error.kind() == ErrorKind::NotFound;
    let owner = fs::metadata(folder).map_err(|error| unusable(folder, &error))?.uid();
    check(folder, 0, Some((owner, user)))?;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(unusable(&next, &error)),
        };
        for entry in entries {
            let found = entry.and_then(|entry| Ok((entry.path(), fs::symlink_metadata(entry.path())?)));
            let (path, metadata) = match found {
                Ok(found) => found,
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(unusable(&next, &error)),
            };
            if metadata.is_symlink() {
                return Err(format!(
                    "{} is a link, and what it leads to is not checked. Next: remove it, or name another folder with \
                     --wasm-cache",
                    path.display()
                ));
            }
            check(&path, if closed { 0 } else { metadata.mode() }, Some((metadata.uid(), user)))?;
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Checks that others may not write to `path`, and that its owner is the user.
fn check(path: &Path, mode: u32, owner_and_user: Option<(u32, u32)>) -> Result<(), String> {
    if mode & WRITABLE != 0 {
        return Err(format!(
            "others may write into {} and so run code in this node. Next: chmod go-w {}, or name another folder with \
             --wasm-cache",
            path.display(),
            path.display()
        ));
    }
    match owner_and_user {
        Some((owner, user)) if owner != user => Err(format!(
            "{} belongs to user {owner}, and this node runs as {user}: its owner could run code in this node. Next: \
             name a folder of your own with --wasm-cache",
            path.display()
        )),
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};

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

    #[test]
    fn own_folder_should_refuse_when_others_may_write_below_it() {
        // GIVEN a folder that others may enter, with a folder in it
        let parent = std::env::temp_dir().join(format!("weft-node-cache-below-{}", std::process::id()));
        let folder = parent.join("cache");
        own_folder(&folder).unwrap();
        let inner = folder.join("wasmtime").join("modules");
        fs::create_dir_all(&inner).unwrap();
        let file = inner.join("code");
        fs::write(&file, b"").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for path in [&folder, &folder.join("wasmtime"), &inner] {
            set(path, 0o755);
        }
        set(&file, 0o644);
        own_folder(&folder).unwrap();
        // WHEN others may write into that, or into a file THEN it is refused
        set(&inner, 0o777);
        assert!(own_folder(&folder).unwrap_err().contains("others may write"));
        set(&inner, 0o755);
        set(&file, 0o664);
        assert!(own_folder(&folder).unwrap_err().contains("others may write"));
        // WHEN others cannot enter THEN it is taken
        set(&folder, 0o700);
        own_folder(&folder).unwrap();
        // WHEN a link leads out of it THEN it is refused
        symlink(&parent, inner.join("link")).unwrap();
        assert!(own_folder(&folder).unwrap_err().contains("is a link"));
        fs::remove_dir_all(&parent).unwrap();
    }

    #[test]
    fn check_tree_should_refuse_when_another_user_owns_it() {
        // GIVEN a folder of this user
        let folder = std::env::temp_dir().join(format!("weft-node-cache-owner-{}", std::process::id()));
        own_folder(&folder).unwrap();
        let user = user_by_file(&folder).unwrap();
        assert_eq!(user, fs::metadata(&folder).unwrap().uid());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        check_tree(&folder, user, true).unwrap();
        // WHEN the node runs as somebody else THEN it is refused
        let error = check_tree(&folder, user.wrapping_add(1), true).unwrap_err();
        assert!(error.contains("belongs to user"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
