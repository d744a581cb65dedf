//! The command line of `weft`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::{parse_amount, parse_hash};

/// Keys of a licence file, and an example.
const LICENCE_HELP: &str = "\
Keys of the TOML file (a missing one keeps the default licence's value):
  name              SPDX or RAIL id [CC0-1.0]
  text_file         file with the licence's text; it goes into the store, its digest on chain
  purposes          list of train, evaluate, serve_public, serve_private, commercial, derive, export, span_index,
                    local_read [all]
  price             price of one training, such as \"1.5\" [0]
  pool_min_ppm      least and most share of a model's fees that its data earns, in ppm; equal for attribution
  pool_max_ppm
  base_ppm          part of the points that go by trained tokens, 0 to 500000 [200000]
  contributors_ppm  the three shares of the data's part; they sum to 1000000 [800000, 100000, 100000]
  owner_ppm
  curators_ppm
  max_uses          most trainings of one grant [1000]
  duration          blocks for which a grant lives [for ever]
  base_models       list of roots that may be trained [any]
  programs          list of program ids that may train [any]
  attribution       whether jobs must have attribution on [false]
  revocable         whether a grant may be taken back without a breach [true]
  approval          open; allow_list and on_request are not built yet [open]

Example: weft licence set 0 --file licence.toml --price 1.5 --account me";

/// An example of `weft job submit`.
const SUBMIT_EXAMPLE: &str = "\
Example: weft job submit --base fixtures/base --data 0 --data 1 --recipe fixtures/recipe.json --fee 20 --account me";

/// Keys of a recipe with their bounds, and an example.
const SUBMIT_HELP: &str = "\
Keys of the recipe (a missing one keeps its default, which depends on `attribution`):
  schema         1
  method         lora; qlora is not built yet
  attribution    true: records are paid by their influence; false: by trained tokens
  r              rank of the adapter, 1 to 256, at most both widths of every target
  alpha          scale of the adapter is alpha / r, 1 to 512
  rslora         true: scale is alpha / sqrt(r)
  dropout        0
  targets        list of q, k, v, o, gate, up, down
  learning_rate  1e-7 to 1e-2
  epochs         1 to 50; or
  max_steps      1 to 1000000, at most 50 epochs with attribution
  batch_size     records a step, 1 to 256
  loss_mean      token or record
  max_seq_len    tokens of the longest record, 8 to the model's context, at most 16384
  train_on       responses, last_response or all
  overlong       truncate or drop
  schedule       linear, cosine or constant
  warmup         steps, or a share such as \"10%\": 0 to 50 %, with attribution at least 10 %
  beta1, beta2   0 to below 1
  eps            above 0, at most 1
  eps_root       0 to 1, with attribution above 0
  record_clip    0 (off) or 1e-3 to 1e6, with attribution on
  weight_decay   0 to 1
  max_grad_norm  0 (off) or 0.01 to 100, with attribution 0
  eval           share held out, such as \"10%\": 0 to 50 %
  exclude        list of record ids that do not train, at most 1000

Example: weft job submit --base fixtures/base --data 0 --data 1 --recipe fixtures/recipe.json --fee 20 --account me";

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
#[command(next_help_heading = "Global options")]
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
    #[arg(long, global = true, env = "NO_COLOR", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub no_color: bool,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the daemon: HTTP API, and with an oracle key training, audits, juries, serving and settlement.
    #[command(after_help = "Example: weft serve --oracle me --base fixtures/base")]
    Serve(Serve),
    /// Start a development chain, an oracle and a verifier on this machine, until Ctrl-C.
    #[command(after_help = "Example: weft dev --base fixtures/base")]
    Dev(Dev),
    /// Check node, store, disk, processor and graphics card, and say what is missing.
    #[command(after_help = "Example: weft doctor --rpc-url ws://127.0.0.1:9944")]
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
    #[command(after_help = "Example: weft chat 0 \"What is the capital of France?\" --key-file api.key")]
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
    #[command(
        after_help = "Example: weft datanet create \"Capitals of the world\" --card README.md --curator ADDRESS --account me"
    )]
    Create {
        /// Name, 1–64 bytes.
        name: String,
        /// What the records are.
        #[arg(long, value_enum, default_value_t = KindArg::Instruction)]
        kind: KindArg,
        /// Markdown card: what is in it, from where, under which terms.
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// Equal curator votes that decide; 0: the owner decides [default: 1 with curators, 0 without].
        #[arg(long)]
        threshold: Option<u8>,
        /// Curators.
        #[arg(long = "curator", value_name = "ACCOUNT")]
        curators: Vec<String>,
    },
    /// List Datanets.
    #[command(after_help = "Example: weft datanet list --json")]
    List,
    /// Show a Datanet with its contributions.
    #[command(after_help = "Example: weft datanet show 0")]
    Show {
        /// Number.
        datanet: u32,
    },
    /// Replace the curators.
    #[command(after_help = "Example: weft datanet curators 0 ADDRESS ADDRESS --account me")]
    Curators {
        /// Number.
        datanet: u32,
        /// All curators.
        curators: Vec<String>,
    },
    /// Take a snapshot of what is accepted.
    #[command(after_help = "Example: weft datanet snapshot 0 --account me")]
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
    #[command(after_help = "Example: weft data check facts.jsonl --base fixtures/base")]
    Check {
        /// JSONL files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Base model whose template and tokenizer count the tokens.
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
    },
    /// Contribute a file: stores its blob, commits, and reveals once the commitment is final.
    #[command(after_help = "Example: weft data contribute 0 facts.jsonl --account me")]
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
    #[command(after_help = "Example: weft data reveal --account me")]
    Reveal,
    /// Accept or reject a contribution.
    #[command(
        after_help = "Example: weft data review 0 3 reject --reason quality --note \"the dates are wrong\" --account me"
    )]
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
    #[command(after_help = LICENCE_HELP)]
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
    #[command(after_help = "Example: weft licence show 0")]
    Show {
        /// Datanet.
        datanet: u32,
    },
}

/// `weft grant`.
#[derive(Subcommand, Debug)]
pub enum Grant {
    /// Ask for a permission; granted at once where approval is open.
    #[command(after_help = "Example: weft grant request 0 --uses 3 --max-price 1.5 --account me")]
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
    #[command(after_help = "Example: weft grant show 7")]
    Show {
        /// Number.
        grant: u32,
    },
    /// Take back a grant of your Datanet.
    #[command(after_help = "Example: weft grant revoke 7 --account me")]
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
    #[command(after_help = SUBMIT_EXAMPLE, after_long_help = SUBMIT_HELP)]
    Submit(Box<JobSubmit>),
    /// List jobs.
    #[command(after_help = "Example: weft job list")]
    List,
    /// Show state, who must act until which block, what happens otherwise, and the refund.
    #[command(after_help = "Example: weft job show 0")]
    Show {
        /// Number.
        job: u32,
    },
    /// Follow a job to its end: phases, loss, time left. Ends with the run's result.
    #[command(after_help = "Example: weft job watch 0 --daemon http://127.0.0.1:8000")]
    Watch {
        /// Number.
        job: u32,
        /// Daemon whose training events are shown.
        #[arg(long, value_name = "URL")]
        daemon: Option<String>,
    },
    /// Cancel a job that no oracle has taken; everything is refunded.
    #[command(after_help = "Example: weft job cancel 0 --account me")]
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
    /// Recipe (JSON); unknown keys are refused. `weft job submit --help` lists all keys with their bounds.
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
    #[command(after_help = "Example: weft model list")]
    List,
    /// Show a model: lineage, run, prices, weights.
    #[command(after_help = "Example: weft model show 0")]
    Show {
        /// Number.
        model: u32,
    },
    /// Set the price of 1,000 tokens.
    #[command(after_help = "Example: weft model price 0 --input 0.01 --output 0.02 --account me")]
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
    #[command(after_help = "Example: weft model export 0 my-adapter")]
    Export {
        /// Number.
        model: u32,
        /// New folder.
        dir: PathBuf,
        /// Folder of the base model [default: the folder of oracle.base_models, or fixtures/base, that has its root].
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
    },
    /// Compute the root of a base model's folder.
    #[command(after_help = "Example: weft model root fixtures/base")]
    Root {
        /// Folder.
        dir: PathBuf,
    },
    /// Register a base model.
    #[command(after_help = "Example: weft model register my-base --name my-base --licence Apache-2.0 --account me")]
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
    #[command(after_help = "Example: weft apikey create --daily-limit 2 --days 30 --out api.key --account me")]
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
        /// Make a key that never expires.
        #[arg(long, conflicts_with = "days")]
        no_expiry: bool,
        /// Write the secret into this file (mode 0600) instead of printing it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys of --account.
    #[command(after_help = "Example: weft apikey list --account me")]
    List,
    /// Revoke a key.
    #[command(after_help = "Example: weft apikey revoke KEY --account me")]
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
    #[command(after_help = "Example: weft budget open ADDRESS 10 --account me")]
    Open {
        /// The oracle.
        oracle: String,
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Add to a budget.
    #[command(after_help = "Example: weft budget top-up ADDRESS 5 --account me")]
    TopUp {
        /// The oracle.
        oracle: String,
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Close a budget; the rest can be taken out once it unlocks, by the same command.
    #[command(after_help = "Example: weft budget close ADDRESS --account me")]
    Close {
        /// The oracle.
        oracle: String,
    },
    /// Show a budget.
    #[command(after_help = "Example: weft budget show ADDRESS --account me")]
    Show {
        /// The oracle.
        oracle: String,
    },
}

/// `weft verify`.
#[derive(Subcommand, Debug)]
pub enum Verify {
    /// Recompute a job's run from public inputs: prints "identical", or the first differing step with slot and page.
    #[command(after_help = "Example: weft verify run 0 --threads 2 --isa avx2")]
    Run {
        /// Number.
        job: u32,
        /// Folder of the base model [default: the folder of oracle.base_models, or fixtures/base, that has its root].
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
        /// Recompute the whole run; that is also what happens without this flag.
        #[arg(long)]
        all: bool,
        /// Worker threads; 0 takes all cores.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Instruction set; results are equal bit for bit.
        #[arg(long, value_enum, default_value_t = IsaArg::Auto)]
        isa: IsaArg,
        /// Folder of the oracle's run (runs/JOB-RUN/engine in its data folder) whose checkpoints show slot and page of a
        /// difference, instead of the published ones.
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
    #[command(after_help = "Example: weft reward show --account me --daemon http://127.0.0.1:8000")]
    Show {
        /// Account [default: --account].
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
        /// Daemons that hold the payout trees; may be given several times.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
        daemon: Vec<String>,
    },
    /// Claim everything that is due.
    #[command(after_help = "Example: weft reward claim --for ADDRESS --account me")]
    Claim {
        /// Account that is paid [default: --account]; anyone may claim for anyone.
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
        /// Daemons that hold the payout trees; may be given several times.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
        daemon: Vec<String>,
    },
}

/// `weft oracle`.
#[derive(Subcommand, Debug)]
pub enum Oracle {
    /// Register --account as an oracle.
    #[command(after_help = "Example: weft oracle register --stake 1000 --account me")]
    Register {
        /// Stake.
        #[arg(long, value_parser = parse_amount)]
        stake: u128,
        /// Multiaddr of the daemon.
        #[arg(long, default_value = "/ip4/127.0.0.1/tcp/8000/http")]
        endpoint: String,
    },
    /// Add stake.
    #[command(after_help = "Example: weft oracle stake 500 --account me")]
    Stake {
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: u128,
    },
    /// Start to take stake out; without an amount take out what is due.
    #[command(after_help = "Example: weft oracle unstake 500 --account me")]
    Unstake {
        /// Amount.
        #[arg(value_parser = parse_amount)]
        amount: Option<u128>,
    },
    /// Take nothing new.
    #[command(after_help = "Example: weft oracle chill --account me")]
    Chill,
    /// Take work again.
    #[command(after_help = "Example: weft oracle resume --account me")]
    Resume,
    /// Stake, duties and their deadlines.
    #[command(after_help = "Example: weft oracle status --for ADDRESS")]
    Status {
        /// Account [default: --account].
        #[arg(long = "for", value_name = "ACCOUNT")]
        of: Option<String>,
    },
    /// Accuse a run of being false at X_u; a jury recomputes it.
    #[command(after_help = "Example: weft oracle accuse 0 41 --account me")]
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
    #[command(after_help = "Example: weft key generate me")]
    Generate {
        /// Name, or a path ending in .json.
        name: String,
        /// Store the seed without a passphrase.
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Show the address of --account.
    #[command(after_help = "Example: weft key show --account me")]
    Show,
}

/// `weft store`.
#[derive(Subcommand, Debug)]
pub enum Store {
    /// Blobs, bytes and free disk.
    #[command(after_help = "Example: weft store status")]
    Status,
}

/// `weft config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print the configuration in force.
    #[command(after_help = "Example: weft config show")]
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

    /// Every command without subcommands of its own, by its words.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name());
        if command.get_subcommands().next().is_none() {
            found.push((path.trim().to_string(), command.clone()));
        }
        for sub in command.get_subcommands() {
            leaves(sub, &path, found);
        }
    }

    #[test]
    fn every_command_should_have_an_example_that_starts_with_its_words() {
        use clap::CommandFactory;
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert!(found.len() > 40);
        for (words, mut command) in found {
            let help = command.render_help().to_string();
            let start = format!("Example: {words}");
            assert!(help.contains(&start), "{words} has no example");
        }
    }

    #[test]
    fn recipe_help_should_name_every_key() {
        let recipe = serde_json::to_value(weft_protocol::recipe::Recipe::attributed()).unwrap();
        for key in recipe.as_object().unwrap().keys().map(String::as_str).chain(["epochs", "max_steps"]) {
            assert!(SUBMIT_HELP.contains(key), "the help of `job submit` does not name {key}");
        }
    }

    #[test]
    fn licence_help_should_name_every_key() {
        // GIVEN the refusal of an unknown key, which lists the known ones
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.toml");
        std::fs::write(&path, "no_such_key = 1\n").unwrap();
        let refusal = crate::commands::licence::read(&path).unwrap_err().cause;
        let known: Vec<&str> = refusal.split('`').skip(1).step_by(2).filter(|key| *key != "no_such_key").collect();
        // THEN the help names each
        assert!(known.len() > 10, "{refusal}");
        for key in known {
            assert!(LICENCE_HELP.contains(key), "the help of `licence set` does not name {key}");
        }
    }

    #[test]
    fn no_color_should_not_swallow_the_command() {
        let cli = Cli::try_parse_from(["weft", "--no-color", "doctor"]).unwrap();
        assert!(cli.global.no_color && matches!(cli.command, Command::Doctor));
        assert!(!Cli::try_parse_from(["weft", "--no-color=false", "doctor"]).unwrap().global.no_color);
    }

    #[test]
    fn global_flags_should_hold_after_the_command() {
        let cli = Cli::try_parse_from(["weft", "datanet", "show", "3", "--json", "--account", "//Alice"]).unwrap();
        assert!(cli.global.json && !cli.global.no_color);
        assert_eq!(cli.global.account.as_deref(), Some("//Alice"));
        assert!(Cli::try_parse_from(["weft", "job", "submit"]).is_err());
    }
}
