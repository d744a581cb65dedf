//! The blob store.

use std::path::{Path, PathBuf};

use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use weft_protocol::hash::{content_id, Hash};

use crate::{files::write_atomic, StoreError};

/// Largest blob in bytes; larger objects are chunked under a manifest.
pub const BLOB_LIMIT: usize = 1 << 20;

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
    /// Opens or creates the store's folder.
    pub fn open(config: StoreConfig) -> Result<Self, StoreError> {
        let root = config.path.join("blobs");
        std::fs::create_dir_all(&root).map_err(StoreError::io("create", &root))?;
        Ok(Self { config })
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
        if !path.exists() {
            write_atomic(&path, bytes)?;
        }
        Ok(id)
    }

    /// Whether the object's first blob is held here or by a source; says nothing about its integrity.
    #[must_use]
    pub fn has(&self, id: &Hash) -> bool {
        Self::file(&self.config.path, id).exists()
            || self.config.sources.iter().any(|root| Self::file(root, id).exists())
    }

    /// Reads an object. Each blob is verified; an intact copy of a source is kept here.
    pub fn get(&self, id: &Hash) -> Result<Vec<u8>, StoreError> {
        let first = self.get_blob(id)?;
        let Some(mut rest) = first.strip_prefix(MANIFEST_MAGIC.as_slice()) else {
            return Ok(first);
        };
        let bad = |reason| StoreError::Manifest { id: hex::encode(id), reason };
        let manifest = Manifest::decode(&mut rest).map_err(|_| bad("it does not decode"))?;
        let expected = manifest.length.div_ceil(u64::try_from(BLOB_LIMIT).unwrap_or(u64::MAX));
        if !rest.is_empty() || u64::try_from(manifest.chunks.len()) != Ok(expected) {
            return Err(bad("length and number of chunks disagree"));
        }
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
        let mut damaged = None;
        let own = Self::file(&self.config.path, id);
        for (root, is_own) in
            std::iter::once((&self.config.path, true)).chain(self.config.sources.iter().map(|s| (s, false)))
        {
            let path = Self::file(root, id);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("read", path)(e)),
            };
            let found = content_id(&bytes);
            if found != *id {
                tracing::warn!(path = %path.display(), "blob does not match its name; trying elsewhere");
                damaged = Some(StoreError::Integrity { path, id: hex::encode(id), found: hex::encode(found) });
                continue;
            }
            if !is_own {
                self.check_space(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
                write_atomic(&own, &bytes)?;
            } else if damaged.is_some() {
                damaged = None;
            }
            return Ok(bytes);
        }
        Err(damaged.unwrap_or_else(|| StoreError::NotFound {
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
                let meta = entry.metadata().map_err(StoreError::io("read", entry.path()))?;
                if meta.is_dir() {
                    folders.push(entry.path());
                } else {
                    usage.blobs += 1;
                    usage.bytes += meta.len();
                }
            }
        }
        Ok(usage)
    }
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
}
