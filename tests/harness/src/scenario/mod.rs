//! The main job of Weft: from records to claims, each step by the account that does it in life.
//!
//! Independent accounts act at the same time, as people would; several calls of one account go out back to back. Every
//! step fails with what did not hold, so that the demo's exit code and the tests mean the same.

mod market;
mod table;
mod training;

pub use market::{Reply, Share};
pub use table::Settled;

use std::time::Instant;

use futures::future::{try_join, try_join3, try_join_all};
use weft::commands::{
    apikey::{self, NewKey},
    budget, data,
    data::{Contributed, Review},
    grant, job, licence, oracle,
};
use weft_chain::{
    datanets::{self, Kind, RejectCode, Rule, Verdict},
    permissions, system, Call, State,
};
use weft_protocol::{economics::Params, AccountId};

use crate::{
    ensure,
    network::{Network, NetworkConfig},
    people::{pot, Person, REVENUE, STAKERS, TREASURY},
    plan::{Plan, CONTRIBUTORS},
    report::Report,
    HarnessError, HarnessResult, Programs,
};

/// What the curator writes to the contributor of the rejected file.
pub const NOTE: &str = "Advertising, not facts about capitals.";

/// Who takes part.
pub struct Cast {
    /// Put records into the Datanets.
    pub contributors: Vec<Person>,
    /// Owns the Datanets and reviews contributions.
    pub curator: Person,
    /// Submits the job and owns the model.
    pub builder: Person,
    /// Asks and pays.
    pub consumer: Person,
    /// Trains and serves.
    pub oracle: Person,
    /// Recomputes.
    pub verifier: Person,
}

impl Cast {
    fn new(net: &Network) -> HarnessResult<Self> {
        Ok(Self {
            contributors: (1..=CONTRIBUTORS)
                .map(|i| net.person(&format!("Contributor{i}")))
                .collect::<HarnessResult<_>>()?,
            curator: net.person("Curator")?,
            builder: net.person("Builder")?,
            consumer: net.person("Consumer")?,
            oracle: net.person("Oracle")?,
            verifier: net.person("Verifier")?,
        })
    }

    /// Everybody, in the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Person> {
        self.contributors.iter().chain([&self.curator, &self.builder, &self.consumer, &self.oracle, &self.verifier])
    }
}

/// Money at one block.
#[derive(Clone, Debug, Default)]
pub struct Money {
    /// Everybody's free and held money, in the order of [`Cast::all`].
    pub people: Vec<u128>,
    /// Free and held money of the development accounts that sign beside them: Alice and Bob.
    pub others: u128,
    /// Treasury, stakers' pot, revenue pot.
    pub pots: [u128; 3],
    /// Money that exists.
    pub issuance: u128,
}

impl Money {
    /// Money of everybody who takes part, the pots included.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.people.iter().chain(&self.pots).fold(self.others, |sum, units| sum.saturating_add(*units))
    }
}

/// A contribution of the scenario.
#[derive(Clone, Debug)]
pub struct Given {
    /// Index of the contributor.
    pub contributor: usize,
    /// What was contributed.
    pub facts: Contributed,
    /// Whether the curator rejects it.
    pub rejected: bool,
}

/// The main job on a network.
pub struct Scenario {
    /// The network.
    pub net: Network,
    /// The people.
    pub cast: Cast,
    /// What they do.
    pub plan: Plan,
    /// What is told.
    pub report: Report,
    /// Money before anything happened.
    pub before: Money,
    /// Numbers of the Datanets.
    pub datanets: Vec<u32>,
    /// All contributions.
    pub given: Vec<Given>,
    /// The builder's grants: (Datanet, grant).
    pub grants: Vec<(u32, u32)>,
    /// The job.
    pub job: u32,
    /// The minted model.
    pub model: u32,
    /// The consumer's API key: what is sent, and its public half.
    pub key: (String, [u8; 32]),
    /// Answers before training.
    pub replies_before: Vec<Reply>,
    /// Paid answers.
    pub replies_after: Vec<Reply>,
    /// Shares of right answers before training.
    pub share_before: Share,
    /// Shares of right answers of the model.
    pub share_after: Share,
    /// Fees of all paid answers, computed here from tokens and prices.
    pub fees: u128,
}

impl Scenario {
    /// Starts the node and writes down everybody's balance.
    pub async fn open(programs: &Programs, config: NetworkConfig, plan: Plan) -> HarnessResult<Self> {
        let mut report = Report::default();
        let start = Instant::now();
        report.say(format!("start a node in {}", config.dir.display()));
        let net = Network::start(programs, config).await?;
        let cast = Cast::new(&net)?;
        report.add("start the node", start.elapsed());
        report.say(format!("the node serves JSON-RPC at {}", net.node.url()));
        let mut scenario = Self {
            net,
            cast,
            plan,
            report,
            before: Money::default(),
            datanets: Vec::new(),
            given: Vec::new(),
            grants: Vec::new(),
            job: 0,
            model: 0,
            key: (String::new(), [0; 32]),
            replies_before: Vec::new(),
            replies_after: Vec::new(),
            share_before: Share::default(),
            share_after: Share::default(),
            fees: 0,
        };
        let state = scenario.net.state().await?;
        scenario.before = scenario.money(&state).await?;
        Ok(scenario)
    }

    /// Everybody's money at a block.
    pub async fn money(&self, state: &State) -> HarnessResult<Money> {
        let mut people = Vec::new();
        for person in self.cast.all() {
            people.push(person.total(state).await?);
        }
        let others = self.net.root.total(state).await? + self.net.person("Bob")?.total(state).await?;
        let mut pots = [0; 3];
        for (sum, id) in pots.iter_mut().zip([TREASURY, STAKERS, REVENUE]) {
            *sum = system::balance(state, &pot(id)).await?.total();
        }
        Ok(Money { people, others, pots, issuance: system::total_issuance(state).await? })
    }

    /// Blob folders of the contributors.
    #[must_use]
    pub fn contributor_stores(&self) -> Vec<std::path::PathBuf> {
        self.cast.contributors.iter().map(Person::store).collect()
    }

    /// Starts the daemons of oracle and verifier. Each keeps its own store; the folders it may copy from are named.
    pub async fn start_daemons(&mut self) -> HarnessResult {
        let start = Instant::now();
        self.report.say("start the daemons of the oracle and of the verifier; each loads the base model");
        for (name, other, takes_jobs) in [("Oracle", "Verifier", true), ("Verifier", "Oracle", false)] {
            let mut sources = self.contributor_stores();
            sources.push(self.net.daemon_store(other));
            let config = self.net.daemon_config(name, takes_jobs, &sources);
            self.net.add_daemon(config).await?;
        }
        for daemon in &self.net.daemons {
            self.report.say(format!("the {} serves HTTP at {}", daemon.name(), daemon.url()));
        }
        let stores: Vec<_> = self.net.daemons.iter().map(crate::daemon::Daemon::store).collect();
        for person in [&mut self.cast.builder, &mut self.cast.consumer].into_iter().chain(&mut self.cast.contributors) {
            person.read_from(&stores);
        }
        self.report.add("start the daemons", start.elapsed());
        Ok(())
    }

    /// Oracle and verifier register; the curator creates the Datanets with their curators and licences; the consumer
    /// registers an API key.
    pub async fn create(&mut self) -> HarnessResult {
        let start = Instant::now();
        let names: Vec<&str> = self.plan.datanets.iter().map(|d| d.name.as_str()).collect();
        self.report.say(format!(
            "oracle and verifier register with {} each; the curator creates the Datanets {} and sets their licences; waiting for finality",
            weft::output::weft(self.plan.stake),
            names.join(", ")
        ));
        let cast = &self.cast;
        let rule = NewKey { daily_limit: self.plan.budget, models: Vec::new(), days: 30 };
        let registered = try_join(register(&cast.oracle, self.plan.stake), register(&cast.verifier, self.plan.stake));
        let key = async { Ok(apikey::create(&cast.consumer.ctx, &cast.consumer.signer, &rule).await?) };
        let (_, datanets, key) = try_join3(registered, create_datanets(&cast.curator, &self.plan), key).await?;
        self.datanets = datanets;
        self.key = (key.secret, key.public);
        self.report.add("register, create Datanets", start.elapsed());
        Ok(())
    }

    /// Contributors commit and reveal; the builder acquires grants; the consumer opens a budget.
    pub async fn contribute(&mut self) -> HarnessResult {
        let start = Instant::now();
        self.report.say("contributors commit, then reveal; the builder acquires grants; the consumer opens a budget");
        let mut work = Vec::new();
        for (i, person) in self.cast.contributors.iter().enumerate() {
            let mut files = Vec::new();
            for (id, plan) in self.datanets.iter().zip(&self.plan.datanets) {
                files.extend(plan.files.get(i).map(|f| (*id, f.clone(), false)));
                files.extend(plan.rejected.iter().filter(|(who, _)| *who == i).map(|(_, f)| (*id, f.clone(), true)));
            }
            work.push(give(i, person, files));
        }
        let grants = acquire(&self.cast.builder, &self.datanets, self.net.base_root);
        let budget = async {
            let consumer = &self.cast.consumer;
            Ok(budget::open(&consumer.ctx, &consumer.signer, &self.cast.oracle.account, self.plan.budget).await?)
        };
        let (given, grants, ()) = try_join3(try_join_all(work), grants, budget).await?;
        self.given = given.into_iter().flatten().collect();
        self.grants = grants;
        let records: u32 = self.given.iter().map(|g| g.facts.records).sum();
        self.report.say(format!("{} contributions with {records} records are on chain", self.given.len()));
        self.report.add("contribute, grant, open a budget", start.elapsed());
        Ok(())
    }

    /// The curator accepts what belongs into the Datanets and rejects one contribution with a reason.
    pub async fn review(&mut self) -> HarnessResult {
        let start = Instant::now();
        let mut reviews = Vec::new();
        for given in &self.given {
            let contribution = given
                .facts
                .contribution
                .ok_or_else(|| HarnessError::failed(format!("{} was not revealed", given.facts.file.display())))?;
            reviews.push(Review {
                datanet: given.facts.datanet,
                contribution,
                verdict: if given.rejected { Verdict::Reject } else { Verdict::Accept },
                code: given.rejected.then_some(RejectCode::OffTopic),
                note: given.rejected.then(|| NOTE.to_string()),
            });
        }
        let rejected = reviews.iter().filter(|r| r.verdict == Verdict::Reject).count();
        self.report
            .say(format!("the curator reviews {} contributions and rejects {rejected}: off topic", reviews.len()));
        let curator = &self.cast.curator;
        data::review_all(&curator.ctx, &curator.signer, &reviews).await?;
        self.report.add("review", start.elapsed());
        Ok(())
    }

    /// The curator takes a snapshot of every Datanet.
    pub async fn snapshot(&mut self) -> HarnessResult {
        let start = Instant::now();
        self.report.say("the curator takes a snapshot of every Datanet");
        let calls: Vec<(Call, u128)> = self.datanets.iter().map(|id| (datanets::snapshot_now(*id), 0)).collect();
        sign_all(&self.cast.curator, &calls).await?;
        let state = self.net.state().await?;
        for id in &self.datanets {
            let found = datanets::snapshot(&state, *id, 0).await?;
            let expected: u32 =
                self.given.iter().filter(|g| g.facts.datanet == *id && !g.rejected).map(|g| g.facts.records).sum();
            let records = found.map(|s| s.records);
            ensure(records == Some(u64::from(expected)), || {
                format!("the snapshot of Datanet {id} holds {records:?} records instead of {expected}")
            })?;
        }
        self.report.add("snapshot", start.elapsed());
        Ok(())
    }

    /// What the builder asks for.
    #[must_use]
    pub fn new_job(&self) -> job::NewJob {
        job::NewJob {
            base: self.net.base_root,
            data: self.datanets.iter().map(|id| (*id, None)).collect(),
            grants: self.grants.iter().copied().collect(),
            recipe: self.plan.recipe.clone(),
            fee: self.plan.fee,
            value: self.plan.value,
            verifiers: 1,
        }
    }

    /// The builder submits the job.
    pub async fn submit(&mut self) -> HarnessResult<u32> {
        let start = Instant::now();
        let wanted = self.new_job();
        let builder = &self.cast.builder;
        let quote = job::quote(&builder.ctx, &builder.account, &wanted).await?;
        self.report.say(format!(
            "the builder submits a job: {} records, {} steps, fee {}, verification {}, licences {}",
            quote.records,
            quote.steps,
            weft::output::weft(quote.fee),
            weft::output::weft(quote.verification),
            weft::output::weft(quote.licence.iter().map(|(_, price)| price).sum()),
        ));
        self.job = job::submit(&builder.ctx, &builder.signer, &wanted).await?;
        self.report.add("submit the job", start.elapsed());
        Ok(self.job)
    }

    /// The whole scenario.
    pub async fn run(&mut self) -> HarnessResult<Settled> {
        self.start_daemons().await?;
        self.create().await?;
        self.contribute().await?;
        self.ask_base().await?;
        self.review().await?;
        self.snapshot().await?;
        self.submit().await?;
        self.train().await?;
        self.price().await?;
        self.ask_model().await?;
        self.settle().await?;
        self.claim().await?;
        self.totals().await
    }
}

/// Signs several calls of one account back to back.
pub(crate) async fn sign_all(who: &Person, calls: &[(Call, u128)]) -> HarnessResult {
    let done = who.ctx.sign_all(&who.signer, calls).await?;
    ensure(done.is_some(), || format!("{} did not sign", who.name))
}

/// Registers an oracle.
pub(crate) async fn register(who: &Person, stake: u128) -> HarnessResult {
    Ok(oracle::register(&who.ctx, &who.signer, stake, "/ip4/127.0.0.1/tcp/8000/http").await?)
}

/// Creates the Datanets with curators and licences, all calls back to back.
pub(crate) async fn create_datanets(curator: &Person, plan: &Plan) -> HarnessResult<Vec<u32>> {
    let deposits = Params::fast();
    let state = curator.chain().await?.finalised().await?;
    let first = datanets::next_datanet(&state).await?;
    let store = curator.ctx.store()?;
    let terms = permissions::Terms { price: plan.licence_price, ..licence::default_terms() };
    let mut calls = Vec::new();
    let mut ids = Vec::new();
    for (id, datanet) in (first..).zip(&plan.datanets) {
        let card = store.put(&datanet.card)?;
        let create = datanets::create(Kind::Instruction, &datanet.name, card, Rule::Threshold(1));
        calls.push((create, deposits.datanet_deposit));
        calls.push((datanets::set_curators(id, &[curator.account]), 0));
        calls.push((permissions::set_licence(id, &terms), deposits.grant_deposit));
        ids.push(id);
    }
    sign_all(curator, &calls).await?;
    let state = curator.chain().await?.finalised().await?;
    for (id, plan) in ids.iter().zip(&plan.datanets) {
        let found = datanets::datanet(&state, *id).await?;
        let named = found.as_ref().is_some_and(|d| d.name == plan.name.as_bytes() && d.owner.0 == curator.account);
        ensure(named, || format!("Datanet {id} is not '{}' of {}", plan.name, curator.name))?;
    }
    Ok(ids)
}

/// Contributes files to Datanets: (Datanet, file, whether it is rejected).
pub(crate) async fn give(
    contributor: usize,
    who: &Person,
    files: Vec<(u32, std::path::PathBuf, bool)>,
) -> HarnessResult<Vec<Given>> {
    let list: Vec<_> = files.iter().map(|(id, file, _)| (*id, file.clone())).collect();
    let done = data::contribute_all(&who.ctx, &who.signer, &list, false).await?;
    ensure(done.len() == files.len(), || format!("{} revealed {} of {} files", who.name, done.len(), files.len()))?;
    Ok(done.into_iter().zip(files).map(|(facts, (_, _, rejected))| Given { contributor, facts, rejected }).collect())
}

/// Acquires a grant on every Datanet, back to back. Returns (Datanet, grant).
pub(crate) async fn acquire(builder: &Person, datanets: &[u32], base: [u8; 32]) -> HarnessResult<Vec<(u32, u32)>> {
    let state = builder.chain().await?.finalised().await?;
    let first = permissions::next_grant(&state).await?;
    let mut calls = Vec::new();
    for id in datanets {
        let (version, found) = licence::show(&builder.ctx, *id).await?;
        let terms = found.terms.0;
        let scope = permissions::Scope {
            purposes: terms.purposes,
            uses: 8,
            snapshots: (0, u32::MAX),
            base_models: permissions::Allowed::Only(vec![base]),
            programs: terms.programs.clone(),
            expiry: None,
        };
        calls.push((permissions::acquire(*id, version, terms.price, &scope), Params::fast().grant_deposit));
    }
    sign_all(builder, &calls).await?;
    let grants: Vec<(u32, u32)> = datanets.iter().copied().zip(first..).collect();
    for (datanet, id) in &grants {
        let found = grant::show(&builder.ctx, *id).await?;
        ensure(found.datanet == *datanet && found.consumer.0 == builder.account, || {
            format!("grant {id} is not {}'s on Datanet {datanet}", builder.name)
        })?;
    }
    Ok(grants)
}

/// Which account of a list somebody is.
pub(crate) fn name_of<'a>(people: impl Iterator<Item = &'a Person>, account: &AccountId) -> String {
    let mut people = people;
    people.find(|p| p.account == *account).map_or_else(|| weft::keys::address(account), |p| p.name.clone())
}
