//! `weft job submit`: from base, data and recipe to a job on chain.

use std::{collections::BTreeMap, path::Path};

use codec::Encode;
use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    datanets,
    models::{self, GrantRef, JobInput, JobSpec, Quote},
    permissions, State,
};
use weft_protocol::{
    graph,
    hash::Hash,
    job::Tier,
    licence::purpose,
    recipe::{self, Recipe},
    run::{sem_id, CLASS_CPU_F32},
    split::ModelSplit,
};

use super::{base_folder, refused, signed};
use crate::{
    cli::JobSubmit,
    context::Context,
    error::{CliError, CliResult},
    oracle::runs::engine_error,
    output::{full, parse_hash, weft},
};

/// A job to submit.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Root of the base model.
    pub base: Hash,
    /// Datanets, each with a snapshot or the newest.
    pub data: Vec<(u32, Option<u32>)>,
    /// Grants held, by Datanet; for the others one is acquired in the same call.
    pub grants: BTreeMap<u32, u32>,
    /// The recipe.
    pub recipe: Recipe,
    /// Fee R of the oracle.
    pub fee: u128,
    /// Declared value G.
    pub value: u128,
    /// Verifiers that recompute the whole run.
    pub verifiers: u8,
}

/// Reads a recipe; unknown keys and values outside their form are refused with their place.
pub fn read_recipe(path: &Path) -> CliResult<Recipe> {
    let bad = |why: String| {
        CliError::usage(format!("{}: {why}", path.display()), "mend the key named; missing keys keep their defaults")
    };
    let text = std::fs::read_to_string(path).map_err(CliError::io("read", path))?;
    // A list would be read as the keys in their order.
    if matches!(serde_json::from_str::<Value>(&text), Ok(value) if !value.is_object()) {
        return Err(bad("a recipe is a JSON object, such as {\"r\": 8}".into()));
    }
    serde_json::from_str(&text).map_err(|e| bad(e.to_string()))
}

/// Whether a recipe file names a key, so that no default takes its place.
fn names(path: &Path, key: &str) -> CliResult<bool> {
    let text = std::fs::read_to_string(path).map_err(CliError::io("read", path))?;
    Ok(serde_json::from_str::<Value>(&text).is_ok_and(|value| value.get(key).is_some()))
}

/// Root of a base model: hex, or the root computed from a folder.
pub fn base_root(text: &str) -> CliResult<Hash> {
    let path = Path::new(text);
    if path.is_dir() {
        base_folder(path)?;
        return weft_engine::base_root(path).map_err(engine_error);
    }
    parse_hash(text).map_err(|e| CliError::usage(e, "give the root of a base model in hex, or its folder"))
}

/// The specification of a job at the newest finalised block.
pub async fn spec(ctx: &Context, new: &NewJob) -> CliResult<JobSpec> {
    let state = ctx.chain().await?.finalised().await?;
    spec_at(&state, new).await
}

async fn spec_at(state: &State, new: &NewJob) -> CliResult<JobSpec> {
    let mut data = new.data.clone();
    data.sort_unstable();
    let mut inputs = Vec::with_capacity(data.len());
    for (datanet, wanted) in data {
        let net =
            datanets::datanet(state, datanet).await?.ok_or_else(|| state.missing(format!("Datanet {datanet}")))?;
        let newest = net.snapshots.checked_sub(1).ok_or_else(|| {
            CliError::not_found(
                format!("Datanet {datanet} has no snapshot"),
                format!("take one with `weft datanet snapshot {datanet}`"),
            )
        })?;
        if let Some(snapshot) = wanted.filter(|s| *s > newest) {
            return Err(CliError::not_found(
                format!("Datanet {datanet} has no snapshot {snapshot}"),
                format!("the newest is {newest}; see `weft datanet show {datanet}`"),
            ));
        }
        let grant = match new.grants.get(&datanet) {
            Some(grant) => GrantRef::Held(*grant),
            None => match permissions::current(state, datanet).await? {
                Some((version, licence)) => GrantRef::Acquire {
                    version,
                    max_price: licence.terms.0.price,
                    purpose: licence.terms.0.purposes,
                    uses: 1,
                },
                // The chain names the refusal: there is no licence.
                None => GrantRef::Acquire { version: 0, max_price: 0, purpose: purpose::TRAIN, uses: 1 },
            },
        };
        inputs.push(JobInput { datanet, snapshot: wanted.unwrap_or(newest), grant });
    }
    if let Some((unknown, _)) = new.grants.iter().find(|(d, _)| !inputs.iter().any(|i| i.datanet == **d)) {
        return Err(CliError::usage(
            format!("a grant is named for Datanet {unknown}, which the job does not use"),
            "name the Datanet with --data, or leave the grant out",
        ));
    }
    Ok(JobSpec {
        base: new.base,
        parent: None,
        inputs,
        recipe: new.recipe.encode(),
        sem_id: sem_id(CLASS_CPU_F32, graph::VERSION),
        tier: Tier::Full(new.verifiers),
        fee: new.fee,
        value: new.value,
        split: ModelSplit::DEFAULT,
    })
}

/// What a job would cost `who`, and what would refuse it.
pub async fn quote(ctx: &Context, who: &[u8; 32], new: &NewJob) -> CliResult<Quote> {
    let state = ctx.chain().await?.finalised().await?;
    let spec = spec_at(&state, new).await?;
    Ok(models::quote(&state, who, &spec).await?)
}

/// A recipe outside its bounds, by field; the chain knows only that one is.
async fn check_recipe(state: &State, new: &NewJob, spec: &JobSpec) -> CliResult {
    let Some(base) = models::base_model(state, &new.base).await? else {
        return Err(CliError::not_found(
            format!("base model {} is not on the chain", full(&new.base)),
            "register it with `weft model register`, or take another",
        ));
    };
    let mut records = 0u32;
    for input in &spec.inputs {
        if let Some(s) = datanets::snapshot(state, input.datanet, input.snapshot).await? {
            records = records.saturating_add(u32::try_from(s.records).unwrap_or(u32::MAX));
        }
    }
    new.recipe.validate(&base.shape.0, records, true).map_err(|recipe::RecipeError { field, bounds }| {
        let recipe = serde_json::to_value(&new.recipe).unwrap_or_default();
        let value = recipe.get(field).map_or_else(String::new, |v| format!(" with {v}"));
        CliError::usage(format!("recipe field '{field}'{value} is outside its bounds: {bounds}"), "correct the recipe")
    })
}

/// Cost of a job as people read it.
#[must_use]
pub fn quote_text(q: &Quote) -> String {
    let licence = q.licence.iter().fold(0u128, |s, (_, price)| s.saturating_add(*price));
    format!(
        "{} records, {} steps, about {} blocks on the reference machine\n  fee {}, verification {}, licences {}: {} on hold until the end\n  an oracle locks {}",
        q.records,
        q.steps,
        q.blocks.run,
        weft(q.fee),
        weft(q.verification),
        weft(licence),
        weft(q.total),
        weft(q.stake),
    )
}

fn quote_json(q: &Quote) -> Value {
    json!({
        "records": q.records, "steps": q.steps, "fee": q.fee.to_string(), "verifier_fee": q.verifier_fee.to_string(),
        "verification": q.verification.to_string(), "total": q.total.to_string(), "stake": q.stake.to_string(),
        "run_blocks": q.blocks.run, "replay_blocks": q.blocks.replay,
        "licence": q.licence.iter().map(|(d, p)| json!({ "datanet": d, "price": p.to_string() })).collect::<Vec<_>>(),
    })
}

/// Submits a job whose quote lists no refusal. Returns its number.
pub async fn submit(ctx: &Context, signer: &Keypair, new: &NewJob) -> CliResult<u32> {
    let state = ctx.chain().await?.finalised().await?;
    let spec = spec_at(&state, new).await?;
    check_recipe(&state, new, &spec).await?;
    let quote = models::quote(&state, &signer.public_key().0, &spec).await?;
    if let Some(refusal) = refused(quote.refusals(&state)) {
        return Err(refusal);
    }
    ctx.out.note(&quote_text(&quote));
    send(ctx, signer, &spec, quote.total).await
}

/// Submits a job without asking for its quote first, so that the chain refuses it where it must.
pub async fn submit_unchecked(ctx: &Context, signer: &Keypair, new: &NewJob) -> CliResult<u32> {
    let spec = spec(ctx, new).await?;
    send(ctx, signer, &spec, new.fee).await
}

async fn send(ctx: &Context, signer: &Keypair, spec: &JobSpec, total: u128) -> CliResult<u32> {
    let acquired = spec.inputs.iter().filter(|i| matches!(i.grant, GrantRef::Acquire { .. })).count();
    let deposit = permissions::params(&ctx.chain().await?.finalised().await?).await?.grant_deposit;
    let deposits = deposit.saturating_mul(u128::try_from(acquired).unwrap_or(u128::MAX));
    let done = signed(ctx, signer, models::submit_job(spec), total.saturating_add(deposits)).await?;
    Ok(done.id("Models", "JobSubmitted", "job")?)
}

/// Reads `DATANET[@SNAPSHOT]`.
fn data_of(text: &str) -> CliResult<(u32, Option<u32>)> {
    let bad =
        || CliError::usage(format!("'{text}' is not DATANET or DATANET@SNAPSHOT"), "write --data 0 or --data 0@2");
    let (datanet, snapshot) = match text.split_once('@') {
        Some((d, s)) => (d, Some(s.parse().map_err(|_| bad())?)),
        None => (text, None),
    };
    Ok((datanet.parse().map_err(|_| bad())?, snapshot))
}

/// Reads `DATANET=GRANT`.
fn grant_of(text: &str) -> CliResult<(u32, u32)> {
    let bad = || CliError::usage(format!("'{text}' is not DATANET=GRANT"), "write --grant 0=7");
    let (datanet, grant) = text.split_once('=').ok_or_else(bad)?;
    Ok((datanet.parse().map_err(|_| bad())?, grant.parse().map_err(|_| bad())?))
}

/// Runs `weft job submit`.
pub async fn command(ctx: &Context, args: JobSubmit) -> CliResult {
    let mut new = NewJob {
        base: base_root(&args.base)?,
        data: args.data.iter().map(|t| data_of(t)).collect::<CliResult<_>>()?,
        grants: args.grants.iter().map(|t| grant_of(t)).collect::<CliResult<_>>()?,
        recipe: read_recipe(&args.recipe)?,
        fee: args.fee,
        value: args.value,
        verifiers: args.verifiers,
    };
    if !names(&args.recipe, "max_seq_len")? {
        // A default must fit the model; what the recipe says is kept, and refused where it does not.
        let state = ctx.chain().await?.finalised().await?;
        if let Some(base) = models::base_model(&state, &new.base).await? {
            new.recipe.max_seq_len = new.recipe.max_seq_len.min(base.shape.0.context);
        }
    }
    let signer = ctx.signer().await?;
    let quoted = quote(ctx, &signer.public_key().0, &new).await?;
    let id = submit(ctx, &signer, &new).await?;
    ctx.result(
        &json!({ "job": id, "quote": quote_json(&quoted) }),
        &format!("job {id} is open. Next: `weft job watch {id}`"),
    );
    if args.watch {
        super::job::follow(ctx, id, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_should_be_read_with_and_without_snapshot() {
        assert_eq!(data_of("3").unwrap(), (3, None));
        assert_eq!(data_of("3@1").unwrap(), (3, Some(1)));
        assert!(data_of("x").is_err() && data_of("3@").is_err());
        assert_eq!(grant_of("3=9").unwrap(), (3, 9));
        assert!(grant_of("3").is_err());
    }

    #[test]
    fn recipe_should_be_refused_when_a_key_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.json");
        std::fs::write(&path, r#"{"learning_rat": 0.1}"#).unwrap();
        let e = read_recipe(&path).unwrap_err();
        assert!(e.cause.contains("learning_rat") && e.cause.contains("recipe.json"), "{e}");
        std::fs::write(&path, "[1]").unwrap();
        assert!(read_recipe(&path).unwrap_err().cause.contains("a recipe is a JSON object"));
    }
}
