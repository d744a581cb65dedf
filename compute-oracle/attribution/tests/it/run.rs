//! A whole run on the tiny base: equal on every machine setting, exact after a
//! stop, and telling who cheated.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test"
)]

use std::path::{Path, PathBuf};
use weft_attribution::{compare, execute, Comparison, ExecOptions, RunInputs, RunOutput};
use weft_data::{JobData, JobRecord, Tokenizer};
use weft_engine::{Base, Compute, EventKind, Isa};
use weft_protocol::{
    dec::Dec,
    hash::ZERO,
    recipe::{Length, Recipe},
    record::Record,
    run::{Outcome, Snapshot},
};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base")
}

pub(crate) struct World {
    base: Base,
    data: JobData,
    recipe: Recipe,
}

pub(crate) fn recipe() -> Recipe {
    let mut recipe = Recipe::attributed();
    recipe.r = 4;
    recipe.alpha = 8;
    recipe.batch_size = 4;
    recipe.max_seq_len = 64;
    recipe.length = Length::MaxSteps(7);
    recipe.warmup = weft_protocol::recipe::Warmup::Steps(1);
    recipe.learning_rate = Dec::parse("5e-3").unwrap();
    recipe.eps_root = Dec::parse("1e-7").unwrap();
    recipe.record_clip = Dec::parse("4").unwrap();
    recipe
}

pub(crate) fn world(recipe: Recipe) -> World {
    let base = Base::load(&tiny()).unwrap();
    let tok = Tokenizer::from_dir(&tiny()).unwrap();
    let records: Vec<JobRecord> = (0..24u8)
        .map(|i| {
            let record = Record::pair(&format!("What is number {i}?"), &format!("It is {}.", i * 7 % 11));
            JobRecord { record_id: record.id(&ZERO), record, owner: [i % 3 + 1; 32], snapshot: usize::from(i >= 12) }
        })
        .collect();
    let snapshot = |datanet: u32| Snapshot { datanet, root: [9; 32], records: 12, clusters: ZERO };
    let data =
        JobData::build(&tok, &[snapshot(1), snapshot(4)], &records, &recipe, &[5; 32], recipe.attribution).unwrap();
    World { base, data, recipe }
}

impl World {
    fn inputs(&self) -> RunInputs<'_> {
        RunInputs {
            base: &self.base,
            data: &self.data,
            recipe: &self.recipe,
            run_id: [3; 32],
            seed: [5; 32],
            method: u16::from(self.recipe.attribution),
            score_shift: 40,
            base_ppm: 200_000,
            base_name: "weft/tiny",
        }
    }

    pub(crate) fn run(&self, opts: &ExecOptions) -> RunOutput {
        execute(&self.inputs(), opts, &mut |_| ()).unwrap()
    }
}

pub(crate) fn on(isa: Isa, threads: usize) -> ExecOptions {
    ExecOptions { compute: Compute { isa, threads }, secret: Some([8; 32]), ..ExecOptions::default() }
}

/// The lines of `events.jsonl` without what is measured; their numbers have no gap.
///
/// As JSON: where a dependency lets serde_json keep the digits of numbers, tagged enums hold no reals.
pub(crate) fn deterministic(text: &str) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for (seq, line) in (0u64..).zip(text.lines()) {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["seq"].as_u64(), Some(seq));
        let map = event.as_object_mut().unwrap();
        map.remove("tokens_per_s");
        map.remove("eta_s");
        all.push(event);
    }
    all
}

#[test]
fn run_should_give_equal_commitments_when_threads_and_instructions_differ() {
    let w = world(Recipe { length: Length::MaxSteps(20), warmup: weft_protocol::recipe::Warmup::Steps(2), ..recipe() });
    let first = w.run(&on(Isa::Reference, 1));
    assert_eq!(first.outcome, Outcome::Done);
    assert_eq!((first.n_done, first.states.len()), (20, 42));
    assert!(first.scores.iter().any(|s| *s > 0) && first.scores.iter().any(|s| *s < 0), "{:?}", first.scores);
    let payout = first.payout.as_ref().unwrap();
    assert!(!payout.rough);
    assert_eq!(payout.parts().iter().map(|p| p.paid).sum::<u128>(), 1_000_000_000_000);
    let opening = first.opening(ZERO).unwrap();
    assert!(opening.matches(first.commit.as_ref().unwrap()));
    for isa in [Isa::Reference, Isa::Scalar, Isa::Avx2, Isa::Avx512] {
        if !isa.available() {
            println!("skipped: this machine has no {}", isa.name());
            continue;
        }
        // The reference is slow: its one-thread run is `first`, one with many is enough.
        let threads: &[usize] = if isa == Isa::Reference { &[8] } else { &[1, 2, 3, 8] };
        for &threads in threads {
            let again = w.run(&on(isa, threads));
            assert_eq!(
                compare(&again, &first.states, first.commit.as_ref(), Some(&[8; 32])),
                Comparison::Identical,
                "{isa:?} {threads}"
            );
            assert_eq!(again.adapter, first.adapter);
            assert_eq!(again.commit, first.commit);
        }
    }
}

#[test]
fn every_trainable_should_move_when_three_steps_are_done() {
    let mut r = recipe();
    r.length = Length::MaxSteps(3);
    let w = world(r);
    let out = w.run(&on(Isa::detect(), 2));
    let layout = weft_engine::Layout::new(&w.base, &w.recipe).unwrap();
    let file = out.adapter.unwrap().safetensors;
    let tensors = weft_protocol::peft::tensors(layout.slots(), &file).unwrap();
    let init = layout.init(&[5; 32]);
    for (i, raw) in tensors.iter().enumerate() {
        let before = weft_engine::lora::bytes_of(&init[layout.range(i)]);
        assert_ne!(*raw, &before[..], "{}", layout.slots()[i].name);
    }
}

#[test]
fn run_should_end_equal_when_it_is_stopped_at_every_state() {
    let w = world(recipe());
    let whole = tempfile::tempdir().unwrap();
    let undisturbed = w.run(&ExecOptions { dir: Some(whole.path().into()), ..on(Isa::detect(), 2) });
    let text = std::fs::read_to_string(whole.path().join("events.jsonl")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let output = loop {
        let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 1) };
        let control = opts.control.clone();
        let mut seen = 0;
        let result = execute(&w.inputs(), &opts, &mut |e| {
            // Stops after the second step of each process, so that every state is a place to resume.
            if matches!(e.kind, EventKind::Step { .. } | EventKind::Replay { .. }) {
                seen += 1;
                if seen == 2 {
                    control.stop();
                }
            }
        });
        match result {
            Ok(out) => break out,
            Err(e) => assert_eq!(e.code(), "stopped"),
        }
        stops += 1;
        assert!(stops < 20);
    };
    assert!(stops >= 5);
    assert_eq!(output.states, undisturbed.states);
    assert_eq!(output.adapter, undisturbed.adapter);
    assert_eq!(output.commit, undisturbed.commit);
    assert_eq!(output.checkpoints.len(), undisturbed.checkpoints.len());
    for ((u, a), (v, b)) in output.checkpoints.iter().zip(&undisturbed.checkpoints) {
        assert_eq!((u, std::fs::read(a).unwrap()), (v, std::fs::read(b).unwrap()));
    }
    // Every stop kept a checkpoint that the undisturbed run did not need, and their events shift the numbers.
    let wanted: Vec<u64> = undisturbed.checkpoints.iter().map(|c| u64::from(c.0)).collect();
    let events = |text: &str| {
        let mut all = deterministic(text);
        all.retain(|e| e["event"] != "checkpoint" || wanted.contains(&e["u"].as_u64().unwrap()));
        for e in &mut all {
            e.as_object_mut().unwrap().remove("seq");
        }
        all
    };
    let resumed = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    let all = events(&text);
    assert_eq!(events(&resumed), all);
    for kind in ["phase", "step", "eval", "checkpoint", "replay", "done"] {
        assert!(all.iter().any(|e| e["event"] == kind), "no event {kind}");
    }

    // Another run refuses the folder.
    let mut other = w.inputs();
    other.run_id = [4; 32];
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 1) };
    assert_eq!(execute(&other, &opts, &mut |_| ()).unwrap_err().code(), "resume_mismatch");
}

#[test]
fn run_should_end_equal_when_a_crash_left_half_written_files() {
    let w = world(recipe());
    let whole = w.run(&on(Isa::detect(), 2));
    let dir = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) };
    let _ = w.run(&opts);
    let ckpt = dir.path().join("ckpt");
    // As if killed between state 9 and its rename: later checkpoints are gone,
    // one is damaged, a temporary folder and torn lines are left.
    for u in [12, 15] {
        std::fs::remove_dir_all(ckpt.join(u.to_string())).unwrap();
    }
    std::fs::write(ckpt.join("9").join("state.safetensors"), b"torn").unwrap();
    std::fs::create_dir(ckpt.join(".12.tmp")).unwrap();
    std::fs::write(ckpt.join(".12.tmp").join("state.safetensors"), b"half").unwrap();
    let events = dir.path().join("events.jsonl");
    let mut text = std::fs::read(&events).unwrap();
    text.truncate(text.len() - 9);
    std::fs::write(&events, text).unwrap();
    let again = w.run(&opts);
    assert_eq!(again.states, whole.states);
    assert_eq!(again.commit, whole.commit);
    // The damaged checkpoint was written again.
    let layout = weft_engine::Layout::new(&w.base, &w.recipe).unwrap();
    let points = weft_engine::checkpoint::Checkpoints::open(dir.path()).unwrap();
    let kept = points.list().unwrap();
    assert_eq!(kept.len(), again.checkpoints.len());
    for m in kept {
        points.load(&layout, m.u).unwrap();
    }
}

#[test]
fn run_should_go_on_from_an_older_checkpoint_when_its_states_are_damaged() {
    // GIVEN a finished run whose list of states has a wrong byte behind state 12
    let w = world(recipe());
    let dir = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) };
    let whole = w.run(&opts);
    let file = dir.path().join("states.bin");
    let sound = std::fs::read(&file).unwrap();
    let mut raw = sound.clone();
    raw[13 * 32] ^= 1;
    std::fs::write(&file, &raw).unwrap();
    // WHEN it runs again THEN it ends equal, and the list is mended
    let again = w.run(&opts);
    assert_eq!((again.states, again.commit), (whole.states.clone(), whole.commit));
    assert_eq!(std::fs::read(&file).unwrap(), sound);
    // WHEN no checkpoint fits its states THEN it starts over
    std::fs::write(&file, b"").unwrap();
    let again = w.run(&opts);
    assert_eq!((again.states, again.commit), (whole.states, whole.commit));
    assert_eq!(std::fs::read(&file).unwrap(), sound);
}

#[test]
fn run_should_end_with_an_error_when_a_checkpoint_cannot_be_read() {
    let w = world(recipe());
    let dir = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) };
    let _ = w.run(&opts);
    // A folder is the one file that cannot be read by anybody.
    let file = dir.path().join("ckpt/15/state.safetensors");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(execute(&w.inputs(), &opts, &mut |_| ()).unwrap_err().code(), "io");
}

#[test]
fn run_should_end_and_pay_by_tokens_when_no_record_trains() {
    for choosable in [0, 1] {
        // GIVEN a job that excludes all records, or all but the one that the probe takes
        let all = world(recipe());
        let mut exclude: Vec<_> = all.data.leaves.iter().skip(choosable).map(|l| l.record_id).collect();
        exclude.sort_unstable();
        let w = world(Recipe { eval_ppm: 0, exclude, ..recipe() });
        assert!(w.data.leaves.iter().all(|l| l.weight_ppm == 0));
        assert_eq!(w.data.probe.len(), choosable);
        // WHEN it runs
        let dir = tempfile::tempdir().unwrap();
        let out = w.run(&ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) });
        // THEN the adapter is the untrained one, no score is earned, and the points go by tokens
        assert_eq!((out.outcome, out.n_done, out.states.len(), out.eval_loss), (Outcome::Done, 7, 16, None));
        let layout = weft_engine::Layout::new(&w.base, &w.recipe).unwrap();
        let file = &out.adapter.as_ref().unwrap().safetensors;
        let init = layout.init(&[5; 32]);
        for (i, raw) in weft_protocol::peft::tensors(layout.slots(), file).unwrap().iter().enumerate() {
            assert_eq!(*raw, &weft_engine::lora::bytes_of(&init[layout.range(i)])[..]);
        }
        assert!(out.scores.iter().all(|s| *s == 0));
        let payout = out.payout.as_ref().unwrap();
        assert_eq!((payout.rough, payout.sum_w), (choosable == 0, 0));
        let paid = if choosable == 0 { 0 } else { 1_000_000_000_000 };
        assert_eq!(out.parts().iter().map(|p| p.paid).sum::<u128>(), paid);
        assert!(out.opening(ZERO).unwrap().matches(out.commit.as_ref().unwrap()));
        // NaN would be written as null.
        assert!(!std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap().contains("null"));
        let again = w.run(&on(Isa::Reference, 1));
        assert_eq!((again.states, again.commit), (out.states, out.commit));
    }
}

#[test]
fn replay_should_be_equal_when_states_are_recomputed_from_checkpoints() {
    let w = world(recipe());
    let kept = w.run(&on(Isa::detect(), 2));
    let dir = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) };
    let _ = w.run(&opts);
    // Only the last forward state is left: every tape must be recomputed from the start.
    for entry in std::fs::read_dir(dir.path().join("ckpt")).unwrap() {
        let path = entry.unwrap().path();
        let u: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        if u > 7 || u == 3 {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let again = w.run(&opts);
    assert_eq!(again.states, kept.states);
    assert_eq!(again.commit, kept.commit);
}

#[test]
fn juror_should_work_on_inner_states_when_it_resumes() {
    let w = world(recipe());
    let draw = Some([6; 32]);
    let fresh = w.run(&ExecOptions { jury_draw: draw, ..on(Isa::detect(), 2) });
    assert!(fresh.work.is_some());
    let dir = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(dir.path().into()), ..on(Isa::detect(), 2) };
    let _ = w.run(&opts);
    let resumed = w.run(&ExecOptions { jury_draw: draw, ..opts });
    assert_eq!(resumed.work, fresh.work);
    let other = w.run(&ExecOptions { jury_draw: Some([7; 32]), ..on(Isa::detect(), 2) });
    assert_ne!(other.work, fresh.work);
}

#[test]
fn run_should_have_no_reverse_states_when_attribution_is_off() {
    let mut r = Recipe { attribution: false, ..recipe() };
    r.record_clip = Dec::ZERO;
    r.max_grad_norm = Dec::ONE;
    let w = world(r);
    let out = w.run(&on(Isa::detect(), 2));
    assert_eq!(out.states.len(), 8);
    assert_eq!((out.r_0, out.x), (ZERO, 0));
    assert!(out.scores.is_empty());
    assert_eq!(out.parts().iter().map(|p| p.paid).sum::<u128>(), 1_000_000_000_000);
    assert_eq!(out.audit_states().1, ZERO);
}

#[test]
fn run_should_end_diverged_when_the_norm_is_not_finite() {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny()).unwrap().flatten() {
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    // A final norm of infinities: every gradient is NaN.
    let file = dir.path().join("model.safetensors");
    let mut raw = std::fs::read(&file).unwrap();
    let header = usize::try_from(u64::from_le_bytes(raw[..8].try_into().unwrap())).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&raw[8..8 + header]).unwrap();
    let at = &json["model.norm.weight"]["data_offsets"];
    let at = |i: usize| 8 + header + usize::try_from(at[i].as_u64().unwrap()).unwrap();
    for pair in raw[at(0)..at(1)].chunks_exact_mut(2) {
        pair.copy_from_slice(&[0x80, 0x7f]);
    }
    std::fs::write(&file, raw).unwrap();
    let w = World { base: Base::load(dir.path()).unwrap(), ..world(recipe()) };
    let out = tempfile::tempdir().unwrap();
    let opts = ExecOptions { dir: Some(out.path().into()), ..on(Isa::detect(), 2) };
    let first = w.run(&opts);
    assert_eq!((first.outcome, first.n_done, first.states.len()), (Outcome::Diverged, 0, 1));
    assert_eq!((first.model_commitment, first.attribution_commitment), (ZERO, ZERO));
    assert!(first.adapter.is_none() && first.payout.is_none() && first.opening(ZERO).is_none());
    // Its events, NaN among them, can be read back.
    let again = w.run(&opts);
    assert_eq!(again.states, first.states);
    let juror = w.run(&ExecOptions { jury_draw: Some([6; 32]), ..on(Isa::Reference, 1) });
    assert_eq!(juror.states, first.states);
    assert!(juror.work.is_some());
}

#[cfg(feature = "adversary")]
#[test]
fn comparison_should_find_the_lie_when_an_oracle_cheats() {
    use weft_attribution::Tamper;
    let w = world(recipe());
    let honest = w.run(&on(Isa::detect(), 2));
    for (tamper, want) in [
        (Tamper::SkipSteps, "states"),
        (Tamper::SwapData, "states"),
        (Tamper::ForeignAdapter, "model_commitment"),
        (Tamper::InflateScore, "attribution_commitment"),
    ] {
        let lie = w.run(&ExecOptions { tamper, ..on(Isa::detect(), 2) });
        assert_eq!(lie.data_root, honest.data_root);
        let found = compare(&honest, &lie.states, lie.commit.as_ref(), Some(&[8; 32]));
        match found {
            Comparison::FirstDifference { u, .. } => {
                assert_eq!(want, "states");
                assert!(u > 0);
            }
            Comparison::Field { field } => assert_eq!(field, want),
            other => panic!("{tamper:?}: {other:?}"),
        }
    }
}
