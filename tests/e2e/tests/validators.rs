//! Four validators.

use weft_harness::testnet;
use weft_protocol::economics::Timers;

use crate::Setting;

/// Blocks after which the chain counts as finalising: more than a round of every validator.
const BLOCKS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn validators_should_finalise_the_same_blocks_when_they_are_four() {
    let setting = Setting::new().await;
    let nodes = testnet::start(&setting.programs, setting.dir()).await.unwrap_or_else(|e| panic!("{e}"));
    let logs = || nodes.iter().map(weft_harness::node::Node::tail).collect::<Vec<_>>().join("\n");
    let mut hashes = Vec::new();
    for node in &nodes {
        crate::held(testnet::finalised(&node.url(), BLOCKS).await, logs);
        hashes.push(testnet::hash_of(&node.url(), BLOCKS).await.unwrap());
    }
    assert_eq!(hashes.len(), 4);
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");

    let lag = crate::held(testnet::lag(&nodes[0].url(), 10).await, logs);
    println!("local_testnet: finality lags at most {lag} blocks");
    assert!(testnet::answers(&Timers::local_testnet()) >= lag + 4, "finality lags {lag} blocks behind the best block");
}
