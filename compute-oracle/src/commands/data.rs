//! `weft data`: records are checked, contributed, revealed, reviewed.
//!
//! A contribution is committed before its root is known to anybody. What the reveal needs (salt, root, content id) is on
//! disk, and the blob in the store, before the commitment is sent: a crash loses no reveal.

use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    datanets::{self, RejectCode, Verdict},
    Call, Client, State,
};
use weft_data::{read_jsonl, survey, Tokenizer};
use weft_protocol::{
    economics::REVEAL_DELAY,
    hash::{Hash, ZERO},
    record::{self, Record},
};
use weft_store::write_private;

use super::signed_all;
use crate::{
    cli::{Data as Command, VerdictArg},
    context::Context,
    error::{CliError, CliResult, Exit},
    keys::address,
    oracle::runs::data_error,
    output::{full, parse_hash, short, table},
};

/// A file as the trainer would read it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The file.
    pub file: PathBuf,
    /// Records.
    pub records: u32,
    /// Bytes in canonical form.
    pub bytes: u64,
    /// Messages of all records.
    pub messages: u32,
    /// Records that equal an earlier one of these files.
    pub duplicates: u32,
    /// Tokens of all records, with a base model.
    pub tokens: Option<u64>,
    /// Tokens of the longest record, with a base model.
    pub longest: Option<u32>,
    /// What is no error and rarely meant.
    pub warnings: Vec<String>,
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Bad lines that are named at a time.
const MOST_ERRORS: usize = 20;

fn open(path: &Path) -> CliResult<std::fs::File> {
    if path.is_dir() {
        return Err(CliError::usage(format!("{} is a folder", path.display()), "name JSONL files"));
    }
    std::fs::File::open(path).map_err(CliError::io("read", path))
}

/// Tokens that a base model reads at once, from its configuration.
fn context(base: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(base.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    config.get("max_position_embeddings").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

/// Reads a JSONL file; errors name file, line and field.
pub fn read(path: &Path) -> CliResult<Vec<Record>> {
    let file = open(path)?;
    read_jsonl(&path.display().to_string(), BufReader::new(file)).map_err(data_error)
}

/// Checks files as the trainer would read them; changes nothing.
pub fn check(files: &[PathBuf], base: Option<&Path>) -> CliResult<Vec<Checked>> {
    let tokenizer = base.map(|dir| Tokenizer::from_dir(dir).map_err(data_error)).transpose()?;
    let mut seen = std::collections::BTreeSet::new();
    let context = base.and_then(context);
    let mut list = Vec::new();
    let mut errors = Vec::new();
    for path in files {
        let left = MOST_ERRORS.saturating_sub(errors.len());
        let found = survey(&path.display().to_string(), BufReader::new(open(path)?), left.max(1));
        if !found.errors.is_empty() {
            errors.extend(found.errors);
            if errors.len() >= MOST_ERRORS {
                break;
            }
            continue;
        }
        let mut warnings: Vec<String> = found
            .unread
            .iter()
            .map(|(key, line)| format!("{}, line {line}: nothing reads the key `{key}`", path.display()))
            .collect();
        let (mut duplicates, mut lines, mut records) = (0u32, Vec::new(), Vec::with_capacity(found.records.len()));
        for (line, r) in found.records {
            if !seen.insert(r.id(&ZERO)) {
                duplicates = duplicates.saturating_add(1);
                lines.push(line);
            }
            records.push(r);
        }
        if let Some(text) = some_lines(&lines) {
            warnings.push(format!("{}: equal to an earlier record, which alone earns: {text}", path.display()));
        }
        let (mut tokens, mut longest) = (None, None);
        if let Some(tokenizer) = &tokenizer {
            let (mut sum, mut most) = (0u64, 0u32);
            for r in &records {
                let text = tokenizer.render(&r.messages, false).map_err(data_error)?;
                let n = count(tokenizer.ids(&text).map_err(data_error)?.len());
                sum = sum.saturating_add(u64::from(n));
                most = most.max(n);
            }
            (tokens, longest) = (Some(sum), Some(most));
            if let Some(context) = context.filter(|c| most > *c) {
                warnings.push(format!(
                    "{}: the longest record has {most} tokens, the model's context is {context}: set `overlong` in the recipe, or split it",
                    path.display()
                ));
            }
        }
        list.push(Checked {
            file: path.clone(),
            records: count(records.len()),
            bytes: u64::try_from(record::contribution_blob(&records).len()).unwrap_or(u64::MAX),
            messages: count(records.iter().map(|r| r.messages.len()).sum()),
            duplicates,
            tokens,
            longest,
            warnings,
        });
    }
    let mut all = errors.into_iter().map(data_error);
    let Some(mut first) = all.next() else { return Ok(list) };
    for other in all {
        first.cause.push('\n');
        first.cause.push_str(&other.cause);
    }
    Err(first)
}

/// `lines 3, 7 and 12 more`; nothing for no lines.
fn some_lines(lines: &[usize]) -> Option<String> {
    let shown: Vec<String> = lines.iter().take(MOST_ERRORS).map(usize::to_string).collect();
    let rest = lines.len().saturating_sub(shown.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    (!shown.is_empty()).then(|| format!("{noun} {}{more}", shown.join(", ")))
}

/// How far a contribution on disk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// On disk; the commitment may or may not have been sent.
    Prepared,
    /// The commitment is final.
    Committed,
    /// The reveal is final.
    Revealed,
}

/// What a reveal needs, as kept in `contributions/<commitment>.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    genesis: String,
    account: String,
    datanet: u32,
    source: PathBuf,
    salt: String,
    root: String,
    content: String,
    records: u32,
    bytes: u64,
    stage: Stage,
    #[serde(default)]
    contribution: Option<u32>,
}

/// A contribution and where it stands.
#[derive(Clone, Debug)]
pub struct Contributed {
    /// The Datanet.
    pub datanet: u32,
    /// Its number there, once revealed.
    pub contribution: Option<u32>,
    /// The commitment.
    pub commitment: Hash,
    /// Root of its record leaves.
    pub root: Hash,
    /// Content id of its blob.
    pub content: Hash,
    /// Records.
    pub records: u32,
    /// Bytes of the blob.
    pub bytes: u64,
    /// The file with salt and content id.
    pub file: PathBuf,
}

/// A kept contribution with its hashes parsed.
struct Open {
    kept: Kept,
    path: PathBuf,
    salt: Hash,
    root: Hash,
    content: Hash,
    commitment: Hash,
}

impl Open {
    fn read(path: PathBuf, me: &Hash) -> CliResult<Self> {
        let broken = |why: String| {
            CliError::new(
                Exit::Failed,
                "corrupt",
                format!("{}: {why}", path.display()),
                "restore it from a backup, or move it away: without its salt the commitment cannot be revealed",
            )
        };
        let text = std::fs::read_to_string(&path).map_err(|e| broken(e.to_string()))?;
        let kept: Kept = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
        let (salt, root, content) = (
            parse_hash(&kept.salt).map_err(broken)?,
            parse_hash(&kept.root).map_err(broken)?,
            parse_hash(&kept.content).map_err(broken)?,
        );
        let commitment = record::commitment(kept.datanet, &root, &salt, me);
        Ok(Self { kept, path, salt, root, content, commitment })
    }

    fn save(&self) -> CliResult {
        let text = serde_json::to_string_pretty(&self.kept)
            .map_err(|e| CliError::new(Exit::Failed, "json", e.to_string(), "report this"))?;
        Ok(write_private(&self.path, text.as_bytes())?)
    }

    fn stage(&mut self, stage: Stage, contribution: Option<u32>) -> CliResult {
        self.kept.stage = stage;
        self.kept.contribution = contribution.or(self.kept.contribution);
        self.save()
    }

    fn result(&self) -> Contributed {
        Contributed {
            datanet: self.kept.datanet,
            contribution: self.kept.contribution,
            commitment: self.commitment,
            root: self.root,
            content: self.content,
            records: self.kept.records,
            bytes: self.kept.bytes,
            file: self.path.clone(),
        }
    }

    fn reveal(&self, params: &datanets::Params) -> (Call, u128) {
        let k = &self.kept;
        let call = datanets::reveal(k.datanet, self.root, self.salt, self.content, k.records, k.bytes);
        let storage = params.storage_deposit.saturating_mul(u128::from(k.bytes.div_ceil(1 << 20)));
        (call, storage.saturating_add(params.risk_deposit))
    }
}

fn folder(ctx: &Context) -> PathBuf {
    ctx.data_dir.join("contributions")
}

/// What this account has on disk for this chain, oldest file name first.
fn kept(ctx: &Context, genesis: &Hash, me: &Hash) -> CliResult<Vec<Open>> {
    let mut paths = Vec::new();
    let folder = folder(ctx);
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(CliError::io("list", &folder))?.path();
                if path.extension().is_some_and(|e| e == "json") {
                    paths.push(path);
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(CliError::io("list", &folder)(e)),
    }
    paths.sort();
    let mut list = Vec::new();
    for path in paths {
        let open = Open::read(path, me)?;
        if open.kept.account == address(me) && open.kept.genesis == hex::encode(genesis) {
            list.push(open);
        }
    }
    Ok(list)
}

/// The number of the contribution with this root, if it is on chain.
async fn find(state: &State, datanet: u32, root: &Hash) -> CliResult<Option<(u32, [u8; 32])>> {
    let Some(net) = datanets::datanet(state, datanet).await? else { return Ok(None) };
    for n in 0..net.contributions {
        if let Some(c) = datanets::contribution(state, datanet, n).await? {
            if c.root == *root {
                return Ok(Some((n, c.owner.0)));
            }
        }
    }
    Ok(None)
}

/// Puts a file's records into the store and what the reveal needs on disk. A contribution prepared before is taken up.
async fn prepare(
    ctx: &Context,
    chain: &Client,
    state: &State,
    me: &Hash,
    datanet: u32,
    path: &Path,
) -> CliResult<Open> {
    let records = read(path)?;
    if datanets::datanet(state, datanet).await?.is_none() {
        return Err(state.missing(format!("Datanet {datanet}")).into());
    }
    let root = record::contribution_root(&records, &ZERO);
    if let Some((n, owner)) = find(state, datanet, &root).await? {
        let whose = if owner == *me { "your".to_string() } else { format!("{}'s", address(&owner)) };
        return Err(CliError::usage(
            format!("the records of {} stand in Datanet {datanet} already: {whose} contribution {n}", path.display()),
            "contribute other records: the earliest commitment owns a record",
        ));
    }
    let genesis = chain.genesis();
    let before = kept(ctx, &genesis, me)?
        .into_iter()
        .find(|o| o.kept.datanet == datanet && o.root == root && o.kept.stage != Stage::Revealed);
    let blob = record::contribution_blob(&records);
    let content = ctx.store()?.put(blob.as_bytes())?;
    if let Some(open) = before {
        return Ok(open);
    }
    let mut salt: Hash = ZERO;
    rand::fill(&mut salt);
    let commitment = record::commitment(datanet, &root, &salt, me);
    let open = Open {
        path: folder(ctx).join(format!("{}.json", hex::encode(commitment))),
        kept: Kept {
            version: 1,
            genesis: hex::encode(genesis),
            account: address(me),
            datanet,
            source: path.to_path_buf(),
            salt: hex::encode(salt),
            root: hex::encode(root),
            content: hex::encode(content),
            records: count(records.len()),
            bytes: u64::try_from(blob.len()).unwrap_or(u64::MAX),
            stage: Stage::Prepared,
            contribution: None,
        },
        salt,
        root,
        content,
        commitment,
    };
    open.save()?;
    Ok(open)
}

/// Contributes one file: stores its blob, commits, waits until that is final, and reveals.
pub async fn contribute(
    ctx: &Context,
    signer: &Keypair,
    datanet: u32,
    path: &Path,
    commit_only: bool,
) -> CliResult<Contributed> {
    let mut list = contribute_all(ctx, signer, &[(datanet, path.to_path_buf())], commit_only).await?;
    list.pop().ok_or_else(|| CliError::new(Exit::Failed, "contribute", "nothing was contributed", "report this"))
}

/// Contributes several files: all commitments back to back, then all reveals.
pub async fn contribute_all(
    ctx: &Context,
    signer: &Keypair,
    files: &[(u32, PathBuf)],
    commit_only: bool,
) -> CliResult<Vec<Contributed>> {
    let chain = ctx.chain().await?;
    let me = signer.public_key().0;
    let state = chain.finalised().await?;
    let mut open = Vec::with_capacity(files.len());
    for (datanet, path) in files {
        open.push(prepare(ctx, chain, &state, &me, *datanet, path).await?);
    }
    let params = datanets::params(&state).await?;
    let mut commits = Vec::new();
    for o in &open {
        if datanets::commitment(&state, &me, &o.commitment).await?.is_none() {
            commits.push((datanets::commit(o.kept.datanet, o.commitment), params.commit_deposit));
        }
    }
    if !commits.is_empty() {
        signed_all(ctx, signer, &commits).await?;
    }
    for o in &mut open {
        o.stage(Stage::Committed, None)?;
    }
    if !commit_only {
        reveal_open(ctx, signer, &mut open).await?;
    }
    Ok(open.iter().map(Open::result).collect())
}

/// Reveals commitments that are final, once the chain takes it.
async fn reveal_open(ctx: &Context, signer: &Keypair, open: &mut [Open]) -> CliResult {
    let chain = ctx.chain().await?;
    let mut state = chain.finalised().await?;
    let me = signer.public_key().0;
    let mut ready = 0u32;
    for o in open.iter() {
        let found = datanets::commitment(&state, &me, &o.commitment).await?.ok_or_else(|| {
            CliError::not_found(
                format!(
                    "the commitment {} is not on the chain at finalised block {}",
                    short(&o.commitment),
                    state.head.number
                ),
                "contribute the file again: the commitment expired or was never final",
            )
        })?;
        ready = ready.max(found.block.saturating_add(REVEAL_DELAY));
    }
    // A call sent now enters a block above the finalised one.
    while state.head.number.saturating_add(1) < ready {
        state = chain.next_finalised(state.head).await?;
    }
    let params = datanets::params(&state).await?;
    let calls: Vec<(Call, u128)> = open.iter().map(|o| o.reveal(&params)).collect();
    let done = signed_all(ctx, signer, &calls).await?;
    let mut superseded = None;
    for (o, included) in open.iter_mut().zip(done) {
        if let Ok(n) = included.id("Datanets", "RevealSuperseded", "contribution") {
            superseded = Some((o.kept.datanet, n, o.kept.source.clone()));
            continue;
        }
        let n = included.id("Datanets", "Revealed", "contribution")?;
        o.stage(Stage::Revealed, Some(n))?;
    }
    match superseded {
        None => Ok(()),
        Some((datanet, n, source)) => Err(CliError::new(
            Exit::Failed,
            "superseded",
            format!(
                "the records of {} were committed first, but contribution {n} of Datanet {datanet} with the same records \
                 was accepted before their reveal; the commit deposit is free again",
                source.display()
            ),
            "reveal sooner after the commitment, and show the curators your earlier commitment",
        )),
    }
}

/// Reveals what this account committed and has not revealed yet.
pub async fn reveal(ctx: &Context, signer: &Keypair) -> CliResult<Vec<Contributed>> {
    let chain = ctx.chain().await?;
    let me = signer.public_key().0;
    let state = chain.finalised().await?;
    let mut due = Vec::new();
    for mut o in kept(ctx, &chain.genesis(), &me)? {
        if o.kept.stage == Stage::Revealed {
            continue;
        }
        if datanets::commitment(&state, &me, &o.commitment).await?.is_some() {
            due.push(o);
        } else if let Some((n, _)) = find(&state, o.kept.datanet, &o.root).await?.filter(|(_, owner)| *owner == me) {
            o.stage(Stage::Revealed, Some(n))?;
        } else {
            ctx.out.note(&format!(
                "{}: its commitment is not on the chain (never final, or expired). Next: `weft data contribute {} {}`",
                o.path.display(),
                o.kept.datanet,
                o.kept.source.display()
            ));
        }
    }
    if !due.is_empty() {
        reveal_open(ctx, signer, &mut due).await?;
    }
    Ok(due.iter().map(Open::result).collect())
}

/// A curator's decision.
#[derive(Clone, Debug)]
pub struct Review {
    /// The Datanet.
    pub datanet: u32,
    /// The contribution.
    pub contribution: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is rejected.
    pub code: Option<RejectCode>,
    /// A sentence for the contributor; its digest goes on chain, the text into the store.
    pub note: Option<String>,
}

/// Votes on one contribution.
pub async fn review(ctx: &Context, signer: &Keypair, vote: &Review) -> CliResult {
    review_all(ctx, signer, std::slice::from_ref(vote)).await
}

/// Votes on several contributions, sent back to back.
pub async fn review_all(ctx: &Context, signer: &Keypair, votes: &[Review]) -> CliResult {
    let mut calls = Vec::with_capacity(votes.len());
    for v in votes {
        if v.verdict == Verdict::Reject && v.code.is_none() {
            return Err(CliError::usage("a rejection needs a reason", "add --reason, for example --reason quality"));
        }
        let note = match &v.note {
            Some(text) if text.len() > 280 => {
                return Err(CliError::usage(format!("the note has {} bytes", text.len()), "use at most 280"))
            }
            Some(text) => Some(ctx.store()?.put(text.as_bytes())?),
            None => None,
        };
        calls.push((datanets::review(v.datanet, v.contribution, v.verdict, v.code, note), 0));
    }
    signed_all(ctx, signer, &calls).await.map(|_| ())
}

fn contributed_json(c: &Contributed) -> Value {
    json!({
        "datanet": c.datanet, "contribution": c.contribution, "commitment": full(&c.commitment), "root": full(&c.root),
        "content": full(&c.content), "records": c.records, "bytes": c.bytes, "file": c.file,
    })
}

fn contributed_text(c: &Contributed) -> String {
    match c.contribution {
        Some(n) => format!(
            "contribution {n} of Datanet {}: {} records, {} bytes; waits for a verdict",
            c.datanet, c.records, c.bytes
        ),
        None => format!(
            "committed {} records to Datanet {}; salt and root are in {}. Next: `weft data reveal`",
            c.records,
            c.datanet,
            c.file.display()
        ),
    }
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Check { files, base } => {
            let list = check(&files, base.as_deref())?;
            let mut rows =
                vec![["file", "records", "duplicates", "bytes", "tokens", "longest"].map(String::from).to_vec()];
            let dash = || "-".to_string();
            for c in &list {
                rows.push(vec![
                    c.file.display().to_string(),
                    c.records.to_string(),
                    c.duplicates.to_string(),
                    c.bytes.to_string(),
                    c.tokens.map_or_else(dash, |t| t.to_string()),
                    c.longest.map_or_else(dash, |t| t.to_string()),
                ]);
            }
            let value: Vec<Value> = list
                .iter()
                .map(|c| {
                    json!({
                        "file": c.file, "records": c.records, "duplicates": c.duplicates, "bytes": c.bytes,
                        "messages": c.messages, "tokens": c.tokens, "longest": c.longest, "warnings": c.warnings,
                    })
                })
                .collect();
            let mut text = table(&rows);
            for warning in list.iter().flat_map(|c| &c.warnings) {
                text.push_str(&format!("  {warning}\n"));
            }
            ctx.result(&json!({ "files": value }), &text);
        }
        Command::Contribute { datanet, file, commit_only } => {
            let c = contribute(ctx, &ctx.signer().await?, datanet, &file, commit_only).await?;
            ctx.result(&contributed_json(&c), &contributed_text(&c));
        }
        Command::Reveal => {
            let list = reveal(ctx, &ctx.signer().await?).await?;
            let value: Vec<Value> = list.iter().map(contributed_json).collect();
            let text = if list.is_empty() {
                "nothing waits for its reveal".to_string()
            } else {
                list.iter().map(contributed_text).collect::<Vec<_>>().join("\n")
            };
            ctx.result(&json!({ "revealed": value }), &text);
        }
        Command::Review { datanet, contribution, verdict, reason, note } => {
            let code = reason
                .map(|r| r.parse::<RejectCode>())
                .transpose()
                .map_err(|e| CliError::usage(e, "give one of the listed reasons"))?;
            let verdict = match verdict {
                VerdictArg::Accept => Verdict::Accept,
                VerdictArg::Reject => Verdict::Reject,
            };
            let vote = Review { datanet, contribution, verdict, code, note };
            review(ctx, &ctx.signer().await?, &vote).await?;
            let state = ctx.chain().await?.finalised().await?;
            let now = datanets::contribution(&state, datanet, contribution).await?.map(|c| c.state);
            ctx.result(
                &json!({ "datanet": datanet, "contribution": contribution, "state": now }),
                &format!(
                    "contribution {contribution} of Datanet {datanet} is {}",
                    now.map_or_else(|| "gone".to_string(), |s| format!("{s:?}").to_lowercase())
                ),
            );
        }
    }
    Ok(())
}
