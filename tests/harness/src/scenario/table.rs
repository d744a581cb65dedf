//! The account of everything: fees in equal payouts out to the unit, and who got what.

use weft::output::{table, weft};
use weft_chain::{attribution, rewards};
use weft_protocol::{
    split::{mul_div, PPM},
    sum_tree::OwnerLeaf,
};

use super::{name_of, Money, Scenario};
use crate::{ensure, ledger::Ledger, report::seconds, HarnessError, HarnessResult};

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
}

impl Settled {
    /// What came into settlements.
    #[must_use]
    pub fn paid_in(&self) -> u128 {
        self.fees + self.licences
    }

    /// What went out of them, claims included.
    #[must_use]
    pub fn paid_out(&self) -> u128 {
        let [treasury, stakers, owner, oracle, _] = self.shares;
        let [_, owners, curators] = self.data;
        let claims: u128 = self.ledger.claims.iter().map(|(_, units)| units).sum();
        treasury + stakers + owner + oracle + owners + curators + claims
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
            }
            ensure(parts == s.shares.data, || {
                format!("epoch {epoch}: the parts sum to {parts}, not {}", s.shares.data)
            })?;
        }
        ensure(fees == self.fees, || format!("{fees} are settled for answers of {}", self.fees))?;
        ensure(dust == 0, || format!("{dust} units of claimed parts are left over"))?;
        let payouts = self.payouts(&state, &ledger).await?;
        let settled = Settled { after, ledger, payouts, fees, licences, shares, data };

        // Claims of a part with all its leaves leave rounding dust to the treasury, in the same call.
        let claims: u128 = settled.ledger.claims.iter().map(|(_, units)| units).sum();
        let [contributors, _, _] = settled.data;
        let rounding = contributors
            .checked_sub(claims)
            .ok_or_else(|| HarnessError::failed(format!("{claims} were claimed of {contributors}")))?;
        let (paid_in, paid_out) = (settled.paid_in(), settled.paid_out() + rounding);
        ensure(paid_in == paid_out, || format!("{paid_in} came in, {paid_out} went out"))?;
        let ([_, _, pot_before], [_, _, pot_after]) = (self.before.pots, settled.after.pots);
        ensure(pot_before == pot_after, || format!("the revenue pot held {pot_before} before and {pot_after} after"))?;
        let expected = self.before.issuance - settled.ledger.burned();
        ensure(settled.after.issuance == expected, || {
            format!("{} units exist, {expected} are expected", settled.after.issuance)
        })?;
        Ok(settled)
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

        let [treasury, stakers, owner, oracle, _] = s.shares;
        let [contributors, owners, curators] = s.data;
        let rows = vec![
            row(&["in", "", "out", ""]),
            vec!["fees of answers".into(), weft(s.fees), "contributors".into(), weft(contributors)],
            vec!["licences".into(), weft(s.licences), "Datanet owners".into(), weft(owners)],
            vec![String::new(), String::new(), "curators".into(), weft(curators)],
            vec![String::new(), String::new(), format!("model owner ({})", self.cast.builder.name), weft(owner)],
            vec![String::new(), String::new(), format!("oracle ({})", self.cast.oracle.name), weft(oracle)],
            vec![String::new(), String::new(), "treasury".into(), weft(treasury)],
            vec![String::new(), String::new(), "stakers".into(), weft(stakers)],
            vec!["sum".into(), weft(s.paid_in()), "sum".into(), weft(s.paid_in())],
        ];
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
