//! Every call against the committed metadata: names, order and types of the arguments.

use codec::Decode;
use subxt::{
    ext::{scale_decode::DecodeAsFields, scale_value::Composite},
    tx::Payload,
    Metadata,
};
use weft_protocol::{
    job::Tier,
    run::{Commit, Opening, Outcome},
    split::ModelSplit,
    sum_tree::{OwnerLeaf, SumNode, Sums},
    voucher::Voucher,
};

use crate::{attribution, datanets, models, oracles, permissions, rewards, system, Call};

const H: [u8; 32] = [7; 32];

fn commit() -> Commit {
    Commit {
        n_done: 3,
        outcome: Outcome::Done,
        data_root: H,
        steps_root: H,
        model_commitment: H,
        attribution_commitment: H,
        secret: H,
    }
}

fn opening() -> Opening {
    Opening {
        s_n: H,
        file_len: 9,
        file_pages: H,
        method: 1,
        cotangent: 0,
        x: -1,
        r0: H,
        parts: vec![],
        extra: H,
        artifacts: H,
    }
}

fn terms() -> permissions::Terms {
    permissions::Terms {
        purposes: 5,
        name: b"CC0-1.0".to_vec(),
        text: H,
        price: 1,
        pool: (1, 1),
        base_ppm: 2,
        shares: (3, 4, 5),
        max_uses: 6,
        duration: Some(7),
        base_models: permissions::Allowed::Only(vec![H]),
        programs: permissions::Allowed::Any,
        attribution: true,
        approval: permissions::Approval::Open,
        reciprocity: permissions::Reciprocity::None,
        trusted: vec![],
        revocable: true,
        on_revoke: permissions::OnRevoke::KeepServing,
    }
}

fn calls() -> Vec<Call> {
    let leaf = OwnerLeaf { datanet: 1, owner: H, records: 2, inrun: 3, pos: 4, neg: 5, paid: 6, held: 0 };
    let node = SumNode { hash: H, sums: Sums { pos: 1, neg: 2, paid: 3 } };
    let voucher = Voucher {
        consumer: H,
        key: H,
        oracle: H,
        model: 1,
        price_version: 1,
        cumulative: 5,
        tokens_in: 1,
        tokens_out: 2,
        receipts: H,
    };
    let scope = permissions::Scope {
        purposes: 1,
        uses: 2,
        snapshots: (0, u32::MAX),
        base_models: permissions::Allowed::Any,
        programs: permissions::Allowed::Only(vec![]),
        expiry: None,
    };
    let spec = models::JobSpec {
        base: H,
        parent: None,
        inputs: vec![
            models::JobInput { datanet: 0, snapshot: 0, grant: models::GrantRef::Held(3) },
            models::JobInput {
                datanet: 1,
                snapshot: 0,
                grant: models::GrantRef::Acquire { version: 1, max_price: 2, purpose: 3, uses: 4 },
            },
        ],
        recipe: vec![1, 2, 3],
        sem_id: H,
        tier: Tier::Full(1),
        fee: 1,
        value: 2,
        split: ModelSplit { treasury: 50_000, stakers: 50_000, owner: 300_000, oracle: 200_000, data: 400_000 },
    };
    let rule = rewards::KeyRule { daily_limit: 1, models: rewards::KeyModels::Only(vec![1]), expiry: Some(2) };
    vec![
        system::transfer(&H, 5),
        datanets::create(datanets::Kind::Instruction, "name", H, datanets::Rule::Threshold(1)),
        datanets::set_curators(1, &[H]),
        datanets::commit(1, H),
        datanets::reveal(1, H, H, H, 2, 3),
        datanets::review(1, 2, datanets::Verdict::Reject, Some(datanets::RejectCode::Unlawful), Some(H)),
        datanets::snapshot_now(1),
        permissions::set_licence(1, &terms()),
        permissions::acquire(1, 2, 3, &scope),
        permissions::revoke(1, permissions::Cause::Convenience),
        permissions::prune(1),
        models::activate(H),
        models::submit_job(&spec),
        models::cancel_job(1),
        models::set_prices(1, 2, 3),
        models::poke(1),
        oracles::register(&[H], "/ip4/127.0.0.1", H, 5),
        oracles::bond(1),
        oracles::unbond(1),
        oracles::withdraw(),
        oracles::chill(),
        oracles::resume(),
        oracles::take(1),
        oracles::commit(1, &commit()),
        oracles::audit_commit(1, H),
        oracles::reveal_nonces(1, H, Some(&opening())),
        oracles::reveal_nonces(1, H, None),
        oracles::audit_reveal(1, H, H, H, true, &[H, H], &[]),
        oracles::accuse(1, 2),
        oracles::jury_commit(1, H),
        oracles::jury_reveal(1, &commit(), H, H),
        attribution::post_usage(1, 2, H, 3, 4, 5, 6),
        rewards::open_budget(&H, 1),
        rewards::top_up(&H, 1),
        rewards::close_budget(&H),
        rewards::withdraw(&H),
        rewards::add_key(H, &rule),
        rewards::revoke_key(H),
        rewards::redeem(&[(voucher, [1; 64])]),
        rewards::finalise(1, 2),
        rewards::claim(1, 2, 3, 4, &leaf, std::slice::from_ref(&node)),
        rewards::claim_many(1, 2, 3, &[(0, leaf)], &[node]),
    ]
}

#[test]
fn calls_should_fit_the_committed_metadata() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/metadata.scale");
    let metadata = Metadata::decode(&mut std::fs::read(file).unwrap().as_slice()).unwrap();
    for call in calls() {
        let title = call.title();
        let pallet = metadata.pallet_by_name(call.pallet_name()).unwrap_or_else(|| panic!("{title}: no such pallet"));
        let variant = pallet.call_variant_by_name(call.call_name()).unwrap_or_else(|| panic!("{title}: no such call"));
        let mut fields =
            variant.fields.iter().map(|f| subxt::ext::scale_decode::Field::new(f.ty.id, f.name.as_deref()));
        let mut args = call.args_for_tests();
        Composite::<()>::decode_as_fields(&mut args, &mut fields, metadata.types())
            .unwrap_or_else(|e| panic!("{title}: {e}"));
        assert!(args.is_empty(), "{title}: {} bytes are left over", args.len());
    }
}

#[test]
fn hash_should_be_read_in_any_case_with_or_without_prefix() {
    let hash = [0xab; 32];
    let digits = "ab".repeat(32);
    for text in
        [digits.clone(), digits.to_uppercase(), format!("0x{digits}"), format!(" 0X{}\n", digits.to_uppercase())]
    {
        assert_eq!(crate::parse_hash(&text), Some(hash), "{text}");
    }
    assert_eq!(crate::parse_hash("0xabab"), None);
    assert_eq!(crate::parse_hash(""), None);
}
