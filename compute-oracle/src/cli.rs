//! The command line of `weft`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::{parse_amount, parse_hash};

/// Weft: train on permissioned data, prove the run, pay the contributors.
///
/// A contributor runs `data contribute`; a builder `job submit`, `job watch` and `chat`; an operator `serve`; anyone
/// `verify run`. Amounts are WEFT (1.5) or smallest units (1500000000000u).
#[derive(Parser, Debug)]
#[command(name = "weft", version, propagate_version = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// Configuration file [default: /etc/weft/weft.toml or ~/.config/weft/weft.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of keys, blobs and jobs [default: ~/.local/share/weft].
    #[arg(long, global = true, value_name = "DIR", env = "WEFT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// JSON-RPC address of a node [default: ws://127.0.0.1:9944].
    #[arg(long, global = true, value_name = "URL", env = "WEFT_RPC_URL")]
    pub rpc_url: Option<String>,
    /// Account that signs: a key's name, a key file, or //Name on a development chain.
    #[arg(long, global = true, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no notes and no progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Sign without asking.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Show what would be signed, and stop.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Print no colours.
    #[arg(long, global = true, env = "NO_COLOR", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub no_color: bool,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the daemon: HTTP API, and with an oracle key training, audits, juries, serving and settlement.
    Serve(Serve),
    /// Start a development chain, an oracle and a verifier on this machine, until Ctrl-C.
    Dev(Dev),
    /// Check node, store, disk, processor and graphics card, and say what is missing.
    Doctor,
    /// Datanets.
    #[command(subcommand)]
    Datanet(Datanet),
    /// Records: check, contribute, reveal, review.
    #[command(subcommand)]
    Data(Data),
    /// Licences of a Datanet.
    #[command(subcommand)]
    Licence(Licence),
    /// Permissions to train on a Datanet.
    #[command(subcommand)]
    Grant(Grant),
    /// Training jobs.
    #[command(subcommand)]
    Job(Job),
    /// Tuned models and base models.
    #[command(subcommand)]
    Model(Model),
    /// Chat with a model through a daemon.
    Chat(Chat),
    /// API keys.
    #[command(subcommand)]
    Apikey(Apikey),
    /// Budgets at oracles, from which answers are paid.
    #[command(subcommand)]
    Budget(Budget),
    /// Recompute and compare.
    #[command(subcommand)]
    Verify(Verify),
    /// Earnings.
    #[command(subcommand)]
    Reward(Reward),
    /// Work as a compute oracle.
    #[command(subcommand)]
    Oracle(Oracle),
    /// Account keys.
    #[command(subcommand)]
    Key(Key),
    /// Blobs.
    #[command(subcommand)]
    Store(Store),
    /// Configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// `weft serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// Work as an oracle with this account (overrides oracle.key_file).
    #[arg(long, value_name = "ACCOUNT")]
    pub oracle: Option<String>,
    /// Address of the HTTP API; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Folder of a base model; may be given several times.
    #[arg(long = "base", value_name = "DIR")]
    pub bases: Vec<PathBuf>,
    /// Do not take jobs; answer audits and juries only.
    #[arg(long)]
    pub no_jobs: bool,
}

/// `weft dev`.
#[derive(Args, Debug)]
pub struct Dev {
    /// The node program [default: weft-node beside this program].
    #[arg(long, value_name = "FILE")]
    pub node: Option<PathBuf>,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR", default_value = "fixtures/base")]
    pub base: PathBuf,
}

/// `weft datanet`.
#[derive(Subcommand, Debug)]
pub enum Datanet {
    /// Create a Datanet.
    Create {
        /// Name, 1–64 bytes.
        name: String,
        /// What the records are.
        #[arg(long, value_enum, default_value_t = KindArg::Instruction)]
        kind: KindArg,
        /// Markdown card: what is in it, from where, under which terms.
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// Equal curator votes that decide; 0: the owner decides.
        #[arg(long, default_value_t = 1)]
        threshold: u8,
        /// Curators.
        #[arg(long = "curator", value_name = "ACCOUNT")]
        curators: Vec<String>,
    },
    /// List Datanets.
    List,
    /// Show a Datanet with its contributions.
    Show {
        /// Number.
        datanet: u32,
    },
    /// Replace the curators.
    Curators {
        /// Number.
        datanet: u32,
        /// All curators.
        curators: Vec<String>,
    },
    /// Take a snapshot of what is accepted.
    Snapshot {
        /// Number.
        datanet: u32,
    },
}

/// Kind of records.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindArg {
    /// Conversations of several turns.
    Chat,
    /// Prompt and completion.
    Instruction,
    /// Running text.
    Text,
}

/// `weft data`.
#[derive(Subcommand, Debug)]
pub enum Data {
    /// Check files as the trainer would read them; changes nothing.
    Check {
        /// JSONL files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Base model whose template and tokenizer count the tokens.
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
    },
    /// Contribute a file: stores its blob, commits, and reveals once the commitment is final.
    Contribute {
        /// Datanet.
        datanet: u32,
        /// JSONL file.
        file: PathBuf,
        /// Stop after the commitment; `weft data reveal` goes on.
        #[arg(long)]
        commit_only: bool,
    },
    /// Reveal contributions that were committed and not yet revealed, after a crash for example.
    Reveal,
    /// Accept or reject a contribution.
    Review {
        /// Datanet.
        datanet: u32,
        /// Contribution.
        contribution: u32,
        /// The verdict.
        #[arg(value_enum)]
        verdict: VerdictArg,
        /// Why it is rejected: duplicate, format, off-topic, quality, personal-data, plagiarism, malware, unlawful, other.
        #[arg(long)]
        reason: Option<String>,
        /// A sentence for the contributor; its digest goes on chain.
        #[arg(long)]
        note: Option<String>,
    },
}

/// A verdict.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum VerdictArg {
    /// The records belong into the Datanet.
    Accept,
    /// They do not.
    Reject,
}

/// `weft licence`.
#[derive(Subcommand, Debug)]
pub enum Licence {
    /// Set the terms from a TOML file; existing grants keep theirs.
    Set {
        /// Datanet.
        datanet: u32,
        /// Terms [default: the chain's default licence at price 0].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Price of one training, over the file's.
        #[arg(long, value_parser = parse_amount)]
        price: Option<u128>,
    },
    /// Show the current terms.
    Show {
        /// Datanet.
        datanet: u32,
    },
}

/// `weft grant`.
#[derive(Subcommand, Debug)]
pub enum Grant {
    /// Ask for a permission; granted at once where approval is open.
    Request {
        /// Datanet.
        datanet: u32,
        /// Number of trainings.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Highest price per training [default: the current price].
        #[arg(long, value_parser = parse_amount)]
        max_price: Option<u128>,
        /// Base model [default: any the licence allows].
        #[arg(long, value_parser = parse_hash)]
        base: Option<[u8; 32]>,
    },
    /// Show a grant.
    Show {
        /// Number.
        grant: u32,
    },
    /// Take back a grant of your Datanet.
    Revoke {
        /// Number.
        grant: u32,
        /// Because of a breach, not for convenience.
        #[arg(long)]
        breach: bool,
    },
}

/// `weft job`.
#[derive(Subcommand, Debug)]
pub enum Job {
    /// Submit a training job.
    Submit(Box<JobSubmit>),
    /// List jobs.
    List,
    /// Show state, who must act until which block, what happens otherwise, and the refund.
    Show {
        /// Number.
        job: u32,
    },
    /// Follow a job to its end: phases, loss, time left. Ends with the run's result.
    Watch {
        /// Number.
        job: u32,
        /// Daemon whose training events are shown.
        #[arg(long, value_name = "URL")]
        daemon: Option<String>,
    },
    /// Cancel a job that no oracle has taken; everything is refunded.
    Cancel {
        /// Number.
        job: u32,
    },
}

/// `weft job submit`.
#[derive(Args, Debug)]
pub struct JobSubmit {
    /// Base model: its root, or a folder.
    #[arg(long)]
    pub base: String,
    /// Datanet, with @SNAPSHOT for another than the newest; may be given several times.
    #[arg(long = "data", value_name = "DATANET[@SNAPSHOT]", required = true)]
    pub data: Vec<String>,
    /// Grant to use for a Datanet, as DATANET=GRANT; without it one is acquired in the same call.
    #[arg(long = "grant", value_name = "DATANET=GRANT")]
    pub grants: Vec<String>,
    /// Recipe (JSON); unknown keys are refused.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// Fee of the oracle.
    #[arg(long, value_parser = parse_amount)]
    pub fee: u128,
    /// Declared value of the model: what a cheat could gain.
    #[arg(long, value_parser = parse_amount, default_value = "1")]
    pub value: u128,
    /// Verifiers that recompute the whole run.
    #[arg(long, default_value_t = 1)]
    pub verifiers: u8,
    /// Follow the job after submission.
    #[arg(long)]
    pub watch: bool,
}

/// `weft model`.
#[derive(Subcommand, Debug)]
pub enum Model {
    /// List tuned models.
    List,
    /// Show a model: lineage, run, prices, weights.
    Show {
        /// Number.
        model: u32,
    },
    /// Set the price of 1,000 tokens.
    Price {
        /// Number.
        model: u32,
        /// Input tokens.
        #[arg(long, value_parser = parse_amount)]
        input: u128,
        /// Output tokens.
        #[arg(long, value_parser = parse_amount)]
        output: u128,
    },
    /// Write the adapter as a PEFT folder that transformers loads.
    Export {
        /// Number.
        model: u32,
        /// New folder.
        dir: PathBuf,
        /// Folder of the base model.
        #[arg(long, value_name = "DIR")]
        base: PathBuf,
    },
    /// Compute the root of a base model's folder.
    Root {
        /// Folder.
        dir: PathBuf,
    },
    /// Register a base model.
    Register {
        /// Folder.
        dir: PathBuf,
        /// Name.
        #[arg(long)]
        name: String,
        /// SPDX or RAIL id of the weights' licence.
        #[arg(long, default_value = "Apache-2.0")]
        licence: String,
    },
}

/// `weft chat`.
#[derive(Args, Debug)]
pub struct Chat {
    /// Model: its number, its id, or `base`.
    pub model: String,
    /// The question; without it, one per line from standard input.
    pub prompt: Option<String>,
    /// Daemon.
    #[arg(long, default_value = "http://127.0.0.1:8000", env = "OPENAI_BASE_URL")]
    pub url: String,
    /// File that holds the API key [default: the environment variable OPENAI_API_KEY].
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Longest answer in tokens.
    #[arg(long, default_value_t = 64)]
    pub max_tokens: u32,
    /// 0 is greedy.
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f32,
}

/// `weft apikey`.
#[derive(Subcommand, Debug)]
pub enum Apikey {
    /// Make a key, register its public half, and print the secret once.
    Create {
        /// Most units a day.
        #[arg(long, value_parser = parse_amount, default_value = "1")]
        daily_limit: u128,
        /// Models it may pay for [default: every model].
        #[arg(long = "model")]
        models: Vec<u32>,
        /// Days until it expires.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Write the secret into this file (mode 0600) instead of printing it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys of --account.
    List,
    /// Revoke a key.
    Revoke {
        /// Public key, hex.
        #[arg(value_parser = parse_hash)]
        key: [u8; 32],
    },
}

/// `weft budget`.
#[derive(Subcommand, Debug)]
pub enum Budget {
    /// Open a budget at an oracle.
    Open {
        /// The oracle.
        oracle: String,
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Add to a budget.
    TopUp {
        /// The oracle.
        oracle: String,
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Close a budget; the rest can be taken out once it unlocks, by the same command.
    Close {
        /// The oracle.
        oracle: String,
    },
    /// Show a budget.
    Show {
        /// The oracle.
        oracle: String,
    },
}

/// `weft verify`.
#[derive(Subcommand, Debug)]
pub enum Verify {
    /// Recompute a job's run from public inputs: prints "identical", or the first differing step with slot and page.
    Run {
        /// Number.
        job: u32,
        /// Folder of the base model.
        #[arg(long, value_name = "DIR")]
        base: PathBuf,
        /// Worker threads; 0 takes all cores.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Instruction set; results are equal bit for bit.
        #[arg(long, value_enum, default_value_t = IsaArg::Auto)]
        isa: IsaArg,
        /// Checkpoints of the oracle's run (runs/JOB/engine in its data folder): they show slot and page of a difference.
        #[arg(long, value_name = "DIR")]
        checkpoints: Option<PathBuf>,
    },
}

/// Instruction set.
#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
pub enum IsaArg {
    /// The best this machine has.
    Auto,
    /// The reference.
    Scalar,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

/// `weft reward`.
#[derive(Subcommand, Debug)]
pub enum Reward {
    /// Per contribution: accepted, used, influenced, earned, claimed, and why a number is zero.
    Show {
        /// Account [default: --account].
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
        /// Daemons that hold the payout trees.
        #[arg(long, value_name = "URL")]
        daemon: Vec<String>,
    },
    /// Claim everything that is due.
    Claim {
        /// Account that is paid [default: --account]; anyone may claim for anyone.
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
        /// Daemons that hold the payout trees.
        #[arg(long, value_name = "URL")]
        daemon: Vec<String>,
    },
}

/// `weft oracle`.
#[derive(Subcommand, Debug)]
pub enum Oracle {
    /// Register --account as an oracle.
    Register {
        /// Stake.
        #[arg(long, value_parser = parse_amount)]
        stake: u128,
        /// Multiaddr of the daemon.
        #[arg(long, default_value = "/ip4/127.0.0.1/tcp/8000/http")]
        endpoint: String,
    },
    /// Add stake.
    Stake {
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Start to take stake out; without an amount take out what is due.
    Unstake {
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: Option<u128>,
    },
    /// Take nothing new.
    Chill,
    /// Take work again.
    Resume,
    /// Stake, duties and their deadlines.
    Status {
        /// Account [default: --account].
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
    },
    /// Accuse a run of being false at X_u; a jury recomputes it.
    Accuse {
        /// Number of the job.
        job: u32,
        /// Index of the first differing state.
        step: u32,
    },
}

/// `weft key`.
#[derive(Subcommand, Debug)]
pub enum Key {
    /// Make a key: sr25519, in a file of mode 0600.
    Generate {
        /// Name, or a path ending in .json.
        name: String,
        /// Store the seed without a passphrase.
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Show the address of --account.
    Show,
}

/// `weft store`.
#[derive(Subcommand, Debug)]
pub enum Store {
    /// Blobs, bytes and free disk.
    Status,
}

/// `weft config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print the configuration in force.
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_should_be_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_should_hold_after_the_command() {
        let cli = Cli::try_parse_from(["weft", "datanet", "show", "3", "--json", "--account", "//Alice"]).unwrap();
        assert!(cli.global.json && !cli.global.no_color);
        assert_eq!(cli.global.account.as_deref(), Some("//Alice"));
        assert!(Cli::try_parse_from(["weft", "job", "submit"]).is_err());
    }
}
