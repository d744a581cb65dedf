//! The accounts of a scenario.

use std::path::Path;

use subxt_signer::sr25519::Keypair;
use weft::{context::Context, keys, output::Output};
use weft_chain::{system, Client, State};
use weft_protocol::AccountId;

use crate::{daemon::settings, HarnessResult};

/// Somebody with an account, a folder and a connection of their own.
pub struct Person {
    /// Name in messages and tables.
    pub name: String,
    /// Where the account comes from: `//Name`.
    pub uri: String,
    /// The account.
    pub account: AccountId,
    /// Signs for it.
    pub signer: Keypair,
    /// What `weft` commands need.
    pub ctx: Context,
}

impl Person {
    /// The development account `//Name`, with a folder below `dir`.
    pub fn new(name: &str, dir: &Path, rpc_url: &str) -> HarnessResult<Self> {
        let uri = format!("//{name}");
        let data_dir = dir.join("people").join(name.to_lowercase());
        let mut config = settings(&data_dir.join("store"), &[]);
        config.chain.rpc_url = rpc_url.to_string();
        let signer = keys::load(&uri, &data_dir, true)?;
        let out = Output { quiet: true, yes: true, ..Output::default() };
        let ctx = Context::new(config, data_dir, out, Some(uri.clone()));
        Ok(Self { name: name.to_string(), account: signer.public_key().0, uri, signer, ctx })
    }

    /// Blob folder.
    #[must_use]
    pub fn store(&self) -> std::path::PathBuf {
        self.ctx.config.store.path.clone()
    }

    /// Names blob folders that this person may copy from.
    pub fn read_from(&mut self, stores: &[std::path::PathBuf]) {
        self.ctx.config.store.sources = stores.to_vec();
    }

    /// The chain.
    pub async fn chain(&self) -> HarnessResult<&Client> {
        Ok(self.ctx.chain().await?)
    }

    /// Free and held money at a block.
    pub async fn total(&self, state: &State) -> HarnessResult<u128> {
        Ok(system::balance(state, &self.account).await?.total())
    }

    /// SS58 address.
    #[must_use]
    pub fn address(&self) -> String {
        keys::address(&self.account)
    }
}

/// Account of one of the runtime's own pots: `py/trsry`, `weft/rev`, `weft/stk`.
#[must_use]
pub fn pot(id: &[u8; 8]) -> AccountId {
    let mut account = [0; 32];
    for (to, from) in account.iter_mut().zip(b"modl".iter().chain(id)) {
        *to = *from;
    }
    account
}

/// Pot of fees that wait for their settlement.
pub const REVENUE: &[u8; 8] = b"weft/rev";
/// The treasury.
pub const TREASURY: &[u8; 8] = b"py/trsry";
/// Stakers' share of settled fees.
pub const STAKERS: &[u8; 8] = b"weft/stk";
