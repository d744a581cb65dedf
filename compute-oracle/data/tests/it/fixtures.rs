//! The committed fixtures are those that the cards describe.
#![allow(clippy::unwrap_used, reason = "a test")]

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

/// Checks a folder's `SHA256SUMS`; returns the names that it lists.
fn sums(dir: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(dir.join(name)).unwrap();
        let got: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(got, digest, "{} differs from SHA256SUMS", dir.join(name).display());
        assert!(names.insert(name.to_owned()), "{name} is listed twice");
    }
    names
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

#[test]
fn base_models_should_be_those_of_their_sums() {
    for base in ["base", "tiny-base"] {
        let listed = sums(&fixtures().join(base));
        for name in
            ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
        {
            assert!(listed.contains(name), "{base}: {name} is not listed");
        }
    }
    // The card of the shipped model repeats them.
    let card = std::fs::read_to_string(fixtures().join("base/README.md")).unwrap();
    for line in std::fs::read_to_string(fixtures().join("base/SHA256SUMS")).unwrap().lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        assert!(card.contains(&format!("|`{name}`|`{digest}`|")), "{name}: the card has another hash");
    }
}

#[test]
fn datanets_should_be_those_of_their_sums() {
    let dir = fixtures().join("datanets");
    let listed = sums(&dir);
    // Every file of records and questions is listed.
    for net in ["birds", "capitals", "elements"] {
        for entry in std::fs::read_dir(dir.join(net)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "README.md" || listed.contains(&format!("{net}/{name}")), "{net}/{name} is not listed");
        }
    }
}
