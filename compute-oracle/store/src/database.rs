//! The daemon's database: jobs, events, receipts, channels and small values, in one SQLite file.

use std::path::{Path, PathBuf};

use sqlx::{
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    Row, SqlitePool,
};

use crate::{
    files::{folder_of, sync_folder},
    StoreError,
};

/// Statements that lead from one schema version to the next; the first list makes version 1. Lists are only ever added.
const MIGRATIONS: &[&[&str]] = &[
    &[
        "CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS job (run INTEGER PRIMARY KEY, role TEXT NOT NULL, phase TEXT NOT NULL, body TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body TEXT NOT NULL) STRICT",
        "CREATE INDEX IF NOT EXISTS event_topic ON event (topic, seq)",
        "CREATE TABLE IF NOT EXISTS receipt (id TEXT PRIMARY KEY, model INTEGER NOT NULL, number INTEGER NOT NULL, channel TEXT NOT NULL, encoded BLOB NOT NULL, signature BLOB NOT NULL, voucher INTEGER, redeemed INTEGER) STRICT",
        "CREATE UNIQUE INDEX IF NOT EXISTS receipt_number ON receipt (model, number)",
        "CREATE TABLE IF NOT EXISTS channel (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
    ],
    &[
        "ALTER TABLE channel ADD COLUMN consumer TEXT NOT NULL DEFAULT ''",
        "UPDATE channel SET consumer = substr(name, 1, 64)",
        "CREATE INDEX channel_consumer ON channel (consumer)",
        "CREATE INDEX receipt_redeemed ON receipt (model, redeemed)",
        "PRAGMA user_version = 2",
    ],
];
const VERSION: i64 = 2;

const SET_CHANNEL: &str =
    "INSERT INTO channel (name, consumer, body) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body";

/// One job in which this daemon has a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Number of the job.
    pub run: u32,
    /// Part of the daemon: `oracle`, `verifier` or `juror`.
    pub role: String,
    /// Phase of the work.
    pub phase: String,
    /// Facts of the phase, JSON.
    pub body: String,
}

/// An event with its persistent number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Number, gap-free per database.
    pub seq: i64,
    /// Topic, such as `job/3`.
    pub topic: String,
    /// The event, JSON.
    pub body: String,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
    path: PathBuf,
}

impl Database {
    /// Opens or creates `path` and brings its schema up to date. A database written by a newer program is refused.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        let fail = |source| StoreError::Database { path: path.to_path_buf(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(fail)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await.map_err(fail)?;
        if found > VERSION {
            return Err(StoreError::NewerDatabase { path: path.to_path_buf(), found, known: VERSION });
        }
        let known = usize::try_from(found).unwrap_or(0);
        if known > 0 && found < VERSION {
            let copy = path.with_extension(format!("v{found}.db"));
            if !copy.exists() {
                tracing::info!(copy = %copy.display(), "the database is brought up to date; its old state is kept");
                // Under its name only when it is whole: a copy that a crash cut off would pass for the old state.
                let part = path.with_extension(format!("v{found}.db.tmp"));
                match std::fs::remove_file(&part) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StoreError::io("remove", &part)(e));
                    }
                    _ => {}
                }
                let target = part.display().to_string();
                sqlx::query("VACUUM INTO ?").bind(target).execute(&pool).await.map_err(fail)?;
                std::fs::File::open(&part).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", &part))?;
                std::fs::rename(&part, &copy).map_err(StoreError::io("rename into", &copy))?;
                sync_folder(folder_of(&copy))?;
            }
        }
        let mut tx = pool.begin().await.map_err(fail)?;
        for statement in MIGRATIONS.iter().skip(known).copied().flatten().copied() {
            sqlx::query(statement).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(Self { pool, path: path.to_path_buf() })
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        |source| StoreError::Database { path: self.path.clone(), source }
    }

    /// Reads a small value.
    pub async fn value(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT body FROM value WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail())
    }

    /// Writes a small value.
    pub async fn set_value(&self, key: &str, body: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO value (key, body) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body")
            .bind(key)
            .bind(body)
            .execute(&self.pool)
            .await
            .map_err(self.fail())?;
        Ok(())
    }

    /// Writes a job's phase.
    pub async fn set_job(&self, row: &JobRow) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO job (run, role, phase, body) VALUES (?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET role = excluded.role, phase = excluded.phase, body = excluded.body")
            .bind(i64::from(row.run))
            .bind(&row.role)
            .bind(&row.phase)
            .bind(&row.body)
            .execute(&self.pool)
            .await
            .map_err(self.fail())?;
        Ok(())
    }

    /// Reads a job.
    pub async fn job(&self, run: u32) -> Result<Option<JobRow>, StoreError> {
        Ok(self.jobs().await?.into_iter().find(|j| j.run == run))
    }

    /// Reads all jobs, by number.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query("SELECT run, role, phase, body FROM job ORDER BY run")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        rows.iter()
            .map(|r| {
                let run: i64 = r.try_get("run").map_err(self.fail())?;
                Ok(JobRow {
                    run: u32::try_from(run).map_err(|e| StoreError::Corrupt { what: "job", reason: e.to_string() })?,
                    role: r.try_get("role").map_err(self.fail())?,
                    phase: r.try_get("phase").map_err(self.fail())?,
                    body: r.try_get("body").map_err(self.fail())?,
                })
            })
            .collect()
    }

    /// Appends an event and returns its number.
    pub async fn append_event(&self, topic: &str, body: &str) -> Result<i64, StoreError> {
        let done = sqlx::query("INSERT INTO event (topic, body) VALUES (?, ?)")
            .bind(topic)
            .bind(body)
            .execute(&self.pool)
            .await
            .map_err(self.fail())?;
        Ok(done.last_insert_rowid())
    }

    /// Events of a topic after `seq`, oldest first, at most `limit`.
    pub async fn events(&self, topic: &str, after: i64, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query("SELECT seq, topic, body FROM event WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(topic)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        rows.iter()
            .map(|r| {
                Ok(StoredEvent {
                    seq: r.try_get("seq").map_err(self.fail())?,
                    topic: r.try_get("topic").map_err(self.fail())?,
                    body: r.try_get("body").map_err(self.fail())?,
                })
            })
            .collect()
    }

    /// Stores a signed answer: its receipt and the channel's new state in one transaction, so that an answer is never
    /// paid without its receipt.
    #[allow(clippy::too_many_arguments, reason = "one row")]
    pub async fn add_receipt(
        &self,
        id: &str,
        model: u32,
        number: u64,
        channel: &str,
        encoded: &[u8],
        signature: &[u8],
        channel_body: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(self.fail())?;
        sqlx::query("INSERT INTO receipt (id, model, number, channel, encoded, signature) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(i64::from(model))
            .bind(i64::try_from(number).unwrap_or(i64::MAX))
            .bind(channel)
            .bind(encoded)
            .bind(signature)
            .execute(&mut *tx)
            .await
            .map_err(self.fail())?;
        sqlx::query(SET_CHANNEL)
            .bind(channel)
            .bind(consumer_of(channel))
            .bind(channel_body)
            .execute(&mut *tx)
            .await
            .map_err(self.fail())?;
        tx.commit().await.map_err(self.fail())
    }

    /// Next receipt number of a model.
    pub async fn next_receipt(&self, model: u32) -> Result<u64, StoreError> {
        let next: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(number) + 1, 0) FROM receipt WHERE model = ?")
            .bind(i64::from(model))
            .fetch_one(&self.pool)
            .await
            .map_err(self.fail())?;
        u64::try_from(next).map_err(|e| StoreError::Corrupt { what: "receipt", reason: e.to_string() })
    }

    /// A receipt by id with the name of its channel: channel, encoded receipt, signature.
    pub async fn receipt_of(&self, id: &str) -> Result<Option<(String, Vec<u8>, Vec<u8>)>, StoreError> {
        let row = sqlx::query("SELECT channel, encoded, signature FROM receipt WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail())?;
        row.map(|r| {
            Ok((
                r.try_get("channel").map_err(self.fail())?,
                r.try_get("encoded").map_err(self.fail())?,
                r.try_get("signature").map_err(self.fail())?,
            ))
        })
        .transpose()
    }

    /// Encoded receipts of a channel that no redemption has covered yet, by number.
    pub async fn open_receipts(&self, channel: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows =
            sqlx::query("SELECT id, encoded FROM receipt WHERE channel = ? AND redeemed IS NULL ORDER BY number")
                .bind(channel)
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail())?;
        rows.iter()
            .map(|r| Ok((r.try_get("id").map_err(self.fail())?, r.try_get("encoded").map_err(self.fail())?)))
            .collect()
    }

    /// Writes the state of a channel and, in the same transaction, the settlement epoch in which receipts of it were
    /// redeemed; `None` takes the mark back, when the chain lost the redemption.
    pub async fn set_redeemed(
        &self,
        channel: &str,
        body: &str,
        ids: &[String],
        epoch: Option<u32>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(self.fail())?;
        for id in ids {
            sqlx::query("UPDATE receipt SET redeemed = ? WHERE id = ?")
                .bind(epoch.map(i64::from))
                .bind(id)
                .execute(&mut *tx)
                .await
                .map_err(self.fail())?;
        }
        sqlx::query(SET_CHANNEL)
            .bind(channel)
            .bind(consumer_of(channel))
            .bind(body)
            .execute(&mut *tx)
            .await
            .map_err(self.fail())?;
        tx.commit().await.map_err(self.fail())
    }

    /// Encoded receipts of a model redeemed in an epoch, by number.
    pub async fn redeemed_receipts(&self, model: u32, epoch: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT encoded FROM receipt WHERE model = ? AND redeemed = ? ORDER BY number")
            .bind(i64::from(model))
            .bind(i64::from(epoch))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())
    }

    /// Epochs in which receipts of a model were redeemed.
    pub async fn redeemed_epochs(&self, model: u32) -> Result<Vec<u32>, StoreError> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT redeemed FROM receipt WHERE model = ? AND redeemed IS NOT NULL ORDER BY redeemed",
        )
        .bind(i64::from(model))
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        rows.into_iter()
            .map(|e| u32::try_from(e).map_err(|e| StoreError::Corrupt { what: "receipt", reason: e.to_string() }))
            .collect()
    }

    /// State of a channel.
    pub async fn channel(&self, name: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT body FROM channel WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail())
    }

    /// Writes the state of a channel.
    pub async fn set_channel(&self, name: &str, body: &str) -> Result<(), StoreError> {
        self.set_redeemed(name, body, &[], None).await
    }

    /// Channels of one consumer: name and state.
    pub async fn channels_of(&self, consumer: &str) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT name, body FROM channel WHERE consumer = ? ORDER BY name")
            .bind(consumer)
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        rows.iter()
            .map(|r| Ok((r.try_get("name").map_err(self.fail())?, r.try_get("body").map_err(self.fail())?)))
            .collect()
    }

    /// All channels: name and state.
    pub async fn channels(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT name, body FROM channel ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        rows.iter()
            .map(|r| Ok((r.try_get("name").map_err(self.fail())?, r.try_get("body").map_err(self.fail())?)))
            .collect()
    }

    /// Closes the database after its last writes.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A channel's name is `consumer/key/model`.
fn consumer_of(channel: &str) -> &str {
    channel.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn database_should_keep_everything_when_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft.db");
        let db = Database::open(&path).await.unwrap();
        db.set_value("head", "7").await.unwrap();
        db.set_value("head", "8").await.unwrap();
        let row = JobRow { run: 3, role: "oracle".into(), phase: "training".into(), body: "{}".into() };
        db.set_job(&row).await.unwrap();
        assert_eq!(db.append_event("job/3", "{\"a\":1}").await.unwrap(), 1);
        assert_eq!(db.append_event("job/3", "{\"a\":2}").await.unwrap(), 2);
        db.add_receipt("r0", 5, 0, "c", b"enc", b"sig", "{}").await.unwrap();
        db.close().await;

        let db = Database::open(&path).await.unwrap();
        assert_eq!(db.value("head").await.unwrap().as_deref(), Some("8"));
        assert_eq!(db.job(3).await.unwrap(), Some(row));
        assert_eq!(db.events("job/3", 1, 10).await.unwrap().len(), 1);
        assert_eq!(db.next_receipt(5).await.unwrap(), 1);
        assert_eq!(db.next_receipt(6).await.unwrap(), 0);
        assert_eq!(db.open_receipts("c").await.unwrap().len(), 1);
        db.set_redeemed("c", "{}", &["r0".into()], Some(2)).await.unwrap();
        assert!(db.open_receipts("c").await.unwrap().is_empty());
        assert_eq!(db.redeemed_receipts(5, 2).await.unwrap(), vec![b"enc".to_vec()]);
        db.set_redeemed("c", "{}", &["r0".into()], None).await.unwrap();
        assert!(db.redeemed_epochs(5).await.unwrap().is_empty());
        assert_eq!(db.open_receipts("c").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn channels_should_be_found_by_consumer_when_stored() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open(&dir.path().join("weft.db")).await.unwrap();
        for name in ["aa/k1/0", "aa/k2/0", "ab/k1/0"] {
            db.set_channel(name, name).await.unwrap();
        }
        let found = db.channels_of("aa").await.unwrap();
        assert_eq!(found.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["aa/k1/0", "aa/k2/0"]);
        assert!(db.channels_of("a").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn older_database_should_be_copied_and_migrated_when_opened() {
        // GIVEN a database of version 1 with a channel
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft.db");
        let consumer = "c".repeat(64);
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        for statement in MIGRATIONS[0] {
            sqlx::query(*statement).execute(&pool).await.unwrap();
        }
        sqlx::query("INSERT INTO channel (name, body) VALUES (?, 'old')")
            .bind(format!("{consumer}/key/0"))
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("PRAGMA user_version = 1").execute(&pool).await.unwrap();
        pool.close().await;
        std::fs::write(path.with_extension("v1.db.tmp"), b"cut off by a crash").unwrap();
        // WHEN it is opened, and opened again
        Database::open(&path).await.unwrap().close().await;
        let db = Database::open(&path).await.unwrap();
        // THEN the channel is found by its consumer, and the old state is kept
        assert_eq!(db.channels_of(&consumer).await.unwrap(), vec![(format!("{consumer}/key/0"), "old".to_string())]);
        assert!(path.with_extension("v1.db").exists() && !path.with_extension("v1.db.tmp").exists());
    }

    #[tokio::test]
    async fn newer_database_should_be_refused_when_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft.db");
        let db = Database::open(&path).await.unwrap();
        sqlx::query("PRAGMA user_version = 99").execute(&db.pool).await.unwrap();
        db.close().await;
        assert!(matches!(Database::open(&path).await, Err(StoreError::NewerDatabase { .. })));
    }
}
