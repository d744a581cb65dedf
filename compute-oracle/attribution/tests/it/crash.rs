//! A run that is killed at any instant goes on and ends as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test")]

use crate::run::{deterministic, on, recipe, world};
use std::collections::hash_map::RandomState;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use weft_attribution::ExecOptions;
use weft_engine::Isa;
use weft_protocol::recipe::{Length, Recipe, Warmup};

/// Tells [`worker_should_run_when_it_is_given_a_folder`] where.
const FOLDER: &str = "WEFT_CRASH_FOLDER";
const KILLS: usize = 20;
/// Longest life of a worker that is killed, in milliseconds.
const LONGEST: u64 = 400;

/// Long enough that most workers are killed before the end.
fn long() -> Recipe {
    Recipe { length: Length::MaxSteps(40), warmup: Warmup::Steps(4), ..recipe() }
}

fn options(dir: &Path) -> ExecOptions {
    ExecOptions { dir: Some(dir.into()), ..on(Isa::detect(), 1) }
}

/// All files below a folder; events without what is measured.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut all, mut open) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.insert(path.strip_prefix(dir).unwrap().to_path_buf(), Vec::new());
                open.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            if path.ends_with("events.jsonl") {
                bytes = format!("{:#?}", deterministic(&String::from_utf8(bytes).unwrap())).into_bytes();
            }
            all.insert(path.strip_prefix(dir).unwrap().to_path_buf(), bytes);
        }
    }
    all
}

fn assert_equal(dir: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>, lives: &[u64]) {
    let got = files(dir);
    assert_eq!(got.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "after lives of {lives:?} ms");
    for (path, bytes) in whole {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let same = got[path] == *bytes;
        let shown = if path.ends_with("events.jsonl") { (text(&got[path]), text(bytes)) } else { Default::default() };
        assert!(same, "{} differs after lives of {lives:?} ms\n{}\n{}", path.display(), shown.0, shown.1);
    }
}

/// Not a test of its own: the process that [`run_should_end_equal_when_it_is_killed_at_any_instant`] kills.
#[test]
fn worker_should_run_when_it_is_given_a_folder() {
    if let Some(dir) = std::env::var_os(FOLDER) {
        world(long()).run(&options(Path::new(&dir)));
    }
}

#[test]
fn run_should_end_equal_when_it_is_killed_at_any_instant() {
    // GIVEN an undisturbed run
    let w = world(long());
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = w.run(&options(folder.path()));
    let whole = files(folder.path());
    // WHEN processes that run it are killed again and again
    let mut dir = tempfile::tempdir().unwrap();
    let (mut lives, mut kills) = (Vec::new(), 0);
    while kills < KILLS {
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["crash::worker_should_run_when_it_is_given_a_folder", "--exact"])
            .env(FOLDER, dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let life = RandomState::new().build_hasher().finish() % (LONGEST + 1);
        lives.push(life);
        std::thread::sleep(Duration::from_millis(life));
        match worker.try_wait().unwrap() {
            None => {
                worker.kill().unwrap();
                worker.wait().unwrap();
                kills += 1;
            }
            // It was faster: that run is judged, and another begins.
            Some(status) => {
                assert!(status.success(), "a worker failed after lives of {lives:?} ms");
                assert_equal(dir.path(), &whole, &lives);
                dir = tempfile::tempdir().unwrap();
                lives.clear();
            }
        }
    }
    // THEN the run that goes on ends like the undisturbed one, in every file
    let output = w.run(&options(dir.path()));
    assert_eq!(output.states, undisturbed.states);
    assert_eq!(output.adapter, undisturbed.adapter);
    assert_eq!(output.commit, undisturbed.commit);
    assert_equal(dir.path(), &whole, &lives);
}
