//! The program `weft` as a process: what bad input answers. Exit code, cause and next step, and a data folder that holds
//! what it held before. None of these needs a node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tempfile::TempDir;

/// Nothing listens on this port: it needs root to be bound, and no service has it.
const NOWHERE: &str = "ws://127.0.0.1:1";
/// A root of a base model, for commands that end before they look for it.
const ROOT: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

/// A data folder with a key, and a folder of input files beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let made = place.weft(&["key", "generate", "me", "--no-passphrase"]);
        assert!(made.status.success(), "{made:?}");
        place
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes an input file and returns its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
        // Nothing of this machine's own settings.
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("WEFT_")) {
            command.env_remove(name);
        }
        command.env_remove("OPENAI_API_KEY").env("XDG_CONFIG_HOME", self.dir.path());
        command.current_dir(self.dir.path()).arg("--data-dir").arg(self.data()).args(["--rpc-url", NOWHERE]).args(args);
        command
    }

    fn weft(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Every file of the data folder with its content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    found.insert(path, content);
                }
            }
        }
        found
    }

    /// Runs a command that must fail: with this exit code, these words in its cause, a next step, in plain text and as
    /// problem JSON, and without touching a file.
    fn refuses(&self, args: &[&str], env: &[(&str, &str)], exit: i32, words: &[&str]) {
        let before = self.files();
        let plain = self.command(args).envs(env.iter().copied()).output().unwrap();
        let text = String::from_utf8(plain.stderr).unwrap();
        assert_eq!(plain.status.code(), Some(exit), "{args:?}: {text}");
        assert!(text.contains("next: "), "{args:?} names no next step: {text}");
        for word in words {
            assert!(text.contains(word), "{args:?} does not say '{word}': {text}");
        }

        let json = self.command(args).arg("--json").envs(env.iter().copied()).output().unwrap();
        let text = String::from_utf8(json.stderr).unwrap();
        assert_eq!(json.status.code(), Some(exit), "{args:?} --json: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"));
        assert_eq!(problem["exit"], exit, "{args:?}");
        for key in ["code", "cause", "next"] {
            assert!(problem[key].as_str().is_some_and(|s| !s.is_empty()), "{args:?}: no {key}: {problem}");
        }
        assert_eq!(self.files(), before, "{args:?} changed the data folder");
    }
}

fn tiny_base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-base")
}

/// A copy of the tiny base in a new folder.
fn copy_base(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(tiny_base()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A safetensors file without one of its tensors, whole in every other respect.
fn without_tensor(file: &[u8], name: &str) -> Vec<u8> {
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let header: Map<String, Value> = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let data = &file[8 + length..];
    assert!(header.contains_key(name), "no tensor {name}");
    let offset = |info: &Value, i: usize| usize::try_from(info["data_offsets"][i].as_u64().unwrap()).unwrap();
    let mut kept: Vec<(&String, &Value)> = header.iter().filter(|(n, _)| *n != name && *n != "__metadata__").collect();
    kept.sort_by_key(|(_, info)| offset(info, 0));
    let (mut new, mut bytes) = (Map::new(), Vec::new());
    for (name, info) in kept {
        let from = bytes.len();
        bytes.extend_from_slice(&data[offset(info, 0)..offset(info, 1)]);
        let mut info = info.clone();
        info["data_offsets"] = serde_json::json!([from, bytes.len()]);
        new.insert(name.clone(), info);
    }
    let mut head = serde_json::to_vec(&Value::Object(new)).unwrap();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut out = u64::try_from(head.len()).unwrap().to_le_bytes().to_vec();
    out.extend_from_slice(&head);
    out.extend_from_slice(&bytes);
    out
}

const GOOD: &str = "{\"prompt\":\"What is the capital of France?\",\"completion\":\"Paris.\"}\n";

#[test]
fn malformed_records_should_be_refused_with_file_line_and_field() {
    let place = Place::new();
    let broken = place.file("broken.jsonl", format!("{GOOD}{{\"prompt\": \n"));
    place.refuses(&["data", "check", &broken], &[], 2, &["broken.jsonl, line 2", "not JSON"]);
    let missing = place.file("missing.jsonl", format!("{GOOD}{GOOD}{{\"prompt\":\"a\"}}\n"));
    place.refuses(&["data", "check", &missing], &[], 2, &["missing.jsonl, line 3", "`completion`"]);
    let empty = place.file("empty.jsonl", "\n");
    place.refuses(&["data", "check", &empty], &[], 2, &["empty.jsonl", "no record"]);
}

#[test]
fn record_over_the_limit_should_be_refused_with_its_line() {
    let place = Place::new();
    let long = format!("{GOOD}{{\"prompt\":\"a\",\"completion\":\"{}\"}}\n", "b".repeat(300 << 10));
    let file = place.file("long.jsonl", long);
    place.refuses(&["data", "check", &file], &[], 2, &["long.jsonl, line 2", "262144"]);
}

#[test]
fn missing_file_should_be_not_found() {
    let place = Place::new();
    place.refuses(&["data", "check", "gone.jsonl"], &[], 4, &["gone.jsonl"]);
    let recipe = ["job", "submit", "--base", ROOT, "--data", "0", "--fee", "1", "--recipe", "gone.json"];
    place.refuses(&recipe, &[], 4, &["gone.json"]);
}

#[test]
fn wrong_template_should_be_refused() {
    let place = Place::new();
    let base = place.dir.path().join("base");
    copy_base(&base);
    std::fs::write(base.join("chat_template.jinja"), "{%- for message in messages -%}{{ message['content'] }}")
        .unwrap();
    let file = place.file("good.jsonl", GOOD);
    place.refuses(&["data", "check", &file, "--base", base.to_str().unwrap()], &[], 2, &["template"]);
}

#[test]
fn base_model_should_be_refused_when_a_tensor_is_missing() {
    let place = Place::new();
    let base = place.dir.path().join("base");
    copy_base(&base);
    let whole = place.weft(&["model", "root", base.to_str().unwrap()]);
    assert!(whole.status.success(), "{whole:?}");
    let name = "model.layers.1.mlp.up_proj.weight";
    let path = base.join("model.safetensors");
    std::fs::write(&path, without_tensor(&std::fs::read(&path).unwrap(), name)).unwrap();
    place.refuses(&["model", "root", base.to_str().unwrap()], &[], 2, &[name, "missing"]);
}

#[test]
fn recipe_should_be_refused_when_a_key_is_unknown() {
    let place = Place::new();
    let recipe = place.file("recipe.json", "{\"method\": \"lora\", \"learning_rat\": 0.001}");
    let args = ["job", "submit", "--base", ROOT, "--data", "0", "--fee", "1", "--recipe", &recipe];
    place.refuses(&args, &[], 2, &["recipe.json", "learning_rat"]);
}

#[test]
fn unreachable_node_should_be_named() {
    let place = Place::new();
    place.refuses(&["job", "list"], &[], 5, &[NOWHERE]);
    let file = place.file("good.jsonl", GOOD);
    place.refuses(&["data", "contribute", "0", &file, "--account", "me"], &[], 5, &[NOWHERE]);
}

#[test]
fn unreachable_daemon_should_be_named() {
    let place = Place::new();
    let key = place.file("api.key", weft::apikey::ApiKey::generate().text());
    let args = ["chat", "base", "hello", "--url", "http://127.0.0.1:1/v1", "--key-file", &key];
    place.refuses(&args, &[], 5, &["http://127.0.0.1:1"]);
}

#[test]
fn full_disk_should_end_with_its_own_code() {
    let place = Place::new();
    // A store that must keep the whole disk free has no room for anything.
    place.refuses(&["doctor"], &[("WEFT_STORE__RESERVE_PERCENT", "100")], 8, &["store"]);
}

#[test]
fn wrong_use_should_be_refused_before_anything_is_done() {
    let place = Place::new();
    let config = place.file("weft.toml", "[server]\nlistne = \"x\"\n");
    place.refuses(&["config", "show", "--config", &config], &[], 2, &["listne"]);
    place.refuses(&["key", "generate", "me", "--no-passphrase"], &[], 2, &["me.json", "exists"]);

    // clap's own words and form; its hint is the next step.
    let unknown = place.weft(&["jobs"]);
    let text = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{text}");
    assert!(text.contains("jobs") && text.contains("--help"), "{text}");
    let unknown = place.weft(&["jobs", "--json"]);
    let problem: Value = serde_json::from_slice(&unknown.stderr).unwrap();
    assert_eq!((unknown.status.code(), &problem["code"]), (Some(2), &Value::from("usage")), "{problem}");
    for help in [["--help"], ["--version"]] {
        assert!(place.weft(&help).status.success());
    }
}

#[test]
fn argument_of_the_wrong_kind_should_be_refused_with_its_real_cause() {
    let place = Place::new();
    let folder = place.dir.path().to_str().unwrap();
    let key = place.file("api.key", weft::apikey::ApiKey::generate().text());
    let recipe = ["job", "submit", "--data", "0", "--fee", "1", "--recipe", "recipe.json", "--base", folder];
    let cases: [(&[&str], &[&str]); 10] = [
        (&["data", "check", folder], &["is a folder"]),
        (&["model", "root", folder], &["no base model folder"]),
        (&recipe, &["no base model folder"]),
        (&["chat", "base", "hello", "--key-file", &key, "--url", "ftp://x"], &["ftp://x", "http://"]),
        (&["serve", "--listen", "nonsense"], &["nonsense", "HOST:PORT"]),
        (&["reward", "show", "--for", "//Alice", "--daemon", "nonsense"], &["nonsense", "daemon"]),
        (&["key", "generate", "../evil", "--no-passphrase"], &["../evil"]),
        (&["key", "generate", "", "--no-passphrase"], &["no name"]),
        (&["apikey", "create", "--days", "0"], &["--no-expiry"]),
        (&["key", "show"], &["--account"]),
    ];
    for (args, words) in cases {
        place.refuses(args, &[], 2, words);
    }
    place.refuses(&["key", "show", "--account", "nosuch"], &[], 4, &["nosuch", "keys"]);
}

#[test]
fn address_of_a_development_account_should_be_known_without_a_chain() {
    let place = Place::new();
    let shown = place.weft(&["key", "show", "--account", "//Alice"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"), "{text}");
}

#[test]
fn environment_should_be_harmless_when_no_color_has_any_value() {
    let place = Place::new();
    for value in ["", "1", "yes please"] {
        let shown = place.command(&["config", "show"]).env("NO_COLOR", value).output().unwrap();
        assert!(shown.status.success(), "NO_COLOR='{value}': {shown:?}");
    }
}

#[test]
fn child_should_end_when_its_parent_is_killed() {
    // GIVEN a parent that starts a long child through the guard, says its process id, and waits
    let mut parent = Command::new("sh")
        .args(["-c", "\"$0\" child-of $$ /bin/sleep 300 & echo $!; wait"])
        .arg(env!("CARGO_BIN_EXE_weft"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
    let process = Path::new("/proc").join(line.trim());
    let name = || std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    until("the child runs", || name().trim() == "sleep");
    // WHEN the parent is killed, without a chance to clean up
    parent.kill().unwrap();
    parent.wait().unwrap();
    // THEN the child ends
    until("the child ends", || !name().starts_with("sleep") || state(&process) == Some('Z'));
}

#[test]
fn guard_should_refuse_when_the_parent_is_another() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    let done = command.args(["child-of", "1", "/bin/touch"]).arg(place.dir.path().join("made")).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(!place.dir.path().join("made").exists());
}

/// State letter of a process; `Z`: ended, and nobody has asked for its status yet.
fn state(process: &Path) -> Option<char> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Waits for a condition.
fn until(what: &str, held: impl Fn() -> bool) {
    let start = Instant::now();
    while !held() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
