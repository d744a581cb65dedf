//! What can be written on the command line.

use sc_cli::{
    BuildSpecCmd, ChainInfoCmd, CheckBlockCmd, ExportBlocksCmd, ExportChainSpecCmd, ExportStateCmd, ImportBlocksCmd,
    KeySubcommand, PurgeChainCmd, RevertCmd, RunCmd,
};

/// The command line: a subcommand, or the node itself.
#[derive(Debug, clap::Parser)]
pub(crate) struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,

    /// How to run a node.
    #[clap(flatten)]
    pub(crate) run: RunCmd,

    /// Folder in which compiled runtime code is kept; nodes of one machine may share it.
    ///
    /// Whoever can write into it runs code in the node: it must belong to the node's user with everything in it, and a
    /// folder into which its group or others may write is refused. By default it lies in the folder of the chain.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) wasm_cache: Option<std::path::PathBuf>,
}

/// What the program does instead of running a node.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Make, inspect and insert keys.
    #[command(subcommand)]
    Key(KeySubcommand),

    /// Print a chain specification; prefer export-chain-spec.
    BuildSpec(BuildSpecCmd),

    /// Print a chain specification, with its genesis as a JSON patch that can be edited.
    ExportChainSpec(ExportChainSpecCmd),

    /// Execute a block again.
    CheckBlock(CheckBlockCmd),

    /// Write blocks to a file.
    ExportBlocks(ExportBlocksCmd),

    /// Write the state of a block into a chain specification.
    ExportState(ExportStateCmd),

    /// Read blocks from a file.
    ImportBlocks(ImportBlocksCmd),

    /// Remove the whole chain from this machine.
    PurgeChain(PurgeChainCmd),

    /// Go back to an earlier block.
    Revert(RevertCmd),

    /// Print best and finalised block of the database.
    ChainInfo(ChainInfoCmd),
}
