//! Template text, ids and mask of the tiny base against transformers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test")]

use serde_json::Value;
use std::path::Path;
use weft_data::{EncodeOptions, Tokenizer};
use weft_protocol::recipe::{Overlong, TrainOn};
use weft_protocol::record::{Message, Record, Role};

#[test]
fn records_should_encode_like_transformers_when_the_template_is_the_models() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tok = Tokenizer::from_dir(&root.join("fixtures/tiny-base")).unwrap();
    let golden: Value =
        serde_json::from_slice(&std::fs::read(root.join("tests/parity/golden/tiny_base.json")).unwrap()).unwrap();
    let ids = |v: &Value| -> Vec<u32> { serde_json::from_value(v.clone()).unwrap() };
    for g in golden.as_array().unwrap() {
        let messages: Vec<Message> = g["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| Message {
                role: Role::from_name(m["role"].as_str().unwrap()).unwrap(),
                content: m["content"].as_str().unwrap().to_owned(),
                weight: 1,
            })
            .collect();
        assert_eq!(tok.render(&messages, false).unwrap(), g["text"].as_str().unwrap());
        let before = &messages[..messages.len() - 1];
        assert_eq!(tok.render(before, true).unwrap(), g["prompt_text"].as_str().unwrap());
        assert_eq!(tok.prompt(before).unwrap(), ids(&g["prompt_ids"]));
        let options = EncodeOptions { train_on: TrainOn::Responses, max_seq_len: 256, overlong: Overlong::Refuse };
        let e = tok.encode(&Record { messages }, &options).unwrap();
        assert_eq!(e.ids, ids(&g["ids"]));
        let mask: Vec<u8> = serde_json::from_value(g["mask"].clone()).unwrap();
        assert_eq!(e.mask, mask);
        assert_eq!(u64::from(e.n_loss), g["targets"].as_u64().unwrap());
        let greedy = ids(&g["greedy_ids"]);
        assert_eq!(tok.decode(&greedy).unwrap(), g["greedy_text"].as_str().unwrap());
    }
}
