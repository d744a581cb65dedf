//! `weft apikey` and `weft budget`: what answers are paid from.

/// `weft apikey`.
pub mod apikey {
    use serde_json::json;
    use subxt_signer::sr25519::Keypair;
    use weft_chain::{
        rewards::{self, KeyModels, KeyRule},
        system,
    };
    use weft_protocol::economics::day_blocks;
    use weft_store::write_private_new;

    use crate::{
        apikey::ApiKey,
        cli::Apikey as Command,
        commands::{signed, subject, NOT_SIGNED},
        context::Context,
        error::{CliError, CliResult, Exit},
        output::{full, table, weft},
    };

    /// What a new key may do.
    #[derive(Clone, Debug)]
    pub struct NewKey {
        /// Most units a day.
        pub daily_limit: u128,
        /// Models; none: every model.
        pub models: Vec<u32>,
        /// Days until it expires; 0: never.
        pub days: u32,
    }

    /// A key that was made.
    pub struct Created {
        /// The secret, to be shown once.
        pub secret: String,
        /// Its public half, which is on chain.
        pub public: [u8; 32],
    }

    /// Makes a key and registers its public half.
    pub async fn create(ctx: &Context, signer: &Keypair, new: &NewKey) -> CliResult<Created> {
        let key = ApiKey::generate();
        register(ctx, signer, new, &key).await
    }

    /// Whether a failed registration certainly left nothing on the chain: it was not signed, or the runtime refused it.
    fn never_sent(e: &CliError) -> bool {
        matches!(e.code, NOT_SIGNED | "funds" | "refused" | "not_found" | "usage")
    }

    async fn register(ctx: &Context, signer: &Keypair, new: &NewKey, key: &ApiKey) -> CliResult<Created> {
        let pair =
            key.pair().ok_or_else(|| CliError::new(Exit::Failed, "key", "the seed is not a key", "try again"))?;
        let state = ctx.chain().await?.finalised().await?;
        let blocks = day_blocks(system::slot_ms(&state).await?).saturating_mul(new.days);
        let rule = KeyRule {
            daily_limit: new.daily_limit,
            models: if new.models.is_empty() { KeyModels::Any } else { KeyModels::Only(new.models.clone()) },
            expiry: (new.days > 0).then(|| state.head.number.saturating_add(blocks)),
        };
        let public = pair.public_key().0;
        signed(ctx, signer, rewards::add_key(public, &rule), 0).await?;
        Ok(Created { secret: key.text(), public })
    }

    /// Revokes a key at once.
    pub async fn revoke(ctx: &Context, signer: &Keypair, key: [u8; 32]) -> CliResult {
        signed(ctx, signer, rewards::revoke_key(key), 0).await.map(|_| ())
    }

    /// All keys of an account.
    pub async fn list(ctx: &Context, who: &[u8; 32]) -> CliResult<Vec<([u8; 32], rewards::ApiKey)>> {
        let state = ctx.chain().await?.finalised().await?;
        let mut found = Vec::new();
        for (consumer, key) in rewards::api_keys(&state).await? {
            if consumer == *who {
                if let Some(k) = rewards::api_key(&state, who, &key).await? {
                    found.push((key, k));
                }
            }
        }
        Ok(found)
    }

    /// Runs a command of the group.
    pub async fn run(ctx: &Context, command: Command) -> CliResult {
        match command {
            Command::Create { daily_limit, models, days, no_expiry, out } => {
                if days == 0 {
                    return Err(CliError::usage(
                        "a key of 0 days would pay for nothing",
                        "give --days 1 or more, or --no-expiry for a key that never expires",
                    ));
                }
                let days = if no_expiry { 0 } else { days };
                let folder = out.as_ref().and_then(|p| p.parent()).filter(|p| !p.as_os_str().is_empty());
                if let Some(folder) = folder.filter(|p| !p.is_dir()) {
                    return Err(CliError::not_found(
                        format!("there is no folder {}", folder.display()),
                        "make it, or name another file with --out",
                    ));
                }
                if let Some(path) = out.as_ref().filter(|p| p.exists()) {
                    return Err(CliError::usage(
                        format!("{} exists", path.display()),
                        "name a new file; keys are never overwritten",
                    ));
                }
                let signer = ctx.signer().await?;
                let key = ApiKey::generate();
                if let Some(path) = &out {
                    // On disk before it is on chain: a crash in between loses no key that could be charged.
                    write_private_new(path, key.text().as_bytes())?;
                }
                let made = match register(ctx, &signer, &NewKey { daily_limit, models, days }, &key).await {
                    Ok(made) => made,
                    Err(mut e) => {
                        if let Some(path) = &out {
                            if never_sent(&e) {
                                std::fs::remove_file(path).map_err(CliError::io("remove", path))?;
                            } else {
                                // It may be on the chain, where only its owner can spend or revoke it.
                                e.cause.push_str(&format!("; the key stays in {}", path.display()));
                                e.next = format!(
                                    "see with `weft apikey list` whether it was registered, and remove {} if not",
                                    path.display()
                                );
                            }
                        }
                        return Err(e);
                    }
                };
                let public = full(&made.public);
                match out {
                    Some(path) => ctx.result(
                        &json!({ "public": public, "file": path }),
                        &format!("the key is in {}; its public half is {public}", path.display()),
                    ),
                    None => ctx.result(
                        &json!({ "public": public, "secret": made.secret }),
                        &format!(
                            "{}\nThis is shown once. Public half: {public}. Next: `weft budget open ORACLE AMOUNT`",
                            made.secret
                        ),
                    ),
                }
            }
            Command::List => {
                let who = subject(ctx, None).await?;
                let keys = list(ctx, &who).await?;
                let mut rows = vec![["key", "daily limit", "spent", "expires", "state"].map(String::from).to_vec()];
                let mut values = Vec::new();
                for (key, k) in &keys {
                    let expiry = k.rule.expiry.map_or_else(|| "never".to_string(), |e| format!("block {e}"));
                    let state = if k.revoked { "revoked" } else { "live" };
                    rows.push(vec![full(key), weft(k.rule.daily_limit), weft(k.spent), expiry, state.into()]);
                    values.push(json!({
                        "key": full(key), "daily_limit": k.rule.daily_limit.to_string(), "spent": k.spent.to_string(),
                        "day": k.day, "expiry": k.rule.expiry, "revoked": k.revoked,
                        "models": match &k.rule.models { KeyModels::Any => json!("any"), KeyModels::Only(list) => json!(list) },
                    }));
                }
                ctx.result(&json!({ "keys": values }), &table(&rows));
            }
            Command::Revoke { key } => {
                revoke(ctx, &ctx.signer().await?, key).await?;
                ctx.result(
                    &json!({ "key": full(&key), "revoked": true }),
                    "the key is revoked: no voucher of it is redeemed any more",
                );
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn key_file_should_stay_when_the_key_may_be_on_the_chain() {
            let e = |code| CliError::new(Exit::Failed, code, "x", "y");
            for code in [NOT_SIGNED, "funds", "refused", "usage"] {
                assert!(never_sent(&e(code)), "{code}");
            }
            for code in ["chain_unreachable", "transaction", "incompatible", "not_final"] {
                assert!(!never_sent(&e(code)), "{code}");
            }
        }
    }
}

/// `weft budget`.
pub mod budget {
    use serde_json::json;
    use subxt_signer::sr25519::Keypair;
    use weft_chain::rewards::{self, Budget};

    use crate::{
        cli::Budget as Command,
        commands::{account, signed, subject},
        context::Context,
        error::{CliError, CliResult},
        keys::address,
        output::weft,
    };

    /// Opens a budget at an oracle.
    pub async fn open(ctx: &Context, signer: &Keypair, oracle: &[u8; 32], amount: u128) -> CliResult {
        signed(ctx, signer, rewards::open_budget(oracle, amount), amount).await.map(|_| ())
    }

    /// Adds to a budget.
    pub async fn top_up(ctx: &Context, signer: &Keypair, oracle: &[u8; 32], amount: u128) -> CliResult {
        signed(ctx, signer, rewards::top_up(oracle, amount), amount).await.map(|_| ())
    }

    /// What closing a budget did.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Closing {
        /// The rest can be taken out from this block on.
        Unlocks(u32),
        /// The rest was taken out.
        Withdrawn(u128),
    }

    /// Starts to close a budget, or takes the rest out once it is unlocked.
    pub async fn close(ctx: &Context, signer: &Keypair, oracle: &[u8; 32]) -> CliResult<Closing> {
        let state = ctx.chain().await?.finalised().await?;
        let budget = show(ctx, &signer.public_key().0, oracle).await?;
        match budget.unlock {
            None => {
                let done = signed(ctx, signer, rewards::close_budget(oracle), 0).await?;
                Ok(Closing::Unlocks(done.id("Rewards", "BudgetClosed", "unlock")?))
            }
            Some(at) if state.head.number < at => Ok(Closing::Unlocks(at)),
            Some(_) => {
                let done = signed(ctx, signer, rewards::withdraw(oracle), 0).await?;
                Ok(Closing::Withdrawn(done.number("Rewards", "BudgetClosed", "released")?))
            }
        }
    }

    /// A budget.
    pub async fn show(ctx: &Context, consumer: &[u8; 32], oracle: &[u8; 32]) -> CliResult<Budget> {
        let state = ctx.chain().await?.finalised().await?;
        rewards::budget(&state, consumer, oracle).await?.ok_or_else(|| {
            CliError::not_found(
                format!("{} has no budget at {}", address(consumer), address(oracle)),
                format!("open one with `weft budget open {} AMOUNT`", address(oracle)),
            )
        })
    }

    /// Runs a command of the group.
    pub async fn run(ctx: &Context, command: Command) -> CliResult {
        match command {
            Command::Open { oracle, amount } => {
                let who = account(ctx, &oracle).await?;
                open(ctx, &ctx.signer().await?, &who, amount).await?;
                ctx.result(
                    &json!({ "oracle": address(&who), "held": amount.to_string() }),
                    &format!("{} are on hold for answers of {}", weft(amount), address(&who)),
                );
            }
            Command::TopUp { oracle, amount } => {
                let who = account(ctx, &oracle).await?;
                top_up(ctx, &ctx.signer().await?, &who, amount).await?;
                ctx.result(
                    &json!({ "oracle": address(&who), "added": amount.to_string() }),
                    &format!("{} more are on hold for answers of {}", weft(amount), address(&who)),
                );
            }
            Command::Close { oracle } => {
                let who = account(ctx, &oracle).await?;
                match close(ctx, &ctx.signer().await?, &who).await? {
                    Closing::Unlocks(at) => ctx.result(
                        &json!({ "oracle": address(&who), "unlock": at }),
                        &format!("the budget unlocks at block {at}; the same command then takes the rest out"),
                    ),
                    Closing::Withdrawn(rest) => ctx.result(
                        &json!({ "oracle": address(&who), "released": rest.to_string() }),
                        &format!("{} came back", weft(rest)),
                    ),
                }
            }
            Command::Show { oracle } => {
                let (me, who) = (subject(ctx, None).await?, account(ctx, &oracle).await?);
                let b = show(ctx, &me, &who).await?;
                ctx.result(
                    &json!({ "oracle": address(&who), "held": b.held.to_string(), "spent": b.spent.to_string(), "unlock": b.unlock }),
                    &format!(
                        "{} on hold, {} spent{}",
                        weft(b.held),
                        weft(b.spent),
                        b.unlock.map_or_else(String::new, |at| format!("; closing, unlocks at block {at}"))
                    ),
                );
            }
        }
        Ok(())
    }
}
