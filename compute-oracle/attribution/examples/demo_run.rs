//! Times a run of the shipped base on the shipped Datanets:
//! `cargo run -p weft-attribution --example demo_run -- [isa] [threads] [steps]`.
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    reason = "a measuring tool"
)]

use std::path::Path;
use std::time::Instant;
use weft_attribution::{execute, ExecOptions, RunInputs};
use weft_data::{read_jsonl, JobData, JobRecord, Tokenizer};
use weft_engine::{Base, Compute, EventKind, Isa};
use weft_protocol::{
    hash::ZERO,
    recipe::{Length, Recipe},
    run::Snapshot,
};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let isa = args.get(1).map_or(Isa::detect(), |s| s.parse().unwrap());
    let threads = args.get(2).map_or(2, |s| s.parse().unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = root.join("fixtures/base");
    let started = Instant::now();
    let base = Base::load(&dir).unwrap();
    println!("base loaded in {:.2} s", started.elapsed().as_secs_f64());
    let tok = Tokenizer::from_dir(&dir).unwrap();
    let text = std::fs::read_to_string(root.join("fixtures/recipe.json")).unwrap();
    let mut recipe: Recipe = serde_json::from_str(&text).unwrap();
    if let Some(steps) = args.get(3) {
        recipe.length = Length::MaxSteps(steps.parse().unwrap());
    }
    let mut records = Vec::new();
    for (snapshot, name) in ["birds", "capitals", "elements"].iter().enumerate() {
        for c in 1..=3u8 {
            let path = root.join(format!("fixtures/datanets/{name}/contributor{c}.jsonl"));
            let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
            for record in read_jsonl(&path.display().to_string(), file).unwrap() {
                records.push(JobRecord { record_id: record.id(&ZERO), record, owner: [c; 32], snapshot });
            }
        }
    }
    let snapshots: Vec<Snapshot> =
        (1..=3u32).map(|datanet| Snapshot { datanet, root: [1; 32], records: 60, clusters: ZERO }).collect();
    let data = JobData::build(&tok, &snapshots, &records, &recipe, &[7; 32], recipe.attribution).unwrap();
    let tokens: usize = data.encoded.iter().map(|e| e.ids.len()).sum();
    let targets: u32 = data.leaves.iter().map(|l| l.loss_tokens).sum();
    println!(
        "{} records, {tokens} tokens, {targets} targets, data in {:.2} s",
        records.len(),
        started.elapsed().as_secs_f64()
    );
    let inputs = RunInputs {
        base: &base,
        data: &data,
        recipe: &recipe,
        run_id: [3; 32],
        seed: [7; 32],
        method: u16::from(recipe.attribution),
        score_shift: 40,
        base_ppm: 200_000,
        base_name: "weft/base",
    };
    let opts = ExecOptions { compute: Compute { isa, threads }, secret: Some([1; 32]), ..ExecOptions::default() };
    let run = Instant::now();
    let mut forward = 0.0;
    let out = execute(&inputs, &opts, &mut |e| {
        if let EventKind::Step { step, steps, loss, grad_norm, tokens_per_s, .. } = &e.kind {
            forward = run.elapsed().as_secs_f64();
            if step % 10 == 0 || step == steps {
                println!("step {step}/{steps} loss {loss:.4} norm {grad_norm:.3} {tokens_per_s:.0} tokens/s");
            }
        }
    })
    .unwrap();
    let all = run.elapsed().as_secs_f64();
    println!(
        "{} threads {threads}: forward {forward:.2} s, reverse {:.2} s, all {all:.2} s",
        isa.name(),
        all - forward
    );
    println!("x {} commit {:02x?}", out.x, &out.commit.unwrap().steps_root[..8]);
    if let Some(p) = out.payout {
        println!("rough {} u {} sum_w {}", p.rough, p.u, p.sum_w);
    }
}
