//! Generators shared by the property tests.

use proptest::{array::uniform32, collection::vec, prelude::*};
use weft_protocol::{
    dec::Dec,
    economics::{Params, Timers},
    fee_tree::FeeNode,
    job::*,
    licence::Terms,
    mmr,
    recipe::*,
    record::*,
    run,
    shape::*,
    slash::{LostBond, SlashParts},
    split::ModelSplit,
    sum_tree::*,
    voucher::Voucher,
    Hash,
};

pub(crate) fn hash() -> impl Strategy<Value = Hash> {
    uniform32(any::<u8>())
}

pub(crate) fn dec() -> impl Strategy<Value = Dec> {
    (any::<u32>(), -22i8..=0).prop_map(|(m, e)| Dec::new(m, e).unwrap())
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let role = prop::sample::select(Role::ALL.to_vec());
    let message = (role, any::<String>(), 0u8..2).prop_map(|(role, content, weight)| Message { role, content, weight });
    vec(message, 1..4).prop_map(|messages| Record { messages })
}

pub(crate) fn shape() -> impl Strategy<Value = ModelShape> {
    let arch = prop::sample::select(vec![Arch::Llama, Arch::Mistral, Arch::Qwen2, Arch::Qwen3]);
    (
        (arch, 1u16..40, 1u32..5000, 1u16..64, 1u16..64, 1u16..256),
        (1u32..20_000, 1u32..300_000, 8u32..40_000, dec()),
        any::<(bool, u8, u32)>(),
    )
        .prop_map(
            |((arch, layers, d, heads, kv_heads, head_dim), (f, vocab, context, rms_eps), (tied, bias, window))| {
                ModelShape {
                    arch,
                    layers,
                    d,
                    heads,
                    kv_heads,
                    head_dim,
                    f,
                    vocab,
                    context,
                    rms_eps,
                    tied,
                    bias,
                    window,
                }
            },
        )
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let length = prop_oneof![any::<u16>().prop_map(Length::Epochs), any::<u32>().prop_map(Length::MaxSteps)];
    let warmup = prop_oneof![(0u32..=1_000_000).prop_map(Warmup::Ppm), any::<u32>().prop_map(Warmup::Steps)];
    let method = prop_oneof![Just(Method::Lora), Just(Method::Qlora)];
    let mean = prop_oneof![Just(LossMean::Token), Just(LossMean::Record)];
    let train_on = prop::sample::select(vec![TrainOn::Responses, TrainOn::LastResponse, TrainOn::All]);
    let overlong = prop::sample::select(vec![Overlong::Truncate, Overlong::Drop, Overlong::Refuse]);
    let schedule = prop::sample::select(vec![Schedule::Linear, Schedule::Cosine, Schedule::Constant]);
    (
        (method, any::<bool>(), any::<u16>(), any::<u16>(), any::<bool>(), dec(), 0u8..0x80),
        (dec(), length, any::<u16>(), mean, any::<u32>(), train_on, overlong, schedule, warmup),
        (dec(), dec(), dec(), dec(), dec(), dec(), dec()),
        (0u32..=1_000_000, prop::collection::btree_set(hash(), 0..4)),
    )
        .prop_map(|(adapter, course, reals, data)| Recipe {
            schema: 1,
            method: adapter.0,
            attribution: adapter.1,
            r: adapter.2,
            alpha: adapter.3,
            rslora: adapter.4,
            dropout: adapter.5,
            targets: adapter.6,
            learning_rate: course.0,
            length: course.1,
            batch_size: course.2,
            loss_mean: course.3,
            max_seq_len: course.4,
            train_on: course.5,
            overlong: course.6,
            schedule: course.7,
            warmup: course.8,
            beta1: reals.0,
            beta2: reals.1,
            eps: reals.2,
            eps_root: reals.3,
            record_clip: reals.4,
            weight_decay: reals.5,
            max_grad_norm: reals.6,
            eval_ppm: data.0,
            exclude: data.1.into_iter().collect(),
        })
}

pub(crate) fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![any::<u8>().prop_map(Tier::Spot), any::<u8>().prop_map(Tier::Full)]
}

pub(crate) fn part() -> impl Strategy<Value = run::Part> {
    (any::<(u32, u32)>(), hash(), any::<(u128, u128, u128)>())
        .prop_map(|((datanet, leaves), root, (pos, neg, paid))| run::Part { datanet, leaves, root, pos, neg, paid })
}

/// Parts ascending by Datanet.
pub(crate) fn parts() -> impl Strategy<Value = Vec<run::Part>> {
    vec(part(), 0..=16).prop_map(|mut parts| {
        parts.sort_by_key(|part| part.datanet);
        parts.dedup_by_key(|part| part.datanet);
        parts
    })
}

pub(crate) fn opening() -> impl Strategy<Value = run::Opening> {
    (hash(), any::<u64>(), hash(), any::<(u16, u32, i8)>(), hash(), parts(), hash(), hash()).prop_map(
        |(s_n, file_len, file_pages, (method, cotangent, x), r0, parts, extra, artifacts)| run::Opening {
            s_n,
            file_len,
            file_pages,
            method,
            cotangent,
            x,
            r0,
            parts,
            extra,
            artifacts,
        },
    )
}

pub(crate) fn commit() -> impl Strategy<Value = run::Commit> {
    let outcome = prop_oneof![Just(run::Outcome::Done), Just(run::Outcome::Diverged)];
    (any::<u32>(), outcome, hash(), hash(), hash(), hash(), hash()).prop_map(
        |(n_done, outcome, data_root, steps_root, model_commitment, attribution_commitment, secret)| run::Commit {
            n_done,
            outcome,
            data_root,
            steps_root,
            model_commitment,
            attribution_commitment,
            secret,
        },
    )
}

pub(crate) fn data_leaf() -> impl Strategy<Value = run::DataLeaf> {
    (any::<(u32, u32, u32, u32)>(), hash(), hash(), hash(), hash()).prop_map(
        |((index, weight_ppm, tokens, loss_tokens), record_id, owner, ids, mask)| run::DataLeaf {
            index,
            record_id,
            owner,
            weight_ppm,
            tokens,
            loss_tokens,
            ids,
            mask,
        },
    )
}

pub(crate) fn spec() -> impl Strategy<Value = run::Spec> {
    let snapshot = (any::<(u32, u32)>(), hash(), hash())
        .prop_map(|((datanet, records), root, clusters)| run::Snapshot { datanet, root, records, clusters });
    ((any::<u32>(), hash(), hash(), vec(snapshot, 0..4), hash()), (recipe(), any::<u16>(), tier(), any::<u8>()))
        .prop_map(|((job, sem_id, base_root, snapshots, probe_root), (recipe, method, tier, score_shift))| run::Spec {
            job,
            sem_id,
            base_root,
            snapshots,
            probe_root,
            recipe,
            method,
            tier,
            score_shift,
        })
}

/// Owner leaves whose sums stay far below overflow.
pub(crate) fn owner_leaf() -> impl Strategy<Value = OwnerLeaf> {
    let amount = || any::<u128>().prop_map(|x| x >> 16);
    (any::<(u32, u32)>(), hash(), amount(), amount(), amount(), amount(), amount()).prop_map(
        |((datanet, records), owner, inrun, pos, neg, paid, held)| OwnerLeaf {
            datanet,
            owner,
            records,
            inrun,
            pos,
            neg,
            paid,
            held,
        },
    )
}

pub(crate) fn range() -> impl Strategy<Value = mmr::Mmr> {
    (vec(hash(), 0..8), any::<(u64, u64)>()).prop_map(|(peaks, (leaves, records))| mmr::Mmr { peaks, leaves, records })
}

pub(crate) fn voucher() -> impl Strategy<Value = Voucher> {
    (hash(), hash(), hash(), any::<(u32, u32, u128, u64, u64)>(), hash()).prop_map(
        |(consumer, key, oracle, (model, price_version, cumulative, tokens_in, tokens_out), receipts)| Voucher {
            consumer,
            key,
            oracle,
            model,
            price_version,
            cumulative,
            tokens_in,
            tokens_out,
            receipts,
        },
    )
}

pub(crate) fn split() -> impl Strategy<Value = ModelSplit> {
    any::<(u32, u32, u32, u32, u32)>().prop_map(|(treasury, stakers, owner, oracle, data)| ModelSplit {
        treasury,
        stakers,
        owner,
        oracle,
        data,
    })
}

pub(crate) fn sums() -> impl Strategy<Value = Sums> {
    any::<(u128, u128, u128)>().prop_map(|(pos, neg, paid)| Sums { pos, neg, paid })
}

pub(crate) fn sum_node() -> impl Strategy<Value = SumNode> {
    (hash(), sums()).prop_map(|(hash, sums)| SumNode { hash, sums })
}

pub(crate) fn fee_node() -> impl Strategy<Value = FeeNode> {
    (hash(), any::<u128>()).prop_map(|(hash, fee)| FeeNode { hash, fee })
}

pub(crate) fn range_proof() -> impl Strategy<Value = mmr::MmrProof> {
    (vec(hash(), 0..8), vec(hash(), 0..8)).prop_map(|(path, peaks)| mmr::MmrProof { path, peaks })
}

pub(crate) fn artifact_kind() -> impl Strategy<Value = run::ArtifactKind> {
    use run::ArtifactKind::*;
    prop::sample::select(vec![Adapter, States, Owners, Checkpoint])
}

pub(crate) fn artifact() -> impl Strategy<Value = run::Artifact> {
    (artifact_kind(), any::<u32>(), hash()).prop_map(|(kind, index, content)| run::Artifact { kind, index, content })
}

pub(crate) fn jury_value() -> impl Strategy<Value = run::JuryValue> {
    (commit(), hash()).prop_map(|(commit, work)| run::JuryValue { commit, work })
}

pub(crate) fn terms() -> impl Strategy<Value = Terms> {
    any::<(u16, Option<u32>, u32, u32, u32, bool)>().prop_map(
        |(purposes, expiry, min_ppm, max_ppm, base_ppm, attribution)| Terms {
            purposes,
            expiry,
            min_ppm,
            max_ppm,
            base_ppm,
            attribution,
        },
    )
}

pub(crate) fn fail_reason() -> impl Strategy<Value = FailReason> {
    use FailReason::*;
    prop::sample::select(vec![Late, Fraud, Withheld, Diverged, Undecided])
}

pub(crate) fn job_state() -> impl Strategy<Value = JobState> {
    use JobState::*;
    let plain = vec![Open, Assigned, Committed, Audit, Window, Disputed, Final, Cancelled, Expired];
    prop_oneof![prop::sample::select(plain), fail_reason().prop_map(Failed)]
}

pub(crate) fn job_event() -> impl Strategy<Value = JobEvent> {
    prop::sample::select(JobEvent::ALL.to_vec())
}

pub(crate) fn slash_parts() -> impl Strategy<Value = SlashParts> {
    any::<[u128; 4]>().prop_map(|[jurors, challenger, builder, burned]| SlashParts {
        jurors,
        challenger,
        builder,
        burned,
    })
}

pub(crate) fn lost_bond() -> impl Strategy<Value = LostBond> {
    any::<[u128; 2]>().prop_map(|[jurors, oracle]| LostBond { jurors, oracle })
}

pub(crate) fn params() -> impl Strategy<Value = Params> {
    (any::<[u128; 14]>(), any::<(u64, u8, u8)>(), any::<[u32; 14]>(), split()).prop_map(
        |(amounts, (ref_flops_per_ms, min_verifiers, jury_size), numbers, split)| Params {
            s_min: amounts[0],
            ticket: amounts[1],
            late_floor: amounts[2],
            job_min: amounts[3],
            value_cap: amounts[4],
            audit_fee: amounts[5],
            bond_floor: amounts[6],
            ref_flops_per_ms,
            min_verifiers,
            jury_size,
            lazy_ppm: numbers[0],
            beta_ppm: numbers[1],
            run_retention: numbers[2],
            datanet_deposit: amounts[7],
            grant_deposit: amounts[8],
            commit_deposit: amounts[9],
            storage_deposit: amounts[10],
            risk_deposit: amounts[11],
            base_deposit: amounts[12],
            commit_window: numbers[3],
            commits_per_day: numbers[4],
            snapshot_interval: numbers[5],
            duplicate_window: numbers[6],
            price_notice: numbers[7],
            slash_delay: numbers[8],
            settlement_window: numbers[9],
            usage_delay: numbers[10],
            unlock: numbers[11],
            settlement_min: amounts[13],
            treasury_floor: numbers[12],
            stakers_floor: numbers[13],
            split,
        },
    )
}

pub(crate) fn timers() -> impl Strategy<Value = Timers> {
    any::<[u32; 14]>().prop_map(|blocks| Timers {
        draw_delay: blocks[0],
        open: blocks[1],
        key: blocks[2],
        run: blocks[3],
        audit: blocks[4],
        reveal: blocks[5],
        window: blocks[6],
        response: blocks[7],
        clock: blocks[8],
        extension: blocks[9],
        data: blocks[10],
        jury: blocks[11],
        grace: blocks[12],
        epoch: blocks[13],
    })
}
