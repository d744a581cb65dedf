//! `weft key`, `weft store`, `weft config`: what lies on this machine.

use serde_json::json;

use super::subject;
use crate::{
    cli::{ConfigCommand, Key as Command, Store},
    context::Context,
    error::{CliError, CliResult, Exit},
    keys,
    output::full,
};

/// Runs a command of the group `key`.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Generate { name, no_passphrase } => {
            let path = keys::new_key_path(&ctx.data_dir, &name)?;
            let address = keys::generate(&path, !no_passphrase)?;
            ctx.result(
                &json!({ "name": name, "address": address, "file": path }),
                &format!(
                    "{address}\n  in {}; back it up: nobody can restore it. Next: fund it, then --account {name}",
                    path.display()
                ),
            );
        }
        Command::Show => {
            let who = subject(ctx, None).await?;
            ctx.result(
                &json!({ "address": keys::address(&who), "public": full(&who) }),
                &format!("{}\n  public key {}", keys::address(&who), full(&who)),
            );
        }
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        return super::doctor::gib(bytes);
    }
    format!("{}.{} MiB", bytes >> 20, (bytes & 0xf_ffff).saturating_mul(10) >> 20)
}

/// Runs a command of the group `store`.
pub fn store(ctx: &Context, command: &Store) -> CliResult {
    match command {
        Store::Status => {
            let store = ctx.store()?;
            let usage = store.usage()?;
            let sources: Vec<String> = ctx.config.store.sources.iter().map(|p| p.display().to_string()).collect();
            ctx.result(
                &json!({
                    "path": store.path(), "blobs": usage.blobs, "bytes": usage.bytes, "free": usage.free,
                    "sources": sources,
                }),
                &format!(
                    "{}: {} blobs, {}; {} free on its disk\n  sources: {}",
                    store.path().display(),
                    usage.blobs,
                    size(usage.bytes),
                    size(usage.free),
                    if sources.is_empty() { "none".to_string() } else { sources.join(", ") }
                ),
            );
        }
    }
    Ok(())
}

/// Runs a command of the group `config`.
pub fn config(ctx: &Context, command: &ConfigCommand) -> CliResult {
    match command {
        ConfigCommand::Show => {
            super::serve::listen_address(&ctx.config.server.listen)?;
            crate::daemon::compute(&ctx.config.oracle.isa, ctx.config.oracle.threads)?;
            let broken = |e: String| CliError::new(Exit::Failed, "config", e, "report this");
            let value = serde_json::to_value(&ctx.config).map_err(|e| broken(e.to_string()))?;
            let text = toml::to_string_pretty(&ctx.config).map_err(|e| broken(e.to_string()))?;
            ctx.result(&value, &text);
        }
    }
    Ok(())
}
