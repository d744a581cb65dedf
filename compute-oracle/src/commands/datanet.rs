//! `weft datanet`: registries of records.

use std::collections::BTreeSet;

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::datanets::{self, Contribution, Datanet, Kind, Rule};

use super::{accounts, signed};
use crate::{
    cli::{Datanet as Command, KindArg},
    context::Context,
    error::{CliError, CliResult},
    keys::address,
    output::{counted, full, short, table},
};

/// A Datanet to create.
#[derive(Clone, Debug)]
pub struct NewDatanet {
    /// Name, 1–64 bytes.
    pub name: String,
    /// What the records are.
    pub kind: Kind,
    /// The card, Markdown.
    pub card: Vec<u8>,
    /// How contributions are decided.
    pub rule: Rule,
    /// Curators; none: the owner stays alone.
    pub curators: Vec<[u8; 32]>,
}

/// Creates a Datanet and sets its curators. Returns its number.
pub async fn create(ctx: &Context, signer: &Keypair, new: &NewDatanet) -> CliResult<u32> {
    if new.name.is_empty() || new.name.len() > 64 {
        return Err(CliError::usage(format!("the name '{}' has {} bytes", new.name, new.name.len()), "use 1–64 bytes"));
    }
    if new.name.chars().any(char::is_control) {
        return Err(CliError::usage(
            format!("the name {:?} holds control characters", new.name),
            "use letters, digits, signs and spaces",
        ));
    }
    let card = ctx.store()?.put(&new.card)?;
    let call = datanets::create(new.kind, &new.name, card, new.rule);
    let deposit = datanets::params(&ctx.chain().await?.finalised().await?).await?.datanet_deposit;
    let done = signed(ctx, signer, call, deposit).await?;
    let id = done.id("Datanets", "Created", "datanet")?;
    if !new.curators.is_empty() {
        set_curators(ctx, signer, id, &new.curators).await?;
    }
    Ok(id)
}

/// Replaces the curators.
pub async fn set_curators(ctx: &Context, signer: &Keypair, datanet: u32, list: &[[u8; 32]]) -> CliResult {
    signed(ctx, signer, datanets::set_curators(datanet, list), 0).await.map(|_| ())
}

/// Takes a snapshot of what is accepted. Returns its index.
pub async fn snapshot(ctx: &Context, signer: &Keypair, datanet: u32) -> CliResult<u32> {
    let done = signed(ctx, signer, datanets::snapshot_now(datanet), 0).await?;
    Ok(done.id("Datanets", "SnapshotTaken", "snapshot")?)
}

/// All Datanets with their numbers.
pub async fn list(ctx: &Context) -> CliResult<Vec<(u32, Datanet)>> {
    let state = ctx.chain().await?.finalised().await?;
    let mut found = Vec::new();
    for id in 0..datanets::next_datanet(&state).await? {
        if let Some(net) = datanets::datanet(&state, id).await? {
            found.push((id, net));
        }
    }
    Ok(found)
}

/// A Datanet with all that belongs to it.
pub struct Shown {
    /// The Datanet.
    pub net: Datanet,
    /// Its curators.
    pub curators: Vec<[u8; 32]>,
    /// Its contributions by number.
    pub contributions: Vec<(u32, Contribution)>,
    /// Its snapshots by index.
    pub snapshots: Vec<(u32, datanets::Snapshot)>,
}

/// Reads a Datanet with its contributions and snapshots.
pub async fn show(ctx: &Context, id: u32) -> CliResult<Shown> {
    let state = ctx.chain().await?.finalised().await?;
    let net = datanets::datanet(&state, id).await?.ok_or_else(|| state.missing(format!("Datanet {id}")))?;
    let mut contributions = Vec::new();
    for n in 0..net.contributions {
        if let Some(c) = datanets::contribution(&state, id, n).await? {
            contributions.push((n, c));
        }
    }
    let mut snapshots = Vec::new();
    for s in 0..net.snapshots {
        if let Some(snapshot) = datanets::snapshot(&state, id, s).await? {
            snapshots.push((s, snapshot));
        }
    }
    let curators = datanets::curators(&state, id).await?;
    Ok(Shown { net, curators, contributions, snapshots })
}

fn name_of(net: &Datanet) -> String {
    String::from_utf8_lossy(&net.name).into_owned()
}

fn rule_of(rule: Rule) -> String {
    match rule {
        Rule::Owner => "the owner decides".into(),
        Rule::Threshold(k) => format!("{k} equal votes of curators decide"),
        Rule::MinScore(ppm) => format!("a reported score of {ppm} ppm accepts"),
        Rule::Optimistic(window) => format!("silence for {window} blocks accepts"),
    }
}

fn net_json(id: u32, net: &Datanet) -> Value {
    json!({
        "datanet": id, "name": name_of(net), "kind": format!("{:?}", net.kind).to_lowercase(),
        "owner": address(&net.owner.0), "card": full(&net.card), "rule": rule_of(net.rule),
        "records": net.records, "bytes": net.bytes, "contributions": net.contributions, "pending": net.pending,
        "snapshots": net.snapshots,
    })
}

fn shown_json(id: u32, shown: &Shown) -> Value {
    let contributions: Vec<Value> = shown
        .contributions
        .iter()
        .map(|(n, c)| {
            json!({
                "contribution": n, "owner": address(&c.owner.0), "records": c.records, "bytes": c.bytes,
                "state": c.state, "reason": c.reason, "note": c.note.as_ref().map(full), "root": full(&c.root),
                "content": full(&c.content), "sequence": c.sequence,
            })
        })
        .collect();
    let snapshots: Vec<Value> = shown
        .snapshots
        .iter()
        .map(|(s, snap)| {
            json!({ "snapshot": s, "root": full(&snap.root), "records": snap.records, "bytes": snap.bytes, "block": snap.block })
        })
        .collect();
    let mut value = net_json(id, &shown.net);
    if let Some(map) = value.as_object_mut() {
        map.insert("curators".into(), shown.curators.iter().map(address).collect());
        map.insert("contribution_list".into(), contributions.into());
        map.insert("snapshot_list".into(), snapshots.into());
    }
    value
}

fn shown_text(id: u32, shown: &Shown) -> String {
    let net = &shown.net;
    let mut text = format!(
        "Datanet {id}: {}\n  owner {}\n  {}; curators: {}\n  {} records, {} bytes accepted; {} contributions, {} without a verdict\n",
        name_of(net),
        address(&net.owner.0),
        rule_of(net.rule),
        if shown.curators.is_empty() { "none".to_string() } else { shown.curators.iter().map(address).collect::<Vec<_>>().join(", ") },
        net.records,
        net.bytes,
        net.contributions,
        net.pending,
    );
    let mut rows = vec![["contribution", "contributor", "records", "state", "reason"].map(String::from).to_vec()];
    for (n, c) in &shown.contributions {
        rows.push(vec![
            n.to_string(),
            address(&c.owner.0),
            c.records.to_string(),
            format!("{:?}", c.state).to_lowercase(),
            c.reason.map(|r| format!("{r:?}")).unwrap_or_default(),
        ]);
    }
    text.push_str(&table(&rows));
    let mut rows = vec![["snapshot", "records", "block", "root"].map(String::from).to_vec()];
    for (s, snap) in &shown.snapshots {
        rows.push(vec![s.to_string(), snap.records.to_string(), snap.block.to_string(), short(&snap.root)]);
    }
    text.push_str(&table(&rows));
    text
}

/// The rule of a new Datanet: without curators its owner decides, since nobody else could.
fn rule(threshold: Option<u8>, curators: &[[u8; 32]]) -> CliResult<Rule> {
    let distinct = curators.iter().collect::<BTreeSet<_>>().len();
    match threshold.unwrap_or(u8::from(distinct > 0)) {
        0 => Ok(Rule::Owner),
        k if usize::from(k) > distinct => Err(CliError::usage(
            format!("{k} equal votes are to decide, and there are {}", counted(distinct, "curator")),
            "name more curators, or create the Datanet with a lower --threshold; with 0 the owner decides",
        )),
        k => Ok(Rule::Threshold(k)),
    }
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Create { name, kind, card, threshold, curators } => {
            let bytes = std::fs::read(&card).map_err(CliError::io("read", &card))?;
            let kind = match kind {
                KindArg::Chat => Kind::Chat,
                KindArg::Instruction => Kind::Instruction,
                KindArg::Text => Kind::Text,
            };
            let curators = accounts(ctx, &curators).await?;
            let rule = rule(threshold, &curators)?;
            let new = NewDatanet { name, kind, card: bytes, rule, curators };
            let id = create(ctx, &ctx.signer().await?, &new).await?;
            ctx.result(
                &json!({ "datanet": id }),
                &format!("Datanet {id} exists. Next: `weft licence set {id}`, then `weft data contribute {id} FILE`"),
            );
        }
        Command::List => {
            let all = list(ctx).await?;
            let mut rows = vec![["number", "records", "snapshots", "name"].map(String::from).to_vec()];
            for (id, net) in &all {
                rows.push(vec![id.to_string(), net.records.to_string(), net.snapshots.to_string(), name_of(net)]);
            }
            let value: Vec<Value> = all.iter().map(|(id, net)| net_json(*id, net)).collect();
            ctx.result(&json!({ "datanets": value }), &table(&rows));
        }
        Command::Show { datanet } => {
            let shown = show(ctx, datanet).await?;
            ctx.result(&shown_json(datanet, &shown), &shown_text(datanet, &shown));
        }
        Command::Curators { datanet, curators } => {
            let list = accounts(ctx, &curators).await?;
            let state = ctx.chain().await?.finalised().await?;
            let net = datanets::datanet(&state, datanet).await?;
            let net = net.ok_or_else(|| state.missing(format!("Datanet {datanet}")))?;
            if let Rule::Threshold(votes) = net.rule {
                rule(Some(votes), &list)?;
            }
            set_curators(ctx, &ctx.signer().await?, datanet, &list).await?;
            ctx.result(&json!({ "datanet": datanet, "curators": list.len() }), &counted(list.len(), "curator"));
        }
        Command::Snapshot { datanet } => {
            let index = snapshot(ctx, &ctx.signer().await?, datanet).await?;
            ctx.result(
                &json!({ "datanet": datanet, "snapshot": index }),
                &format!("snapshot {index} of Datanet {datanet} is final"),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn rule_should_be_one_that_somebody_can_meet() {
        let (a, b) = ([1; 32], [2; 32]);
        assert_eq!(rule(None, &[]).unwrap(), Rule::Owner);
        assert_eq!(rule(None, &[a]).unwrap(), Rule::Threshold(1));
        assert_eq!(rule(Some(0), &[a]).unwrap(), Rule::Owner);
        assert_eq!(rule(Some(2), &[a, b]).unwrap(), Rule::Threshold(2));
        for (threshold, list) in [(1, vec![]), (2, vec![a]), (2, vec![a, a])] {
            assert_eq!(rule(Some(threshold), &list).unwrap_err().exit, Exit::Usage);
        }
    }
}
