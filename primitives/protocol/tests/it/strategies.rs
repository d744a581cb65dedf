//! Generators shared by the property tests.

use proptest::{array::uniform32, collection::vec, prelude::*};
use weft_protocol::{
    dec::Dec, job::*, mmr, recipe::*, record::*, run, shape::*, split::ModelSplit, sum_tree::*, voucher::Voucher, Hash,
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
