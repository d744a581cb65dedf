//! The blob store.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use weft_protocol::hash::{content_id, Hash};

use crate::{
    files::{create_folders, write_atomic_from, TEMPORARY},
    StoreError,
};

/// Largest blob in bytes; larger objects are chunked under a manifest.
pub const BLOB_LIMIT: usize = 1 << 20;

/// Largest object in bytes that [`BlobStore::get`] puts together; a reader that knows the size asks for less.
pub const OBJECT_LIMIT: u64 = 1 << 32;

/// Age from which a temporary file is left over from a crash: no write takes this long.
const STALE: Duration = Duration::from_secs(3600);

/// A manifest starts with these bytes; no record line, tensor file or list of hashes does.
const MANIFEST_MAGIC: &[u8; 16] = b"weft-manifest/1\n";

#[derive(Encode, Decode)]
struct Manifest {
    length: u64,
    chunks: Vec<Hash>,
}

/// Where blobs live.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The daemon's own folder.
    pub path: PathBuf,
    /// Blob folders of other daemons on this machine; read only, every byte verified and copied.
    pub sources: Vec<PathBuf>,
    /// Share of the disk that stays free, in percent.
    pub reserve_percent: u8,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("store"), sources: Vec::new(), reserve_percent: 10 }
    }
}

/// Content-addressed storage of one daemon.
#[derive(Clone, Debug)]
pub struct BlobStore {
    config: StoreConfig,
}

/// Size of the store.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StoreUsage {
    /// Number of blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Free bytes on the disk.
    pub free: u64,
}

impl BlobStore {
    /// Opens or creates the store's folder, and removes what crashed writers left behind.
    pub fn open(config: StoreConfig) -> Result<Self, StoreError> {
        create_folders(&config.path.join("blobs"))?;
        let store = Self { config };
        create_folders(&store.temporary())?;
        store.sweep();
        Ok(store)
    }

    /// Where blobs are written before they get their name: one folder, so that leftovers are found without a walk.
    fn temporary(&self) -> PathBuf {
        self.config.path.join("tmp")
    }

    /// Removes temporary files that nobody writes any more. Another process may be writing younger ones.
    fn sweep(&self) {
        let folder = self.temporary();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if is_temporary(&entry.file_name()) && age.is_some_and(|age| age > STALE) {
                if let Err(e) = std::fs::remove_file(entry.path()) {
                    tracing::warn!("{} is left over from a crash and stays: {e}", entry.path().display());
                }
            }
        }
    }

    /// The folder other daemons on this machine may name as a source.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.config.path
    }

    fn file(root: &Path, id: &Hash) -> PathBuf {
        let name = hex::encode(id);
        let (first, rest) = name.split_at(2);
        let (second, _) = rest.split_at(2);
        root.join("blobs").join(first).join(second).join(&name)
    }

    /// Fails unless `bytes` more fit with the reserve kept free.
    pub fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let path = &self.config.path;
        let free = fs4::available_space(path).map_err(StoreError::io("measure", path))?;
        let total = fs4::total_space(path).map_err(StoreError::io("measure", path))?;
        let needed = bytes.saturating_add(total / 100 * u64::from(self.config.reserve_percent));
        if free < needed {
            return Err(StoreError::DiskFull { path: path.clone(), free, needed });
        }
        Ok(())
    }

    /// Stores an object of any size and returns its content id: of the bytes themselves up to [`BLOB_LIMIT`], of the
    /// manifest above it.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        self.check_space(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        self.put_reserved(bytes)
    }

    /// As [`BlobStore::put`], from the reserve if need be: what the chain expects of this machine must not fail for the
    /// space that is kept free for it.
    pub fn put_reserved(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        if bytes.len() <= BLOB_LIMIT && !bytes.starts_with(MANIFEST_MAGIC) {
            return self.put_blob(bytes);
        }
        let mut chunks = Vec::new();
        for chunk in bytes.chunks(BLOB_LIMIT) {
            chunks.push(self.put_blob(chunk)?);
        }
        let manifest = Manifest { length: u64::try_from(bytes.len()).unwrap_or(u64::MAX), chunks };
        let mut encoded = MANIFEST_MAGIC.to_vec();
        manifest.encode_to(&mut encoded);
        self.put_blob(&encoded)
    }

    /// Content id that [`BlobStore::put`] would return, without storing.
    #[must_use]
    pub fn id_of(bytes: &[u8]) -> Hash {
        if bytes.len() <= BLOB_LIMIT && !bytes.starts_with(MANIFEST_MAGIC) {
            return content_id(bytes);
        }
        let chunks = bytes.chunks(BLOB_LIMIT).map(content_id).collect();
        let manifest = Manifest { length: u64::try_from(bytes.len()).unwrap_or(u64::MAX), chunks };
        let mut encoded = MANIFEST_MAGIC.to_vec();
        manifest.encode_to(&mut encoded);
        content_id(&encoded)
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        let id = content_id(bytes);
        let path = Self::file(&self.config.path, &id);
        // A file of this name with other bytes is damaged: whoever brings the right ones heals it.
        if !holds(&path, bytes) {
            write_atomic_from(&self.temporary(), &path, bytes)?;
        }
        Ok(id)
    }

    /// Whether the object's first blob is held here or by a source; says nothing about its integrity.
    #[must_use]
    pub fn has(&self, id: &Hash) -> bool {
        Self::file(&self.config.path, id).exists()
            || self.config.sources.iter().any(|root| Self::file(root, id).exists())
    }

    /// Whether every blob of the object is held here or by a source. The list of a larger object is read and verified; of
    /// contents nothing is read.
    #[must_use]
    pub fn has_all(&self, id: &Hash) -> bool {
        std::iter::once(&self.config.path).chain(&self.config.sources).any(|root| {
            let path = Self::file(root, id);
            match is_manifest(&path) {
                Err(_) => false,
                Ok(false) => true,
                Ok(true) => read_blob(&path).is_ok_and(|bytes| {
                    let list =
                        bytes.strip_prefix(MANIFEST_MAGIC.as_slice()).map(|mut rest| Manifest::decode(&mut rest));
                    content_id(&bytes) == *id
                        && list.is_some_and(|m| m.is_ok_and(|m| m.chunks.iter().all(|chunk| self.has(chunk))))
                }),
            }
        })
    }

    /// Reads an object of at most [`OBJECT_LIMIT`] bytes. Each blob is verified; an intact copy of a source is kept here.
    pub fn get(&self, id: &Hash) -> Result<Vec<u8>, StoreError> {
        self.get_limited(id, OBJECT_LIMIT)
    }

    /// As [`BlobStore::get`] for an object of at most `limit` bytes: a manifest that promises more is refused before its
    /// chunks are read.
    pub fn get_limited(&self, id: &Hash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let first = self.get_blob(id)?;
        let fits = |length: u64| {
            if length > limit {
                return Err(StoreError::TooLarge { id: hex::encode(id), length, limit });
            }
            Ok(())
        };
        let Some(mut rest) = first.strip_prefix(MANIFEST_MAGIC.as_slice()) else {
            fits(u64::try_from(first.len()).unwrap_or(u64::MAX))?;
            return Ok(first);
        };
        let bad = |reason| StoreError::Manifest { id: hex::encode(id), reason };
        let manifest = Manifest::decode(&mut rest).map_err(|_| bad("it does not decode"))?;
        let expected = manifest.length.div_ceil(u64::try_from(BLOB_LIMIT).unwrap_or(u64::MAX));
        if !rest.is_empty() || u64::try_from(manifest.chunks.len()) != Ok(expected) {
            return Err(bad("length and number of chunks disagree"));
        }
        fits(manifest.length)?;
        let mut bytes = Vec::new();
        for chunk in &manifest.chunks {
            bytes.extend_from_slice(&self.get_blob(chunk)?);
        }
        if u64::try_from(bytes.len()) != Ok(manifest.length) {
            return Err(bad("its chunks do not add up to its length"));
        }
        Ok(bytes)
    }

    fn get_blob(&self, id: &Hash) -> Result<Vec<u8>, StoreError> {
        // Why the last copy could not be used. One bad copy must not hide a good one.
        let mut failure = None;
        let own = Self::file(&self.config.path, id);
        for (root, is_own) in
            std::iter::once((&self.config.path, true)).chain(self.config.sources.iter().map(|s| (s, false)))
        {
            let path = Self::file(root, id);
            let bytes = match read_blob(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => {
                    tracing::warn!(path = %path.display(), "blob cannot be read ({e}); trying elsewhere");
                    failure = Some(StoreError::io("read", path)(e));
                    continue;
                }
            };
            let found = content_id(&bytes);
            if found != *id || bytes.len() > BLOB_LIMIT {
                tracing::warn!(path = %path.display(), "blob does not match its name; trying elsewhere");
                failure = Some(StoreError::Integrity { path, id: hex::encode(id), found: hex::encode(found) });
                continue;
            }
            if !is_own {
                let kept = self
                    .check_space(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
                    .and_then(|()| write_atomic_from(&self.temporary(), &own, &bytes));
                match kept {
                    Ok(()) => {}
                    // The bytes are verified: chain duties go on with them, only the copy is missing.
                    Err(e) if e.is_disk_full() => tracing::warn!("blob {} is not kept here: {e}", hex::encode(id)),
                    Err(e) => return Err(e),
                }
            }
            return Ok(bytes);
        }
        Err(failure.unwrap_or_else(|| StoreError::NotFound {
            id: hex::encode(id),
            path: self.config.path.clone(),
            sources: self.config.sources.len(),
        }))
    }

    /// Counts blobs and bytes.
    pub fn usage(&self) -> Result<StoreUsage, StoreError> {
        let root = self.config.path.join("blobs");
        let free = fs4::available_space(&root).map_err(StoreError::io("measure", &root))?;
        let mut usage = StoreUsage { free, ..StoreUsage::default() };
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(StoreError::io("list", &folder))? {
                let entry = entry.map_err(StoreError::io("list", &folder))?;
                let meta = match entry.metadata() {
                    Ok(meta) => meta,
                    // A temporary file that got its name in between.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(StoreError::io("read", entry.path())(e)),
                };
                if meta.is_dir() {
                    folders.push(entry.path());
                } else if !is_temporary(&entry.file_name()) {
                    usage.blobs += 1;
                    usage.bytes += meta.len();
                }
            }
        }
        Ok(usage)
    }
}

fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY)
}

/// Whether a file begins as a manifest.
fn is_manifest(path: &Path) -> std::io::Result<bool> {
    let length = u64::try_from(MANIFEST_MAGIC.len()).unwrap_or(u64::MAX);
    let mut first = Vec::new();
    std::fs::File::open(path)?.take(length).read_to_end(&mut first)?;
    Ok(first == MANIFEST_MAGIC)
}

/// A blob's file, cut one byte above the limit: a longer file is no blob, and must not fill the memory.
fn read_blob(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(BLOB_LIMIT).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file holds exactly these bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    std::fs::metadata(path).is_ok_and(|m| u64::try_from(bytes.len()) == Ok(m.len()))
        && std::fs::read(path).is_ok_and(|found| found == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path, sources: Vec<PathBuf>) -> BlobStore {
        BlobStore::open(StoreConfig { path: dir.to_path_buf(), sources, reserve_percent: 0 }).unwrap()
    }

    #[test]
    fn object_should_return_equal_when_larger_than_a_blob() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        for len in [0, 1, BLOB_LIMIT - 1, BLOB_LIMIT, BLOB_LIMIT + 1, 3 * BLOB_LIMIT + 7] {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let id = s.put(&bytes).unwrap();
            assert_eq!(id, BlobStore::id_of(&bytes));
            assert_eq!(s.get(&id).unwrap(), bytes);
        }
    }

    #[test]
    fn magic_bytes_should_stay_data_when_stored() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        let id = s.put(MANIFEST_MAGIC).unwrap();
        assert_eq!(s.get(&id).unwrap(), MANIFEST_MAGIC);
    }

    #[test]
    fn tampered_blob_should_be_refused_when_read() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        let id = s.put(b"a record").unwrap();
        std::fs::write(BlobStore::file(dir.path(), &id), b"another record").unwrap();
        assert!(matches!(s.get(&id), Err(StoreError::Integrity { .. })));
    }

    #[test]
    fn intact_source_should_heal_when_own_copy_is_damaged() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = store(a.path(), vec![]);
        let id = source.put(b"a record").unwrap();
        let s = store(b.path(), vec![a.path().to_path_buf()]);
        assert_eq!(s.get(&id).unwrap(), b"a record");
        std::fs::write(BlobStore::file(b.path(), &id), b"damaged").unwrap();
        assert_eq!(s.get(&id).unwrap(), b"a record");
        assert_eq!(std::fs::read(BlobStore::file(b.path(), &id)).unwrap(), b"a record");
    }

    #[test]
    fn unknown_blob_should_be_named_when_missing() {
        let dir = tempfile::tempdir().unwrap();
        let e = store(dir.path(), vec![]).get(&[7; 32]).unwrap_err();
        assert!(e.to_string().contains(&hex::encode([7; 32])));
    }

    #[test]
    fn blob_should_come_from_the_next_source_when_one_cannot_be_read() {
        // GIVEN a source in which a folder has the blob's name, and an intact one
        let (a, b, c) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = store(b.path(), vec![]).put(b"a record").unwrap();
        std::fs::create_dir_all(BlobStore::file(a.path(), &id)).unwrap();
        let s = store(c.path(), vec![a.path().to_path_buf(), b.path().to_path_buf()]);
        // WHEN it is read THEN the intact copy is found
        assert_eq!(s.get(&id).unwrap(), b"a record");
        // AND without the intact copy the reading error is reported, not "missing"
        let s = store(&c.path().join("other"), vec![a.path().to_path_buf()]);
        assert!(matches!(s.get(&id), Err(StoreError::Io { action: "read", .. })));
    }

    #[test]
    fn object_should_not_be_complete_when_a_chunk_is_missing() {
        // GIVEN an object of three chunks in a source
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = store(a.path(), vec![]);
        let bytes = vec![5u8; 2 * BLOB_LIMIT + 1];
        let id = source.put(&bytes).unwrap();
        let s = store(b.path(), vec![a.path().to_path_buf()]);
        assert!(s.has_all(&id) && s.has_all(&content_id(&bytes[..BLOB_LIMIT])));
        // WHEN a chunk is gone THEN its list alone is not the object
        std::fs::remove_file(BlobStore::file(a.path(), &content_id(&bytes[2 * BLOB_LIMIT..]))).unwrap();
        assert!(s.has(&id) && !s.has_all(&id) && !s.has_all(&[1; 32]));
    }

    #[test]
    fn duties_should_go_on_when_the_disk_is_at_its_reserve() {
        // GIVEN a store that wants the whole disk to stay free, and an intact source
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = store(a.path(), vec![]).put(b"a record").unwrap();
        let sources = vec![a.path().to_path_buf()];
        let full =
            BlobStore::open(StoreConfig { path: b.path().to_path_buf(), sources, reserve_percent: 100 }).unwrap();
        // WHEN it stores THEN only its own artifacts get in
        assert!(full.put(b"an artifact").unwrap_err().is_disk_full());
        let own = full.put_reserved(b"an artifact").unwrap();
        assert_eq!(full.get(&own).unwrap(), b"an artifact");
        // AND a verified blob of a source is read without being kept
        assert_eq!(full.get(&id).unwrap(), b"a record");
        assert!(!BlobStore::file(b.path(), &id).exists());
    }

    #[test]
    fn oversized_file_should_be_refused_when_a_source_holds_one() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let bytes = vec![7u8; BLOB_LIMIT + 1];
        let id = content_id(&bytes);
        let path = BlobStore::file(a.path(), &id);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &bytes).unwrap();
        let s = store(b.path(), vec![a.path().to_path_buf()]);
        assert!(matches!(s.get(&id), Err(StoreError::Integrity { .. })));
    }

    #[test]
    fn object_should_be_refused_when_larger_than_its_reader_allows() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        for len in [BLOB_LIMIT / 2, 2 * BLOB_LIMIT] {
            let id = s.put(&vec![1u8; len]).unwrap();
            let len = u64::try_from(len).unwrap();
            assert!(s.get_limited(&id, len).is_ok());
            let e = s.get_limited(&id, len - 1).unwrap_err();
            assert!(matches!(e, StoreError::TooLarge { length, limit, .. } if length == len && limit == len - 1));
        }
    }

    #[test]
    fn nothing_should_be_written_when_the_reserve_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: dir.path().to_path_buf(), sources: vec![], reserve_percent: 100 };
        let s = BlobStore::open(config).unwrap();
        let e = s.put(b"a record").unwrap_err();
        assert!(matches!(e, StoreError::DiskFull { .. }) && e.is_disk_full(), "{e}");
        assert_eq!(s.usage().unwrap().blobs, 0);
        assert_eq!(std::fs::read_dir(s.temporary()).unwrap().count(), 0);
    }

    #[test]
    fn damaged_blob_should_heal_when_put_again() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        let id = s.put(b"a record").unwrap();
        for damage in [b"b record".as_slice(), b"", b"a longer record"] {
            std::fs::write(BlobStore::file(dir.path(), &id), damage).unwrap();
            assert_eq!(s.put(b"a record").unwrap(), id);
            assert_eq!(s.get(&id).unwrap(), b"a record");
        }
    }

    #[test]
    fn temporary_files_should_be_removed_at_open_when_stale() {
        // GIVEN a leftover of a crash, a file that another process is writing, and an old-style leftover among the blobs
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path(), vec![]);
        let id = s.put(b"a record").unwrap();
        let (old, young) = (s.temporary().join(".tmp-old"), s.temporary().join(".tmp-young"));
        for path in [&old, &young] {
            std::fs::write(path, b"half").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * STALE;
        std::fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        std::fs::write(BlobStore::file(dir.path(), &id).with_file_name(".tmp-x"), b"half").unwrap();
        // WHEN the store is opened again
        let s = store(dir.path(), vec![]);
        // THEN the leftover is gone, the young one stays, and none is counted
        assert!(!old.exists() && young.exists());
        assert_eq!(s.usage().unwrap().blobs, 1);
    }
}
