//! `weft doctor`: what this machine has, what is missing, and what to do about it.

use std::path::Path;

use serde_json::json;
use weft_chain::{
    oracles::{self, OracleStatus},
    system, Client,
};
use weft_engine::{Compute, Isa};

use crate::{
    context::Context,
    error::{CliError, CliResult, Exit},
    keys::address,
    output::{full, weft},
};

/// How a check came out.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// `None`: fine. Otherwise the exit code and the next step.
    pub problem: Option<(Exit, String)>,
    /// What was found.
    pub found: String,
}

impl Check {
    fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, problem: None, found: found.into() }
    }

    fn failed(name: &'static str, e: &CliError) -> Self {
        Self { name, problem: Some((e.exit, e.next.clone())), found: e.cause.clone() }
    }
}

/// GiB with one digit, computed on whole numbers.
pub(crate) fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

async fn node(ctx: &Context) -> Check {
    let url = &ctx.config.chain.rpc_url;
    if let Err(e) = crate::context::node_url(url) {
        return Check::failed("node", &e);
    }
    let client = match Client::connect(url).await {
        Ok(client) => client,
        Err(e) => return Check::failed("node", &e.into()),
    };
    match client.finalised().await {
        Ok(state) => Check::fine(
            "node",
            format!(
                "{url}: finalised block {}, genesis {}{}",
                state.head.number,
                full(&client.genesis()),
                if client.is_development() { ", a development chain" } else { "" }
            ),
        ),
        Err(e) => Check::failed("node", &e.into()),
    }
}

fn store(ctx: &Context) -> Check {
    let checked = || -> CliResult<String> {
        let store = ctx.store()?;
        store.check_space(256 << 20)?;
        let usage = store.usage()?;
        for source in &ctx.config.store.sources {
            if !source.join("blobs").is_dir() {
                return Err(CliError::not_found(
                    format!("the source {} has no folder blobs", source.display()),
                    "correct store.sources",
                ));
            }
        }
        Ok(format!(
            "{}: {} blobs, {} free, {} sources",
            store.path().display(),
            usage.blobs,
            gib(usage.free),
            ctx.config.store.sources.len()
        ))
    };
    match checked() {
        Ok(found) => Check::fine("store", found),
        Err(e) => Check::failed("store", &e),
    }
}

fn processor() -> Check {
    let sets: Vec<&str> =
        [Isa::Scalar, Isa::Avx2, Isa::Avx512].into_iter().filter(|i| i.available()).map(Isa::name).collect();
    let threads = Compute::default().threads;
    let best = Isa::detect().name();
    Check::fine(
        "processor",
        format!("{threads} threads; {} usable, {best} is taken; results are equal bit for bit", sets.join(", ")),
    )
}

fn memory() -> Check {
    let read = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| -> Option<u64> {
        let line = read.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    match (field("MemTotal:"), field("MemAvailable:")) {
        (Some(total), Some(free)) if free < 1 << 30 => Check {
            name: "memory",
            problem: Some((Exit::Resources, "end other programs, or take a smaller base model".into())),
            found: format!("{} of {} are free; a run needs about 1 GiB", gib(free), gib(total)),
        },
        (Some(total), Some(free)) => Check::fine("memory", format!("{} of {} are free", gib(free), gib(total))),
        _ => Check::fine("memory", "unknown: /proc/meminfo cannot be read"),
    }
}

/// Why no graphics card computes. Never a failure: the exact class runs on processors.
fn graphics() -> Check {
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/cuda/lib64", "/usr/lib/wsl/lib"]
        .iter()
        .any(|dir| Path::new(dir).join("libcuda.so.1").exists());
    let found = match (driver, library) {
        (Some(text), true) => {
            let version = text.lines().next().unwrap_or_default().trim().to_string();
            format!("not used: this program computes the exact class cpu-f32/1 only ({version})")
        }
        (Some(_), false) => "not used: the NVIDIA driver is loaded, its library libcuda.so.1 is not installed".into(),
        (None, true) => "not used: libcuda.so.1 is installed, the NVIDIA driver is not loaded".into(),
        (None, false) => "not used: no NVIDIA driver on this machine; the exact class cpu-f32/1 needs none".into(),
    };
    Check::fine("graphics card", found)
}

fn bases(ctx: &Context) -> Vec<Check> {
    let folders = super::base_folders(ctx);
    let check = |dir: &Path| match crate::oracle::runs::load_base(dir) {
        Ok(base) => Check::fine("base model", format!("{}: root {}", dir.display(), full(&base.base.root()))),
        Err(e) => Check::failed("base model", &e),
    };
    if folders.is_empty() {
        return vec![Check {
            name: "base model",
            problem: Some((
                Exit::NotFound,
                "name a folder in oracle.base_models, or with `weft serve --base DIR`".into(),
            )),
            found: "none is configured; an oracle needs one to train and to answer".into(),
        }];
    }
    folders.iter().map(|dir| check(dir)).collect()
}

/// All checks.
pub async fn checks(ctx: &Context) -> Vec<Check> {
    // What lies on this machine first: it decides the exit code before the node does.
    let mut list = vec![store(ctx), processor(), memory(), graphics()];
    list.extend(bases(ctx));
    list.push(node(ctx).await);
    list.extend(account(ctx).await);
    list
}

/// The account that works or signs here: its money, and where it stands as an oracle. Nothing without an account.
async fn account(ctx: &Context) -> Vec<Check> {
    let key_file = &ctx.config.oracle.key_file;
    let works = !key_file.is_empty() && ctx.account.as_deref().is_none_or(|a| a == key_file.as_str());
    let Some(name) = ctx.account.as_deref().or(works.then_some(key_file.as_str())) else { return Vec::new() };
    match standing(ctx, name, works).await {
        Ok(list) => list,
        Err(e) => vec![Check::failed("account", &e)],
    }
}

async fn standing(ctx: &Context, name: &str, works: bool) -> CliResult<Vec<Check>> {
    let who = super::account(ctx, name).await?;
    let state = ctx.chain().await?.finalised().await?;
    let balance = system::balance(&state, &who).await?;
    let money = format!("{}: {} free, {} on hold", address(&who), weft(balance.free), weft(balance.reserved));
    let mut list = vec![if balance.free == 0 {
        Check { name: "account", problem: Some((Exit::Funds, "fund it: it cannot pay a fee".into())), found: money }
    } else {
        Check::fine("account", money)
    }];
    list.push(match oracles::oracle(&state, &who).await? {
        None if works => Check {
            name: "oracle",
            problem: Some((Exit::NotFound, "register it: `weft oracle register --stake AMOUNT`".into())),
            found: "the account is no oracle".into(),
        },
        None => Check::fine("oracle", "the account is no oracle; it needs to be one only to serve"),
        Some(o) => {
            let stake = format!("{} staked, {} locked by runs", weft(o.bonded), weft(o.locked));
            let idle = |why: String, next: &str| Check {
                name: "oracle",
                problem: Some((Exit::NotPermitted, next.into())),
                found: format!("{stake}; {why}"),
            };
            match o.status {
                OracleStatus::Active => Check::fine("oracle", stake),
                OracleStatus::Chilled => idle("chilled: it takes nothing new".into(), "`weft oracle resume`"),
                OracleStatus::Jailed { until } => idle(format!("jailed until block {until}"), "wait until then"),
            }
        }
    });
    Ok(list)
}

/// Runs the command; its exit code is that of the first problem.
pub async fn run(ctx: &Context) -> CliResult {
    let list = checks(ctx).await;
    let mut text = String::new();
    for c in &list {
        let mark = if c.problem.is_none() { "ok     " } else { "missing" };
        text.push_str(&format!("{mark} {}: {}\n", c.name, c.found));
        if let Some((_, next)) = &c.problem {
            text.push_str(&format!("        next: {next}\n"));
        }
    }
    let values: Vec<_> = list
        .iter()
        .map(|c| json!({ "name": c.name, "ok": c.problem.is_none(), "found": c.found, "next": c.problem.as_ref().map(|p| &p.1) }))
        .collect();
    ctx.result(&json!({ "checks": values }), &text);
    match list.into_iter().find_map(|c| c.problem.map(|p| (c.name, p))) {
        None => Ok(()),
        Some((name, (exit, next))) => Err(CliError::new(exit, "doctor", format!("{name}: something is missing"), next)),
    }
}
