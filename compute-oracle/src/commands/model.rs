//! `weft model`: tuned models and base models.

use std::path::Path;

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::models::{self, Model};
use weft_engine::Base;
use weft_protocol::{
    hash::{raw_hash, Hash},
    peft,
};

use super::{base_folder, find_base, signed};
use crate::{
    cli::Model as Command,
    context::Context,
    error::{CliError, CliResult, Exit},
    keys::address,
    oracle::{gather, runs::engine_error},
    output::{full, short, table, weft},
    serving::adapter_files,
};

/// Files of a base model's folder that belong to its text side and go with an adapter.
const TEXT_FILES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// Sets the price of 1,000 tokens; it holds from the next notice on.
pub async fn price(ctx: &Context, signer: &Keypair, model: u32, input: u128, output: u128) -> CliResult {
    signed(ctx, signer, models::set_prices(model, input, output), 0).await.map(|_| ())
}

/// Registers a base model from its folder. Returns its root.
pub async fn register(ctx: &Context, signer: &Keypair, dir: &Path, name: &str, licence: &str) -> CliResult<Hash> {
    for (what, text) in [("name", name), ("licence", licence)] {
        if text.is_empty() || text.len() > 64 {
            return Err(CliError::usage(format!("the {what} has {} bytes", text.len()), "use 1–64 bytes"));
        }
    }
    base_folder(dir)?;
    let base = Base::load(dir).map_err(engine_error)?;
    let (tokenizer, template) = (raw_hash(base.tokenizer_json()), raw_hash(base.template().as_bytes()));
    let root = base.root();
    let state = ctx.chain().await?.finalised().await?;
    if models::base_model(&state, &root).await?.is_some() {
        return Err(CliError::usage(
            format!("base model {} is on the chain already", full(&root)),
            "use it: `weft job submit --base DIR …`",
        ));
    }
    let call = models::register_base_model(root, name, base.shape(), tokenizer, template, licence);
    let deposit = models::params(&state).await?.base_deposit;
    signed(ctx, signer, call, deposit).await?;
    Ok(root)
}

/// A model with its prices.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The model.
    pub model: Model,
    /// Prices in force.
    pub price: models::Price,
}

/// Reads a model.
pub async fn show(ctx: &Context, id: u32) -> CliResult<Shown> {
    let state = ctx.chain().await?.finalised().await?;
    let model = models::model(&state, id).await?.ok_or_else(|| state.missing(format!("model {id}")))?;
    let (_, price) = models::price_in_force(&state, id, model.price_version).await?;
    Ok(Shown { model, price })
}

/// Writes a model's adapter as a folder that PEFT and transformers load: adapter, its configuration, tokenizer and
/// template. Nothing is written under `dir` unless all of it is. Without `base` the known folders are searched.
pub async fn export(ctx: &Context, id: u32, dir: &Path, base: Option<&Path>) -> CliResult {
    if dir.exists() {
        return Err(CliError::usage(format!("{} exists", dir.display()), "name a new folder; nothing is overwritten"));
    }
    let state = ctx.chain().await?.finalised().await?;
    let model = models::model(&state, id).await?.ok_or_else(|| state.missing(format!("model {id}")))?;
    let base = find_base(ctx, base, &model.base, &format!("model {id}"))?.dir;
    let adapter = adapter_files(&ctx.store()?, &model).map_err(|e| match e.exit {
        Exit::NotFound => {
            CliError::not_found(e.cause, "add the blob folder of a daemon that serves the model to store.sources")
        }
        _ => e,
    })?;
    let facts = gather::facts(&state, model.job).await?;
    let base = base.canonicalize().map_err(CliError::io("find", &base))?;
    let config = peft::adapter_config_json(&facts.recipe, &base.display().to_string(), None);
    let folder = weft_engine::NewFolder::create(dir).map_err(engine_error)?;
    let put = |name: &str, bytes: &[u8]| folder.put(name, bytes).map_err(engine_error);
    put("adapter_model.safetensors", &adapter)?;
    put("adapter_config.json", config.as_bytes())?;
    for name in TEXT_FILES {
        let source = base.join(name);
        if source.exists() {
            put(name, &std::fs::read(&source).map_err(CliError::io("read", &source))?)?;
        }
    }
    folder.finish().map_err(engine_error)
}

fn shown_json(id: u32, s: &Shown) -> Value {
    let m = &s.model;
    json!({
        "model": id, "owner": address(&m.owner.0), "job": m.job, "base": full(&m.base),
        "status": format!("{:?}", m.status).to_lowercase(), "minted": m.minted, "oracle": address(&m.run.oracle.0),
        "price_input": s.price.input.to_string(), "price_output": s.price.output.to_string(),
        "price_from": s.price.from, "value": m.value.to_string(), "state": full(&m.state), "seed": full(&m.run.seed),
        "file_len": m.file_len, "file_pages": full(&m.file_pages), "artifacts": full(&m.run.artifacts),
        "method": m.run.method,
        "split_ppm": { "treasury": m.split.0.treasury, "stakers": m.split.0.stakers, "owner": m.split.0.owner,
            "oracle": m.split.0.oracle, "data": m.split.0.data },
        "weights": m.run.parts.0.iter().map(|p| json!({
            "datanet": p.datanet, "leaves": p.leaves, "root": full(&p.root), "paid": p.paid.to_string(),
        })).collect::<Vec<_>>(),
    })
}

fn shown_text(id: u32, s: &Shown) -> String {
    let m = &s.model;
    let mut text = format!(
        "model {id}: {} since block {}, owner {}\n  from job {} on base {}, computed by {}\n  1,000 input tokens {}, 1,000 output tokens {}\n  adapter {} bytes, last state {}\n  fees: treasury {}, stakers {}, owner {}, oracle {}, data {} ppm\n  training weights (method {}):\n",
        format!("{:?}", m.status).to_lowercase(),
        m.minted,
        address(&m.owner.0),
        m.job,
        short(&m.base),
        address(&m.run.oracle.0),
        weft(s.price.input),
        weft(s.price.output),
        m.file_len,
        short(&m.state),
        m.split.0.treasury,
        m.split.0.stakers,
        m.split.0.owner,
        m.split.0.oracle,
        m.split.0.data,
        m.run.method,
    );
    let mut rows = vec![["Datanet", "contributors", "points (ppm)", "root"].map(String::from).to_vec()];
    for p in &m.run.parts.0 {
        rows.push(vec![p.datanet.to_string(), p.leaves.to_string(), (p.paid / 1_000_000).to_string(), short(&p.root)]);
    }
    text.push_str(&table(&rows));
    text
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::List => {
            let state = ctx.chain().await?.finalised().await?;
            let mut rows = vec![["model", "job", "status", "input", "output", "owner"].map(String::from).to_vec()];
            let mut values = Vec::new();
            for id in 0..models::next_model(&state).await? {
                let Some(model) = models::model(&state, id).await? else { continue };
                let (_, price) = models::price_in_force(&state, id, model.price_version).await?;
                let shown = Shown { model, price };
                values.push(shown_json(id, &shown));
                rows.push(vec![
                    id.to_string(),
                    shown.model.job.to_string(),
                    format!("{:?}", shown.model.status).to_lowercase(),
                    weft(price.input),
                    weft(price.output),
                    address(&shown.model.owner.0),
                ]);
            }
            ctx.result(&json!({ "models": values }), &table(&rows));
        }
        Command::Show { model } => {
            let shown = show(ctx, model).await?;
            ctx.result(&shown_json(model, &shown), &shown_text(model, &shown));
        }
        Command::Price { model, input, output } => {
            price(ctx, &ctx.signer().await?, model, input, output).await?;
            ctx.result(
                &json!({ "model": model, "input": input.to_string(), "output": output.to_string() }),
                &format!("model {model}: 1,000 input tokens {}, 1,000 output tokens {}", weft(input), weft(output)),
            );
        }
        Command::Export { model, dir, base } => {
            export(ctx, model, &dir, base.as_deref()).await?;
            ctx.result(
                &json!({ "model": model, "dir": dir }),
                &format!(
                    "{} holds the adapter of model {model}: PeftModel.from_pretrained(base, \"{}\")",
                    dir.display(),
                    dir.display()
                ),
            );
        }
        Command::Root { dir } => {
            base_folder(&dir)?;
            let base = Base::load(&dir).map_err(engine_error)?;
            ctx.result(&json!({ "root": full(&base.root()), "shape": base.shape() }), &full(&base.root()));
        }
        Command::Register { dir, name, licence } => {
            let root = register(ctx, &ctx.signer().await?, &dir, &name, &licence).await?;
            ctx.result(
                &json!({ "root": full(&root) }),
                &format!("base model {} is registered; jobs may use it once the registrar activates it", full(&root)),
            );
        }
    }
    Ok(())
}
