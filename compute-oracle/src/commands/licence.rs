//! `weft licence` and `weft grant`: terms of Datanets, and permissions to train on them.

use std::path::Path;

use serde::Deserialize;
use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::permissions::{self, Allowed, Approval, Licence, OnRevoke, Reciprocity, Terms};
use weft_protocol::{
    hash::{Hash, ZERO},
    licence::purpose,
    split::ModelSplit,
};
use weft_store::BlobStore;

use super::signed;
use crate::{
    cli::Licence as Command,
    context::Context,
    error::{CliError, CliResult},
    output::{full, parse_amount, parse_hash, snake, weft},
};

/// The terms of the network's default licence: every purpose, no price, the default pool and shares.
#[must_use]
pub fn default_terms() -> Terms {
    let pool = ModelSplit::DEFAULT.data;
    Terms {
        purposes: purpose::ALL,
        name: b"CC0-1.0".to_vec(),
        text: ZERO,
        price: 0,
        pool: (pool, pool),
        base_ppm: 200_000,
        shares: (800_000, 100_000, 100_000),
        max_uses: 1_000,
        duration: None,
        base_models: Allowed::Any,
        programs: Allowed::Any,
        attribution: false,
        approval: Approval::Open,
        reciprocity: Reciprocity::None,
        trusted: Vec::new(),
        revocable: true,
        on_revoke: OnRevoke::KeepServing,
    }
}

/// Terms as people write them. A missing key keeps the default licence's value.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// SPDX or RAIL id.
    name: Option<String>,
    /// File with the licence's text; its digest goes on chain.
    text_file: Option<std::path::PathBuf>,
    /// Names of purposes.
    purposes: Option<Vec<String>>,
    /// Price of one training: "1.5".
    price: Option<String>,
    pool_min_ppm: Option<u32>,
    pool_max_ppm: Option<u32>,
    base_ppm: Option<u32>,
    contributors_ppm: Option<u32>,
    owner_ppm: Option<u32>,
    curators_ppm: Option<u32>,
    max_uses: Option<u32>,
    /// Blocks.
    duration: Option<u32>,
    /// Roots; missing: any.
    base_models: Option<Vec<String>>,
    /// Program ids; missing: any.
    programs: Option<Vec<String>>,
    attribution: Option<bool>,
    revocable: Option<bool>,
    /// Only "open" is built.
    approval: Option<String>,
}

/// Reads terms from a TOML file, and the licence's text where the file names one; unknown keys are refused. The terms
/// hold the content id of the text, under which [`set`]'s caller stores it.
pub fn read(path: &Path) -> CliResult<(Terms, Option<Vec<u8>>)> {
    let bad = |why: String| CliError::usage(format!("{}: {why}", path.display()), "see `weft licence set --help`");
    let text = std::fs::read_to_string(path).map_err(CliError::io("read", path))?;
    let file: File = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let mut terms = default_terms();
    if let Some(name) = file.name {
        terms.name = name.into_bytes();
    }
    let mut body = None;
    if let Some(source) = file.text_file {
        let source = path.parent().unwrap_or_else(|| Path::new(".")).join(source);
        let bytes = std::fs::read(&source).map_err(CliError::io("read the text_file", &source))?;
        terms.text = BlobStore::id_of(&bytes);
        body = Some(bytes);
    }
    if let Some(names) = file.purposes {
        terms.purposes = 0;
        for name in names {
            let known = purpose::NAMES.map(|(_, n)| n).join(", ");
            terms.purposes |=
                purpose::from_name(&name).ok_or_else(|| bad(format!("purpose '{name}' is not one of {known}")))?;
        }
    }
    if let Some(price) = file.price {
        terms.price = parse_amount(&price).map_err(bad)?;
    }
    terms.pool = (file.pool_min_ppm.unwrap_or(terms.pool.0), file.pool_max_ppm.unwrap_or(terms.pool.1));
    terms.base_ppm = file.base_ppm.unwrap_or(terms.base_ppm);
    terms.shares = (
        file.contributors_ppm.unwrap_or(terms.shares.0),
        file.owner_ppm.unwrap_or(terms.shares.1),
        file.curators_ppm.unwrap_or(terms.shares.2),
    );
    let sum =
        [terms.shares.0, terms.shares.1, terms.shares.2].iter().fold(0u64, |s, p| s.saturating_add(u64::from(*p)));
    if sum != 1_000_000 {
        return Err(bad(format!("contributors_ppm, owner_ppm and curators_ppm sum to {sum}, not to 1000000")));
    }
    terms.max_uses = file.max_uses.unwrap_or(terms.max_uses);
    terms.duration = file.duration.or(terms.duration);
    let list = |names: Option<Vec<String>>| -> CliResult<Allowed> {
        match names {
            None => Ok(Allowed::Any),
            Some(names) => {
                names.iter().map(|n| parse_hash(n).map_err(bad)).collect::<CliResult<Vec<_>>>().map(Allowed::Only)
            }
        }
    };
    terms.base_models = list(file.base_models)?;
    terms.programs = list(file.programs)?;
    terms.attribution = file.attribution.unwrap_or(terms.attribution);
    terms.revocable = file.revocable.unwrap_or(terms.revocable);
    terms.approval = match file.approval.as_deref() {
        None | Some("open") => Approval::Open,
        // The chain refuses both by name until they are built.
        Some("allow_list") => Approval::AllowList,
        Some("on_request") => Approval::OnRequest,
        Some(other) => return Err(bad(format!("approval '{other}' is not open, allow_list or on_request"))),
    };
    Ok((terms, body))
}

/// Sets new terms. Returns the licence version.
pub async fn set(ctx: &Context, signer: &Keypair, datanet: u32, terms: &Terms) -> CliResult<u32> {
    let deposit = permissions::params(&ctx.chain().await?.finalised().await?).await?.licence_deposit;
    let done = signed(ctx, signer, permissions::set_licence(datanet, terms), deposit).await?;
    Ok(done.id("Permissions", "LicenceSet", "version")?)
}

/// The current version and its terms.
pub async fn show(ctx: &Context, datanet: u32) -> CliResult<(u32, Licence)> {
    let state = ctx.chain().await?.finalised().await?;
    permissions::current(&state, datanet).await?.ok_or_else(|| {
        CliError::not_found(
            format!("Datanet {datanet} has no licence at finalised block {}", state.head.number),
            format!("its owner sets one with `weft licence set {datanet}`"),
        )
    })
}

fn purposes(bits: u16) -> Vec<&'static str> {
    purpose::NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

fn allowed(list: &Allowed) -> Value {
    match list {
        Allowed::Any => "any".into(),
        Allowed::Only(items) => items.iter().map(full).collect::<Vec<_>>().into(),
    }
}

fn terms_json(version: u32, licence: &Licence) -> Value {
    let t = &licence.terms.0;
    json!({
        "version": version, "block": licence.block, "name": String::from_utf8_lossy(&t.name), "text": full(&t.text),
        "purposes": purposes(t.purposes), "price": t.price.to_string(), "pool_ppm": [t.pool.0, t.pool.1],
        "base_ppm": t.base_ppm, "contributors_ppm": t.shares.0, "owner_ppm": t.shares.1, "curators_ppm": t.shares.2,
        "max_uses": t.max_uses, "duration": t.duration, "base_models": allowed(&t.base_models),
        "programs": allowed(&t.programs), "attribution": t.attribution, "revocable": t.revocable,
        "approval": snake(&format!("{:?}", t.approval)),
    })
}

fn terms_text(datanet: u32, version: u32, licence: &Licence) -> String {
    let t = &licence.terms.0;
    format!(
        "Datanet {datanet}, licence version {version}: {}\n  purposes: {}\n  price of one training {}, approval {:?}, at most {} trainings a grant{}\n  data pool {}–{} ppm of a model's fees; {} ppm of the points go by trained tokens\n  contributors {} ppm, owner {} ppm, curators {} ppm\n  attribution {}, revocable {}",
        String::from_utf8_lossy(&t.name),
        purposes(t.purposes).join(", "),
        weft(t.price),
        t.approval,
        t.max_uses,
        t.duration.map_or_else(String::new, |d| format!(", for {d} blocks")),
        t.pool.0,
        t.pool.1,
        t.base_ppm,
        t.shares.0,
        t.shares.1,
        t.shares.2,
        if t.attribution { "required" } else { "optional" },
        if t.revocable { "for convenience too" } else { "after a breach only" },
    )
}

/// Runs a command of the group `licence`.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Set { datanet, file, price } => {
            let (mut terms, text) = file.as_deref().map_or_else(|| Ok((default_terms(), None)), read)?;
            terms.price = price.unwrap_or(terms.price);
            if let Some(text) = text {
                // Stored before its digest is on chain: who reads the licence must be able to read its text.
                ctx.store()?.put(&text)?;
            }
            let version = set(ctx, &ctx.signer().await?, datanet, &terms).await?;
            ctx.result(
                &json!({ "datanet": datanet, "version": version }),
                &format!("licence version {version} of Datanet {datanet} holds for new grants"),
            );
        }
        Command::Show { datanet } => {
            let (version, licence) = show(ctx, datanet).await?;
            ctx.result(&terms_json(version, &licence), &terms_text(datanet, version, &licence));
        }
    }
    Ok(())
}

/// `weft grant`.
pub mod grant {
    use serde_json::json;
    use subxt_signer::sr25519::Keypair;
    use weft_chain::permissions::{self, Allowed, Approval, Cause, Grant, Scope};

    use super::{purposes, show as licence_of, signed, snake, Hash};
    use crate::{
        cli::Grant as Command,
        context::Context,
        error::{CliError, CliResult, Exit},
        keys::address,
    };

    /// A permission to ask for.
    #[derive(Clone, Debug)]
    pub struct GrantRequest {
        /// The Datanet.
        pub datanet: u32,
        /// Trainings.
        pub uses: u32,
        /// Highest price of one training; the current one without.
        pub max_price: Option<u128>,
        /// Base model; any the licence allows without.
        pub base: Option<Hash>,
    }

    /// Acquires a grant under the current licence. Returns its number.
    pub async fn request(ctx: &Context, signer: &Keypair, ask: &GrantRequest) -> CliResult<u32> {
        let (version, licence) = licence_of(ctx, ask.datanet).await?;
        let terms = &licence.terms.0;
        if terms.approval != Approval::Open {
            return Err(CliError::new(
                Exit::NotPermitted,
                "approval_not_built",
                format!("Datanet {} gives grants {:?}, which is not built yet", ask.datanet, terms.approval),
                "choose a Datanet whose approval is Open",
            ));
        }
        let scope = Scope {
            purposes: terms.purposes,
            uses: ask.uses,
            snapshots: (0, u32::MAX),
            base_models: ask.base.map_or_else(|| terms.base_models.clone(), |b| Allowed::Only(vec![b])),
            programs: terms.programs.clone(),
            expiry: None,
        };
        let call = permissions::acquire(ask.datanet, version, ask.max_price.unwrap_or(terms.price), &scope);
        let deposit = permissions::params(&ctx.chain().await?.finalised().await?).await?.grant_deposit;
        let done = signed(ctx, signer, call, deposit).await?;
        Ok(done.id("Permissions", "Granted", "grant")?)
    }

    /// A grant.
    pub async fn show(ctx: &Context, id: u32) -> CliResult<Grant> {
        let state = ctx.chain().await?.finalised().await?;
        Ok(permissions::grant(&state, id).await?.ok_or_else(|| state.missing(format!("grant {id}")))?)
    }

    /// Takes a grant back: no new jobs; running ones finish.
    pub async fn revoke(ctx: &Context, signer: &Keypair, id: u32, cause: Cause) -> CliResult {
        signed(ctx, signer, permissions::revoke(id, cause), 0).await.map(|_| ())
    }

    /// Runs a command of the group `grant`.
    pub async fn run(ctx: &Context, command: Command) -> CliResult {
        match command {
            Command::Request { datanet, uses, max_price, base } => {
                let ask = GrantRequest { datanet, uses, max_price, base };
                let id = request(ctx, &ctx.signer().await?, &ask).await?;
                ctx.result(
                    &json!({ "grant": id, "datanet": datanet }),
                    &format!("grant {id}: {uses} trainings on Datanet {datanet}. Next: `weft job submit --grant {datanet}={id} …`"),
                );
            }
            Command::Show { grant } => {
                let g = show(ctx, grant).await?;
                let licence = {
                    let state = ctx.chain().await?.finalised().await?;
                    permissions::licence(&state, g.datanet, g.version).await?
                };
                let names = licence.map(|l| purposes(l.terms.0.purposes)).unwrap_or_default();
                ctx.result(
                    &json!({
                        "grant": grant, "datanet": g.datanet, "version": g.version, "consumer": address(&g.consumer.0),
                        "granted": g.granted, "left": g.left, "in_flight": g.in_flight, "used": g.used,
                        "expiry": g.expiry, "state": snake(&format!("{:?}", g.state)), "purposes": names,
                        "cause": match g.state {
                            permissions::GrantState::Revoked(cause) => Some(snake(&format!("{cause:?}"))),
                            _ => None,
                        },
                    }),
                    &format!(
                        "grant {grant} on Datanet {} (licence version {}) for {}\n  {:?}: {} of {} trainings left, {} in flight, {} used{}\n  purposes: {}",
                        g.datanet,
                        g.version,
                        address(&g.consumer.0),
                        g.state,
                        g.left,
                        g.granted,
                        g.in_flight,
                        g.used,
                        g.expiry.map_or_else(String::new, |e| format!(", until block {e}")),
                        names.join(", "),
                    ),
                );
            }
            Command::Revoke { grant, breach } => {
                let cause = if breach { Cause::Breach } else { Cause::Convenience };
                revoke(ctx, &ctx.signer().await?, grant, cause).await?;
                ctx.result(
                    &json!({ "grant": grant, "revoked": true }),
                    &format!("grant {grant} is revoked: no new job may use it; running ones finish"),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_should_hold_the_content_id_of_the_text_when_the_file_names_one() {
        // GIVEN terms beside the text they name
        let dir = tempfile::tempdir().unwrap();
        let text = "Do what you like, name the contributors.";
        std::fs::write(dir.path().join("text.md"), text).unwrap();
        let path = dir.path().join("terms.toml");
        std::fs::write(&path, "name = \"CC-BY-4.0\"\ntext_file = \"text.md\"\nprice = \"1.5\"\n").unwrap();
        // WHEN they are read
        let (terms, body) = read(&path).unwrap();
        // THEN the store finds the text under the digest that goes on chain
        let config =
            weft_store::StoreConfig { path: dir.path().join("store"), reserve_percent: 0, ..Default::default() };
        let store = BlobStore::open(config).unwrap();
        assert_eq!(store.put(&body.unwrap()).unwrap(), terms.text);
        assert_eq!(store.get(&terms.text).unwrap(), text.as_bytes());
        assert_eq!(terms.price, 1_500_000_000_000);
    }

    #[test]
    fn terms_should_be_refused_when_a_key_is_unknown_or_the_text_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.toml");
        std::fs::write(&path, "max_users = 3\n").unwrap();
        let e = read(&path).unwrap_err();
        assert!(e.exit == crate::error::Exit::Usage && e.cause.contains("max_users"), "{e}");
        std::fs::write(&path, "text_file = \"gone.md\"\n").unwrap();
        let e = read(&path).unwrap_err();
        assert!(e.exit == crate::error::Exit::NotFound && e.cause.contains("gone.md"), "{e}");
    }
}
