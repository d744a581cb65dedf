//! `weft serve` and `weft dev`: daemons.

use std::{
    io::IsTerminal,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{kill_process, Pid, Signal};
use serde_json::json;
use tokio::process::{Child, Command};
use tracing_subscriber::EnvFilter;
use weft_chain::Client;

use super::oracle;
use crate::{
    cli::{Dev, Serve},
    config::{Config, LogConfig},
    context::Context,
    daemon::{self, wait_for_signal, Options},
    error::{CliError, CliResult, Exit},
    guard, keys,
    output::WEFT,
};

/// Stake of the accounts of `weft dev`.
const DEV_STAKE: u128 = 100_000 * WEFT;
/// JSON-RPC port of the development node.
const DEV_RPC: u16 = 9944;
/// How long the node may take to answer.
const NODE_START: Duration = Duration::from_secs(90);
/// How long a child may take to write its checkpoint and end.
const CHILD_STOP: Duration = Duration::from_secs(20);

/// Sets up logging; `RUST_LOG` wins over the configuration. A second call changes nothing.
fn logging(log: &LogConfig, colours: bool) -> CliResult {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => text,
        _ => log.level.clone(),
    };
    let filter = EnvFilter::try_new(&filter).map_err(|e| {
        CliError::usage(format!("log.level '{filter}': {e}"), "write a level such as info, or weft=debug")
    })?;
    let colours = std::io::stderr().is_terminal() && colours;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let set = match log.format.as_str() {
        "json" => builder.json().try_init(),
        "text" => builder.try_init(),
        other => {
            return Err(CliError::usage(format!("log.format '{other}' is not text or json"), "correct log.format"))
        }
    };
    if set.is_err() {
        tracing::debug!("logging was set up before");
    }
    Ok(())
}

/// The configuration with the command's flags over it.
#[must_use]
pub fn merged(mut config: Config, account: Option<&str>, args: &Serve) -> Config {
    if let Some(key) = args.oracle.as_deref().or(account) {
        config.oracle.key_file = key.to_string();
    }
    if let Some(listen) = &args.listen {
        config.server.listen.clone_from(listen);
    }
    if !args.bases.is_empty() {
        config.oracle.base_models.clone_from(&args.bases);
    }
    if args.no_jobs {
        config.oracle.take_jobs = false;
    }
    config
}

/// Refuses what is no HOST:PORT; whether it is free shows when it is taken.
pub(crate) fn listen_address(text: &str) -> CliResult {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(CliError::usage(
            format!("'{text}' is no address to listen at: HOST:PORT expected"),
            "write one such as 127.0.0.1:8000",
        )),
    }
}

/// Runs the daemon.
pub async fn serve(ctx: Context, args: Serve) -> CliResult {
    let config = merged(ctx.config, ctx.account.as_deref(), &args);
    listen_address(&config.server.listen)?;
    crate::context::node_url(&config.chain.rpc_url)?;
    logging(&config.log, ctx.out.colours())?;
    daemon::serve(config, ctx.data_dir, Options::default()).await
}

/// A child process with its name.
struct Part {
    name: &'static str,
    child: Child,
}

/// Fails with a clear message when a port is taken.
fn free(port: u16) -> CliResult {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).map(|_| ()).map_err(|e| {
        CliError::new(
            Exit::Failed,
            "port_taken",
            format!("port {port} cannot be used: {e}"),
            format!("end the program that listens there: `ss -ltnp 'sport = :{port}'` names it"),
        )
    })
}

fn program(dev: &Dev) -> CliResult<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("weft-node");
    let path = dev.node.clone().unwrap_or(beside);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::not_found(
        format!("there is no node program at {}", path.display()),
        "build it, or name it with --node",
    ))
}

/// Starts a child that ends with this process, even when that is killed. The thread that calls this lives as long.
fn start(name: &'static str, mut command: Command, log: &Path) -> CliResult<Part> {
    let file = std::fs::File::create(log).map_err(CliError::io("write", log))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(file.try_clone()?))
        .stderr(Stdio::from(file))
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            CliError::new(Exit::Failed, "spawn", format!("the {name} does not start: {e}"), "check the file")
        })?;
    Ok(Part { name, child })
}

/// Ends a child: SIGTERM, and SIGKILL when it takes too long.
async fn stop(mut part: Part) {
    let pid = part.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended in between.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(CHILD_STOP, part.child.wait()).await.is_err() {
        eprintln!("the {} does not end; killing it", part.name);
        let _gone = part.child.kill().await;
    }
}

/// Waits until the node answers, or it or the time has ended.
async fn node_up(url: &str, node: &mut Part, log: &Path) -> CliResult {
    let end = Instant::now().checked_add(NODE_START);
    loop {
        if let Ok(client) = Client::connect(url).await {
            if client.finalised().await.is_ok_and(|s| s.head.number > 0) {
                return Ok(());
            }
        }
        if let Some(status) = node.child.try_wait()? {
            return Err(CliError::new(
                Exit::Failed,
                "node_ended",
                format!("the node ended with {status}"),
                format!("read {}", log.display()),
            ));
        }
        if end.is_none_or(|e| Instant::now() > e) {
            return Err(CliError::new(
                Exit::Unreachable,
                "node_silent",
                format!("the node has not finalised a block in {} s", NODE_START.as_secs()),
                format!("read {}", log.display()),
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Paths and ports of a development stack.
struct Stack<'a> {
    dir: PathBuf,
    url: String,
    base: &'a Path,
    sources: Vec<PathBuf>,
}

impl Stack<'_> {
    fn daemon(&self, name: &'static str, uri: &str, port: u16) -> CliResult<Part> {
        let home = self.dir.join(name);
        std::fs::create_dir_all(&home).map_err(CliError::io("create", &home))?;
        let own = home.join("store");
        let others: Vec<String> = self.sources.iter().filter(|s| **s != own).map(|s| s.display().to_string()).collect();
        let mut command = Command::from(guard::command(&std::env::current_exe()?)?);
        command
            .arg("--data-dir")
            .arg(&home)
            .args([
                "--rpc-url",
                &self.url,
                "serve",
                "--oracle",
                uri,
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--base",
            ])
            .arg(self.base)
            .env("WEFT_STORE__SOURCES", serde_json::Value::from(others).to_string());
        if name == "verifier" {
            command.arg("--no-jobs");
        }
        start(name, command, &self.dir.join(format!("{name}.log")))
    }
}

/// Starts a development chain, an oracle and a verifier, and keeps them until Ctrl-C.
pub async fn dev(ctx: Context, args: Dev) -> CliResult {
    for port in [DEV_RPC, 8000, 8001] {
        free(port)?;
    }
    let node = program(&args)?;
    let base = args.base.canonicalize().map_err(|e| {
        CliError::not_found(format!("no base model at {}: {e}", args.base.display()), "name its folder with --base")
    })?;
    let dir = ctx.data_dir.join("dev");
    std::fs::create_dir_all(&dir).map_err(CliError::io("create", &dir))?;
    let dir = dir.canonicalize().map_err(CliError::io("find", &dir))?;
    ctx.store()?.check_space(1 << 30)?;
    let user = ctx.config.store.path.canonicalize().map_err(CliError::io("find", &ctx.config.store.path))?;
    let stack = Stack {
        url: format!("ws://127.0.0.1:{DEV_RPC}"),
        base: &base,
        sources: vec![user, dir.join("oracle/store"), dir.join("verifier/store")],
        dir: dir.clone(),
    };

    let log = dir.join("node.log");
    let mut command = Command::from(guard::command(&node)?);
    command.args(["--dev", "--rpc-port", &DEV_RPC.to_string(), "--base-path"]).arg(dir.join("node"));
    let mut parts = vec![start("node", command, &log)?];
    // One listener for the whole time: a signal that comes between two would be lost.
    let outcome = tokio::select! {
        done = run_stack(&ctx, &stack, &mut parts, &log) => done,
        () = wait_for_signal() => Ok(()),
    };
    // Daemons first: they still send what is due.
    while let Some(part) = parts.pop() {
        stop(part).await;
    }
    outcome
}

async fn run_stack(ctx: &Context, stack: &Stack<'_>, parts: &mut Vec<Part>, log: &Path) -> CliResult {
    ctx.out.note("waiting for the node's first finalised block");
    if let Some(node) = parts.first_mut() {
        node_up(&stack.url, node, log).await?;
    }
    let chain = Context::new(
        Config {
            chain: crate::config::ChainConfig { rpc_url: stack.url.clone(), genesis: String::new() },
            ..ctx.config.clone()
        },
        ctx.data_dir.clone(),
        crate::output::Output { quiet: true, yes: true, ..ctx.out },
        None,
    );
    for (name, uri, port) in [("oracle", "//Oracle", 8000u16), ("verifier", "//Verifier", 8001)] {
        let signer = keys::load(uri, &ctx.data_dir, chain.chain().await?.is_development())?;
        if !oracle::is_registered(&chain, &signer.public_key().0).await? {
            ctx.out.note(&format!("registering {uri} as an oracle"));
            oracle::register(&chain, &signer, DEV_STAKE, &format!("/ip4/127.0.0.1/tcp/{port}/http")).await?;
        }
        parts.push(stack.daemon(name, uri, port)?);
    }
    ctx.result(
        &json!({
            "rpc": stack.url, "oracle": "http://127.0.0.1:8000", "verifier": "http://127.0.0.1:8001", "dir": stack.dir,
            "oracle_account": "//Oracle", "verifier_account": "//Verifier",
        }),
        &format!(
            "node      {}\noracle    http://127.0.0.1:8000 (//Oracle)\nverifier  http://127.0.0.1:8001 (//Verifier)\ndata      {}\nFunded accounts: //Contributor1 to 3, //Curator, //Builder, //Consumer. Ctrl-C ends all of it.",
            stack.url,
            stack.dir.display()
        ),
    );
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for part in parts.iter_mut() {
            if let Some(status) = part.child.try_wait()? {
                return Err(CliError::new(
                    Exit::Failed,
                    "child_ended",
                    format!("the {} ended with {status}", part.name),
                    format!("read {}", stack.dir.join(format!("{}.log", part.name)).display()),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_should_win_over_the_configuration() {
        let args = Serve {
            oracle: Some("//Oracle".into()),
            listen: Some("127.0.0.1:0".into()),
            bases: vec!["b".into()],
            no_jobs: true,
        };
        let config = merged(Config::default(), Some("other"), &args);
        assert_eq!((config.oracle.key_file.as_str(), config.server.listen.as_str()), ("//Oracle", "127.0.0.1:0"));
        assert_eq!((config.oracle.base_models.len(), config.oracle.take_jobs), (1, false));
        let args = Serve { oracle: None, listen: None, bases: Vec::new(), no_jobs: false };
        assert_eq!(merged(Config::default(), Some("me"), &args).oracle.key_file, "me");
    }
}
