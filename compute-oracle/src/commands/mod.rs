//! The commands of `weft`.
//!
//! Each command is a library function that takes a [`Context`], and the signer where it signs, and returns a typed
//! result; a thin `run` per group prints it as text or JSON. Programs that act for several accounts call the functions
//! directly.

pub mod chat;
pub mod data;
pub mod datanet;
pub mod doctor;
pub mod job;
pub mod key;
pub mod licence;
pub mod model;
pub mod oracle;
pub mod pay;
pub mod reward;
pub mod serve;
pub mod submit;
pub mod verify;

pub use licence::grant;
pub use pay::{apikey, budget};

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use subxt_signer::sr25519::Keypair;
use weft_chain::{Call, ChainError, Included};
use weft_protocol::hash::Hash;

use crate::{
    cli::{Cli, Command},
    config,
    context::Context,
    error::{CliError, CliResult, Exit},
    keys,
    oracle::runs::{load_base, LoadedBase},
    output::{full, Output},
};

/// Code of the error for a call that was shown and not signed: `--dry-run`, or the answer "no".
pub const NOT_SIGNED: &str = "not_signed";

/// Runs one command line.
pub async fn run(cli: Cli) -> CliResult {
    let global = cli.global;
    let data_dir = global.data_dir.unwrap_or_else(config::default_data_dir);
    let mut config = config::load(global.config.as_deref(), &data_dir)?;
    if let Some(url) = global.rpc_url {
        config.chain.rpc_url = url;
    }
    let out = Output {
        json: global.json,
        quiet: global.quiet,
        yes: global.yes,
        dry_run: global.dry_run,
        no_color: global.no_color,
    };
    let ctx = Context::new(config, data_dir, out, global.account);
    match cli.command {
        Command::Serve(args) => serve::serve(ctx, args).await,
        Command::Dev(args) => serve::dev(ctx, args).await,
        Command::Doctor => doctor::run(&ctx).await,
        Command::Datanet(c) => datanet::run(&ctx, c).await,
        Command::Data(c) => data::run(&ctx, c).await,
        Command::Licence(c) => licence::run(&ctx, c).await,
        Command::Grant(c) => grant::run(&ctx, c).await,
        Command::Job(c) => job::run(&ctx, c).await,
        Command::Model(c) => model::run(&ctx, c).await,
        Command::Chat(c) => chat::run(&ctx, c).await,
        Command::Apikey(c) => apikey::run(&ctx, c).await,
        Command::Budget(c) => budget::run(&ctx, c).await,
        Command::Verify(c) => verify::command(&ctx, c).await,
        Command::Reward(c) => reward::run(&ctx, c).await,
        Command::Oracle(c) => oracle::run(&ctx, c).await,
        Command::Key(c) => key::run(&ctx, c).await,
        Command::Store(c) => key::store(&ctx, &c),
        Command::Config(c) => key::config(&ctx, &c),
    }
}

/// Signs one call and waits until it is final; [`NOT_SIGNED`] when the user only looked, or said no.
pub(crate) async fn signed(ctx: &Context, signer: &Keypair, call: Call, held: u128) -> CliResult<Included> {
    ctx.sign(signer, &call, held).await?.ok_or_else(not_signed)
}

/// As [`signed`] for several calls, sent back to back.
pub(crate) async fn signed_all(ctx: &Context, signer: &Keypair, calls: &[(Call, u128)]) -> CliResult<Vec<Included>> {
    ctx.sign_all(signer, calls).await?.ok_or_else(not_signed)
}

fn not_signed() -> CliError {
    CliError::new(Exit::Failed, NOT_SIGNED, "nothing was signed", "run it again without --dry-run, or answer y")
}

/// One error from several refusals of the runtime: the first decides the exit code, all are named.
pub(crate) fn refused(list: Vec<ChainError>) -> Option<CliError> {
    let mut all = list.into_iter().map(CliError::from);
    let mut first = all.next()?;
    for other in all {
        if !first.cause.contains(&other.cause) {
            first.cause.push('\n');
            first.cause.push_str(&other.cause);
        }
    }
    Some(first)
}

/// Folders of base models that are known without being named: those of `oracle.base_models`, else the repository's own.
pub(crate) fn base_folders(ctx: &Context) -> Vec<PathBuf> {
    let mut folders = ctx.config.oracle.base_models.clone();
    let fixture = Path::new("fixtures/base");
    if fixture.is_dir() && !folders.iter().any(|f| f == fixture) {
        folders.push(fixture.to_path_buf());
    }
    folders
}

/// The base model with a root: in the folder that the command names, else in the first known folder that holds it.
/// `user` names it in errors: "job 3".
pub(crate) fn find_base(ctx: &Context, named: Option<&Path>, root: &Hash, user: &str) -> CliResult<LoadedBase> {
    if let Some(dir) = named {
        let loaded = load_base(dir)?;
        let found = loaded.base.root();
        if found != *root {
            return Err(CliError::usage(
                format!("{} has root {}, {user} names {}", dir.display(), full(&found), full(root)),
                "name the folder of that base model with --base",
            ));
        }
        return Ok(loaded);
    }
    let folders = base_folders(ctx);
    let mut looked = Vec::new();
    for dir in &folders {
        match load_base(dir) {
            Ok(loaded) if loaded.base.root() == *root => return Ok(loaded),
            Ok(loaded) => looked.push(format!("{} has root {}", dir.display(), full(&loaded.base.root()))),
            Err(e) => looked.push(e.cause),
        }
    }
    let looked = if looked.is_empty() { "no folder is known".to_string() } else { looked.join("; ") };
    Err(CliError::not_found(
        format!("no base model with root {}, which {user} names: {looked}", full(root)),
        "name its folder with --base, or list it in oracle.base_models",
    ))
}

/// The account of an argument: an address, hex, `//Name`, or the name of a local key. Without one, `--account`.
pub(crate) async fn subject(ctx: &Context, of: Option<&str>) -> CliResult<[u8; 32]> {
    let Some(name) = of.or(ctx.account.as_deref()) else {
        return Err(CliError::usage("no account is named", "add --account ACCOUNT"));
    };
    account(ctx, name).await
}

/// As [`subject`], for an argument that is always there.
pub(crate) async fn account(ctx: &Context, name: &str) -> CliResult<[u8; 32]> {
    let local = keys::key_path(&ctx.data_dir, name);
    if !name.starts_with("//") && !name.starts_with("0x") && local.exists() {
        return keys::public(&local);
    }
    // A bare word that is neither address nor hex can only have been meant as the name of a key.
    let address = name.starts_with("//") || name.starts_with("0x") || name.len() > 40;
    keys::parse_account(name).map_err(|e| if address { e } else { keys::no_key(name, &ctx.data_dir) })
}

/// Refuses a folder that holds no base model, before its files are missed one by one.
pub(crate) fn base_folder(dir: &Path) -> CliResult {
    if !dir.is_dir() {
        return Err(CliError::not_found(format!("there is no folder {}", dir.display()), "check the path"));
    }
    if !dir.join("config.json").is_file() {
        return Err(CliError::usage(
            format!("{} is no base model folder: it has no config.json", dir.display()),
            "name a folder in Hugging Face layout: config.json, tokenizer.json, *.safetensors",
        ));
    }
    Ok(())
}

/// The address of a daemon, as given by the user.
pub(crate) fn daemon_url(text: &str) -> CliResult<reqwest::Url> {
    let refused = |why: String| {
        CliError::usage(format!("'{text}' is no address of a daemon: {why}"), "write one such as http://127.0.0.1:8000")
    };
    let url = reqwest::Url::parse(text).map_err(|e| refused(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("it does not begin with http:// or https://".into()));
    }
    Ok(url)
}

/// Several accounts of arguments.
pub(crate) async fn accounts(ctx: &Context, names: &[String]) -> CliResult<Vec<[u8; 32]>> {
    let mut list = Vec::with_capacity(names.len());
    for name in names {
        list.push(account(ctx, name).await?);
    }
    Ok(list)
}

/// A GET from a daemon, as JSON. Its problems become errors with their own words.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> CliResult<Value> {
    let unreachable = |e: reqwest::Error| {
        CliError::new(
            Exit::Unreachable,
            "daemon_unreachable",
            format!("no daemon answers at {url}: {e}"),
            "start one with `weft serve`, or name another with --daemon or --url",
        )
    };
    let response = client.get(url).send().await.map_err(unreachable)?;
    let status = response.status();
    let body: Value = response.json().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(body);
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let exit = if status == reqwest::StatusCode::NOT_FOUND { Exit::NotFound } else { Exit::Failed };
    Err(CliError::new(exit, "daemon", format!("{url} answers {status}: {}", text("cause")), text("next")))
}

/// Longest wait for a connection to a daemon, and for the next bytes of a short answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest time of a short answer as a whole.
const WHOLE_ANSWER: Duration = Duration::from_secs(60);
/// Longest wait for the next bytes of an answer that a model computes: others may be queued before it.
const COMPUTED: Duration = Duration::from_secs(600);

/// The HTTP client for daemons on this machine or the local network.
pub(crate) fn http() -> CliResult<reqwest::Client> {
    client(reqwest::Client::builder().read_timeout(ANSWER).timeout(WHOLE_ANSWER))
}

/// As [`http`], for answers that a model computes and that come as a stream.
pub(crate) fn http_stream() -> CliResult<reqwest::Client> {
    client(reqwest::Client::builder().read_timeout(COMPUTED))
}

fn client(builder: reqwest::ClientBuilder) -> CliResult<reqwest::Client> {
    builder
        .connect_timeout(ANSWER)
        .build()
        .map_err(|e| CliError::new(Exit::Failed, "http", e.to_string(), "check the proxy settings of the environment"))
}

/// Seconds and nanoseconds of a duration as people read them: `3.2 s`, `4 min 10 s`.
pub(crate) fn seconds(time: std::time::Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 {
        return format!("{whole}.{} s", time.subsec_millis() / 100);
    }
    format!("{} min {} s", whole / 60, whole % 60)
}
