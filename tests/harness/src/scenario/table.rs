//! The account of everything: fees in equal payouts out to the unit, every balance is explained, and who got what.

use weft::output::{table, weft};
use weft_chain::{attribution, rewards};
use weft_protocol::{
    split::{mul_div, PPM},
    sum_tree::OwnerLeaf,
};

use super::{name_of, Money, Scenario};
use crate::{
    ensure,
    ledger::Ledger,
    people::{pot, REVENUE, TREASURY},
    report::seconds,
    HarnessError, HarnessResult,
};

/// A contributor's part in the model.
#[derive(Clone, Debug)]
pub struct Payout {
    /// Name.
    pub name: String,
    /// Records of the job.
    pub records: u32,
    /// Points of all parts, in ppm of all points.
    pub ppm: u128,
    /// Units claimed.
    pub claimed: u128,
}

/// Everything at the end.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Money at the end.
    pub after: Money,
    /// What the blocks say.
    pub ledger: Ledger,
    /// Contributors.
    pub payouts: Vec<Payout>,
    /// Fees of answers.
    pub fees: u128,
    /// Prices of licences.
    pub licences: u128,
    /// Shares of all settlements: treasury, stakers, owner, oracle, data.
    pub shares: [u128; 5],
    /// Of the data share: contributors, Datanet owners, curators.
    pub data: [u128; 3],
    /// Of the contributors' part: units that no claim could take because a unit cannot be divided. They went to the
    /// treasury with the last claim of each part.
    pub rounding: u128,
}

impl Settled {
    /// What came into settlements.
    #[must_use]
    pub fn paid_in(&self) -> u128 {
        self.fees + self.licences
    }

    /// Units of all claims, from the blocks.
    #[must_use]
    pub fn claims(&self) -> u128 {
        self.ledger.claims.iter().map(|(_, units)| units).sum()
    }

    /// Where the money of settlements went: who, and how much.
    #[must_use]
    pub fn payments(&self) -> Vec<(&'static str, u128)> {
        let [treasury, stakers, owner, oracle, _] = self.shares;
        let [_, owners, curators] = self.data;
        vec![
            ("contributors", self.claims()),
            ("Datanet owners", owners),
            ("curators", curators),
            ("model owner", owner),
            ("oracle", oracle),
            ("stakers", stakers),
            ("treasury", treasury),
            ("rounding (treasury)", self.rounding),
        ]
    }

    /// What went out of them: the sum of all payments.
    #[must_use]
    pub fn paid_out(&self) -> u128 {
        self.payments().iter().map(|(_, units)| units).sum()
    }
}

impl Scenario {
    /// Adds everything up, checks that no unit is lost, and prints the table.
    pub async fn totals(&mut self) -> HarnessResult<Settled> {
        let settled = self.add_up().await?;
        self.print(&settled);
        Ok(settled)
    }

    /// Adds everything up and checks it.
    pub async fn add_up(&self) -> HarnessResult<Settled> {
        let state = self.net.state().await?;
        let after = self.money(&state).await?;
        let ledger = Ledger::read(&self.net.node.url(), state.head.number).await?;
        let (mut fees, mut licences) = (0u128, 0u128);
        let (mut shares, mut data, mut dust) = ([0u128; 5], [0u128; 3], 0u128);
        let mut leaves = 0u128;
        let now = rewards::epoch(&state, self.model).await?.unwrap_or_default();
        for epoch in 0..=now {
            let Some(s) = rewards::settlement(&state, self.model, epoch).await? else { continue };
            let sum = s.shares.treasury + s.shares.stakers + s.shares.owner + s.shares.oracle + s.shares.data;
            ensure(sum == s.fees, || format!("epoch {epoch}: the shares sum to {sum}, the fees are {}", s.fees))?;
            if epoch == 0 {
                licences += s.fees;
            } else {
                fees += s.fees;
            }
            let each = [s.shares.treasury, s.shares.stakers, s.shares.owner, s.shares.oracle, s.shares.data];
            for (sum, part) in shares.iter_mut().zip(each) {
                *sum += part;
            }
            let mut parts = 0u128;
            for part in &s.parts {
                parts += part.contributors + part.owner + part.curators;
                for (sum, units) in data.iter_mut().zip([part.contributors, part.owner, part.curators]) {
                    *sum += units;
                }
                ensure(part.claimed_leaves == part.leaves || part.contributors == 0, || {
                    format!(
                        "epoch {epoch}, Datanet {}: {} of {} leaves are claimed",
                        part.datanet, part.claimed_leaves, part.leaves
                    )
                })?;
                dust += part.contributors - part.claimed.min(part.contributors);
                leaves += u128::from(part.claimed_leaves);
            }
            ensure(parts == s.shares.data, || {
                format!("epoch {epoch}: the parts sum to {parts}, not {}", s.shares.data)
            })?;
        }
        ensure(fees == self.fees, || format!("{fees} are settled for answers of {}", self.fees))?;
        ensure(dust == 0, || format!("{dust} units of claimed parts are left over"))?;
        let payouts = self.payouts(&state, &ledger).await?;
        // Each claim is rounded down by less than a unit; the last claim of a part leaves the rest to the treasury.
        let [contributors, _, _] = data;
        let claims: u128 = ledger.claims.iter().map(|(_, units)| units).sum();
        let rounding = contributors
            .checked_sub(claims)
            .ok_or_else(|| HarnessError::failed(format!("{claims} were claimed of {contributors}")))?;
        ensure(rounding < leaves.max(1), || {
            format!("{rounding} units of the contributors' {contributors} went to nobody, {leaves} leaves were claimed")
        })?;
        let settled = Settled { after, ledger, payouts, fees, licences, shares, data, rounding };
        let (paid_in, paid_out) = (settled.paid_in(), settled.paid_out());
        ensure(paid_in == paid_out, || format!("{paid_in} came in, {paid_out} went out"))?;
        self.check_balances(&settled)?;
        let ([_, _, pot_before], [_, _, pot_after]) = (self.before.pots, settled.after.pots);
        ensure(pot_before == pot_after, || format!("the revenue pot held {pot_before} before and {pot_after} after"))?;
        let expected = self.before.issuance - settled.ledger.burned();
        ensure(settled.after.issuance == expected, || {
            format!("{} units exist, {expected} are expected", settled.after.issuance)
        })?;
        Ok(settled)
    }

    /// Explains balances by the events of the blocks, to the unit: of the contributors, of treasury and stakers' pot, and
    /// of everybody together.
    fn check_balances(&self, s: &Settled) -> HarnessResult {
        let revenue = pot(REVENUE);
        // Contributors come first in the cast. Deposits stay theirs: held money is counted.
        for ((person, before), after) in self.cast.contributors.iter().zip(&self.before.people).zip(&s.after.people) {
            let fees = s.ledger.paid_fees(&person.account);
            let claimed = s.ledger.claimed(&person.account);
            let given = s.ledger.given(&person.account, &revenue);
            ensure(after + fees == before + claimed + given, || {
                format!(
                    "{} had {before}, claimed {claimed}, was given {given}, paid {fees} for transactions and has {after}",
                    person.name
                )
            })?;
        }
        let [share, stakers, _, _, _] = s.shares;
        let ([treasury_before, stakers_before, _], [treasury, stakers_after, _]) = (self.before.pots, s.after.pots);
        let fees = s.ledger.treasury_fees();
        let slashed = s.ledger.paid_by_slashes(&pot(TREASURY));
        ensure(treasury == treasury_before + share + s.rounding + fees + slashed, || {
            format!(
                "the treasury had {treasury_before}, got {share} of fees, {} of rounding, {fees} of transactions, {slashed} of slashes and has {treasury}",
                s.rounding
            )
        })?;
        ensure(stakers_after == stakers_before + stakers, || {
            format!("the stakers' pot had {stakers_before}, got {stakers} and has {stakers_after}")
        })?;
        let (before, after, burned) = (self.before.sum(), s.after.sum(), s.ledger.burned());
        ensure(before == after + burned, || {
            format!("everybody together had {before} and has {after}, {burned} were burned")
        })
    }

    async fn payouts(&self, state: &weft_chain::State, ledger: &Ledger) -> HarnessResult<Vec<Payout>> {
        let weights = attribution::training(state, self.model)
            .await?
            .ok_or_else(|| state.missing(format!("the weights of model {}", self.model)))?;
        let all: u128 = weights.parts.0.iter().map(|p| p.paid).sum();
        let mut payouts = Vec::new();
        for person in &self.cast.contributors {
            let (mut records, mut points) = (0u32, 0u128);
            for leaf in self.leaves(&person.address()).await? {
                records += leaf.records;
                points += leaf.paid;
            }
            payouts.push(Payout {
                name: person.name.clone(),
                records,
                ppm: mul_div(points, u128::from(PPM), all.max(1)).map_or(0, |(ppm, _)| ppm),
                claimed: ledger.claimed(&person.account),
            });
        }
        Ok(payouts)
    }

    /// Leaves of an account in the model's payout trees, as the oracle's daemon serves them.
    pub async fn leaves(&self, address: &str) -> HarnessResult<Vec<OwnerLeaf>> {
        let path = format!("/api/v1/settlements/{}/proof/{address}", self.model);
        let found = self.net.daemon("Oracle")?.get(&path).await?;
        let list = found.get("leaves").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let mut leaves = Vec::new();
        for one in list {
            let text = one.get("leaf").and_then(serde_json::Value::as_str).unwrap_or_default();
            let bytes = hex::decode(text).unwrap_or_default();
            let leaf = codec::Decode::decode(&mut bytes.as_slice());
            leaves.push(leaf.map_err(|e| HarnessError::failed(format!("a leaf of {address} does not decode: {e}")))?);
        }
        Ok(leaves)
    }

    fn print(&self, s: &Settled) {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_string()).collect::<Vec<_>>();
        let mut rows = vec![row(&["account", "before", "after", "change"])];
        for (i, person) in self.cast.all().enumerate() {
            let before = self.before.people.get(i).copied().unwrap_or_default();
            let after = s.after.people.get(i).copied().unwrap_or_default();
            rows.push(vec![person.name.clone(), weft(before), weft(after), change(before, after)]);
        }
        for (i, name) in ["(treasury)", "(stakers' pot)", "(revenue pot)"].iter().enumerate() {
            let before = self.before.pots.get(i).copied().unwrap_or_default();
            let after = s.after.pots.get(i).copied().unwrap_or_default();
            rows.push(vec![(*name).to_string(), weft(before), weft(after), change(before, after)]);
        }
        println!("\nBalances (free and held)\n{}", table(&rows));

        let mut rows = vec![row(&["contributor", "records", "attribution", "payout"])];
        for p in &s.payouts {
            rows.push(vec![
                p.name.clone(),
                p.records.to_string(),
                format!("{}.{:02} %", p.ppm / 10_000, p.ppm % 10_000 / 100),
                weft(p.claimed),
            ]);
        }
        println!("Attribution by training weights (exact replay)\n{}", table(&rows));

        let mut rows = vec![row(&["in", "", "out", ""])];
        let mut income = [("fees of answers", s.fees), ("licences", s.licences)].into_iter();
        for (to, units) in s.payments() {
            let (from, amount) =
                income.next().map_or_else(Default::default, |(from, units)| (from.to_string(), weft(units)));
            let to = match to {
                "model owner" => format!("model owner ({})", self.cast.builder.name),
                "oracle" => format!("oracle ({})", self.cast.oracle.name),
                _ => to.to_string(),
            };
            rows.push(vec![from, amount, to, weft(units)]);
        }
        rows.push(vec!["sum".into(), weft(s.paid_in()), "sum".into(), weft(s.paid_out())]);
        println!("Fees in = payouts out, to the unit\n{}", table(&rows));
        println!(
            "Issuance {} before, {} after, {} burned by slashes ({} slashes)\n",
            weft(self.before.issuance),
            weft(s.after.issuance),
            weft(s.ledger.burned()),
            s.ledger.slashes.len()
        );
        for slash in &s.ledger.slashes {
            println!(
                "  block {}: {} lost {} ({:?})",
                slash.block,
                name_of(self.cast.all(), &slash.who),
                weft(slash.amount),
                slash.fault
            );
        }

        let mut rows = vec![row(&["right answers", "base model", "tuned model"])];
        let (before, after) = (self.share_before, self.share_after);
        rows.push(vec![
            "trained phrasings".into(),
            super::market::share(before.trained),
            super::market::share(after.trained),
        ]);
        rows.push(vec![
            "held-out phrasings".into(),
            super::market::share(before.heldout),
            super::market::share(after.heldout),
        ]);
        println!("{}", table(&rows));

        let mut rows = vec![row(&["phase", "time"])];
        for (name, time) in self.report.phases() {
            rows.push(vec![name.clone(), seconds(*time)]);
        }
        rows.push(vec!["all".into(), seconds(self.report.elapsed())]);
        println!("{}", table(&rows));
    }
}

fn change(before: u128, after: u128) -> String {
    if after >= before {
        format!("+{}", weft(after - before))
    } else {
        format!("-{}", weft(before - after))
    }
}
