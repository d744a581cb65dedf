//! Account keys: files made by `weft key generate`, and development accounts.
//!
//! A key file is JSON of mode 0600. Its seed is hex, or the hex of an age file (scrypt passphrase). The passphrase is
//! asked on the terminal or taken from `WEFT_PASSPHRASE`; no secret is ever a flag.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use subxt_signer::{sr25519::Keypair, SecretUri};
use weft_store::{write_private_new, StoreError};
use zeroize::Zeroize;

use crate::error::{CliError, CliResult, Exit};

/// A key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    kind: String,
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age: Option<String>,
}

/// SS58 address (prefix 42) of an account.
#[must_use]
pub fn address(account: &[u8; 32]) -> String {
    subxt_signer::sr25519::PublicKey(*account).to_account_id().to_string()
}

/// Reads an SS58 address, a `0x` hex account, or the name of a development account. Its address is known on every chain;
/// only its signature is refused outside development chains.
pub fn parse_account(text: &str) -> CliResult<[u8; 32]> {
    if text.starts_with("//") {
        return Ok(named(text)?.public_key().0);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        let mut account = [0u8; 32];
        return hex::decode_to_slice(digits, &mut account).map(|()| account).map_err(|_| {
            CliError::usage(format!("{text} is not an account"), "give 64 hex digits, or an SS58 address")
        });
    }
    weft_chain::parse_address(text)
        .ok_or_else(|| CliError::usage(format!("{text} is not an account"), "give an SS58 address such as 5Grwva…"))
}

fn from_uri(uri: &str, development: bool) -> CliResult<Keypair> {
    if !development {
        return Err(CliError::new(
            Exit::NotPermitted,
            "development_account",
            format!("{uri} is a development account whose secret everybody knows, and this chain is not a development chain"),
            "make a key with `weft key generate` and name its file with --account",
        ));
    }
    named(uri)
}

/// The key pair that belongs to `//Name`, on whatever chain.
fn named(uri: &str) -> CliResult<Keypair> {
    let parsed = SecretUri::from_str(uri).map_err(|e| CliError::usage(format!("{uri}: {e}"), "write //Name"))?;
    Keypair::from_uri(&parsed).map_err(|e| CliError::usage(format!("{uri}: {e}"), "write //Name"))
}

/// No key has this name, or no file this path.
pub(crate) fn no_key(name: &str, data_dir: &Path) -> CliError {
    let path = key_path(data_dir, name);
    let cause = if path == Path::new(name) {
        format!("there is no key file {name}")
    } else {
        format!("no key of the name {name} is in {}", data_dir.join("keys").display())
    };
    CliError::not_found(cause, "make one with `weft key generate NAME`, or name another")
}

fn passphrase(confirm: bool) -> CliResult<String> {
    if let Ok(p) = std::env::var("WEFT_PASSPHRASE") {
        return Ok(p);
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map_err(|e| {
            CliError::new(
                Exit::Usage,
                "passphrase",
                format!("no passphrase: {e}"),
                "use a terminal, or set WEFT_PASSPHRASE",
            )
        })
    };
    let first = ask("Passphrase: ")?;
    if confirm && ask("Again: ")? != first {
        return Err(CliError::usage("the passphrases differ", "try again"));
    }
    Ok(first)
}

/// Where a key of this name lives.
#[must_use]
pub fn key_path(data_dir: &Path, name: &str) -> PathBuf {
    if name.contains('/') || name.ends_with(".json") {
        PathBuf::from(name)
    } else {
        data_dir.join("keys").join(format!("{name}.json"))
    }
}

/// Where a new key of this name goes: a name without folders, or a path that ends in `.json`.
pub fn new_key_path(data_dir: &Path, name: &str) -> CliResult<PathBuf> {
    let path = Path::new(name);
    let named_file = name.ends_with(".json") && path.file_stem().is_some_and(|stem| stem != ".json");
    let plain = !name.is_empty()
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if named_file || plain {
        return Ok(key_path(data_dir, name));
    }
    Err(CliError::usage(
        format!("'{name}' is no name for a key"),
        "take letters, digits, '-', '_' and '.', or a path that ends in .json",
    ))
}

/// Makes a new key. Refuses to overwrite a file.
pub fn generate(path: &Path, protect: bool) -> CliResult<String> {
    let taken =
        || CliError::usage(format!("{} exists", path.display()), "choose another name; keys are never overwritten");
    // Asked before the passphrase is; the write below decides.
    if path.exists() {
        return Err(taken());
    }
    let mut seed = [0u8; 32];
    rand::fill(&mut seed);
    let pair =
        Keypair::from_secret_key(seed).map_err(|e| CliError::new(Exit::Failed, "key", e.to_string(), "try again"))?;
    let address = address(&pair.public_key().0);
    let mut file = KeyFile { version: 1, kind: "sr25519".into(), address: address.clone(), seed: None, age: None };
    if protect {
        file.age = Some(seal(&seed, passphrase(true)?)?);
    } else {
        file.seed = Some(hex::encode(seed));
    }
    seed.zeroize();
    let mut text = serde_json::to_string_pretty(&file)
        .map_err(|e| CliError::new(Exit::Failed, "key", e.to_string(), "try again"))?;
    let written = write_private_new(path, text.as_bytes());
    text.zeroize();
    match written {
        Ok(()) => Ok(address),
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => Err(taken()),
        Err(e) => Err(e.into()),
    }
}

fn seal(seed: &[u8; 32], phrase: String) -> CliResult<String> {
    let fail = |e: String| CliError::new(Exit::Failed, "key", e, "try again");
    let encryptor = age::Encryptor::with_user_passphrase(phrase.into());
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).map_err(|e| fail(e.to_string()))?;
    writer.write_all(seed).map_err(|e| fail(e.to_string()))?;
    writer.finish().map_err(|e| fail(e.to_string()))?;
    Ok(hex::encode(out))
}

fn open(text: &str, phrase: String) -> CliResult<Vec<u8>> {
    let wrong = |e: String| {
        CliError::new(
            Exit::NotPermitted,
            "passphrase",
            format!("the key file does not open: {e}"),
            "check the passphrase",
        )
    };
    let bytes = hex::decode(text).map_err(|e| wrong(e.to_string()))?;
    let decryptor = age::Decryptor::new(bytes.as_slice()).map_err(|e| wrong(e.to_string()))?;
    let identity = age::scrypt::Identity::new(phrase.into());
    let identity: &dyn age::Identity = &identity;
    let mut reader = decryptor.decrypt(std::iter::once(identity)).map_err(|e| wrong(e.to_string()))?;
    let mut seed = Vec::new();
    reader.read_to_end(&mut seed).map_err(|e| wrong(e.to_string()))?;
    Ok(seed)
}

/// The account of a key file, without its passphrase.
pub fn public(path: &Path) -> CliResult<[u8; 32]> {
    let broken = |why: String| CliError::usage(format!("{}: {why}", path.display()), "restore it from your backup");
    let text = std::fs::read_to_string(path).map_err(|e| broken(e.to_string()))?;
    let file: KeyFile = serde_json::from_str(&text).map_err(|e| broken(format!("not a key file: {e}")))?;
    weft_chain::parse_address(&file.address).ok_or_else(|| broken(format!("{} is not an address", file.address)))
}

/// Loads the key that `--account` names: `//Name` on a development chain, a key's name, or a file.
pub fn load(account: &str, data_dir: &Path, development: bool) -> CliResult<Keypair> {
    if account.starts_with("//") {
        return from_uri(account, development);
    }
    let path = key_path(data_dir, account);
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => no_key(account, data_dir),
        _ => CliError::io("read", &path)(e),
    })?;
    let file: KeyFile = serde_json::from_str(&text).map_err(|e| {
        CliError::usage(format!("{} is not a key file: {e}", path.display()), "restore it from your backup")
    })?;
    if file.version != 1 || file.kind != "sr25519" {
        return Err(CliError::usage(
            format!("{}: version {} kind {} is not known", path.display(), file.version, file.kind),
            "use the program that made the key",
        ));
    }
    let mut seed = match (&file.seed, &file.age) {
        (Some(seed), None) => hex::decode(seed)
            .map_err(|e| CliError::usage(format!("{}: {e}", path.display()), "restore it from your backup"))?,
        (None, Some(age)) => open(age, passphrase(false)?)?,
        _ => return Err(CliError::usage(format!("{} holds no seed", path.display()), "restore it from your backup")),
    };
    let bytes: [u8; 32] = seed.as_slice().try_into().map_err(|_| {
        CliError::usage(format!("{}: the seed is not 32 bytes", path.display()), "restore it from your backup")
    })?;
    seed.zeroize();
    let pair =
        Keypair::from_secret_key(bytes).map_err(|e| CliError::new(Exit::Failed, "key", e.to_string(), "restore it"))?;
    if address(&pair.public_key().0) != file.address {
        return Err(CliError::usage(
            format!("{}: the seed does not belong to the address {}", path.display(), file.address),
            "restore it from your backup",
        ));
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_should_load_equal_when_generated() {
        let dir = tempfile::tempdir().unwrap();
        let path = key_path(dir.path(), "me");
        let made = generate(&path, false).unwrap();
        let pair = load("me", dir.path(), false).unwrap();
        assert_eq!(address(&pair.public_key().0), made);
        assert_eq!(parse_account(&made).unwrap(), pair.public_key().0);
        assert!(generate(&path, false).is_err(), "a key is never overwritten");
        assert_eq!(load("me", dir.path(), false).unwrap().public_key().0, pair.public_key().0);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn development_account_should_be_refused_when_chain_is_real() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load("//Alice", dir.path(), false).unwrap_err().exit, Exit::NotPermitted);
        assert!(load("//Alice", dir.path(), true).is_ok());
    }

    #[test]
    fn development_account_should_have_its_address_when_nothing_is_signed() {
        let alice = parse_account("//Alice").unwrap();
        assert_eq!(address(&alice), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
    }

    #[test]
    fn key_should_be_refused_when_its_name_is_no_name() {
        let dir = Path::new("/data");
        for bad in ["", ".", "..", "../evil", "a/b", ".json", "a/.json", "a b", "//Alice", "-x"] {
            let refused = new_key_path(dir, bad).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage, "{bad}");
        }
        assert_eq!(new_key_path(dir, "me").unwrap(), Path::new("/data/keys/me.json"));
        assert_eq!(new_key_path(dir, "a/me.json").unwrap(), Path::new("a/me.json"));
    }

    #[test]
    fn key_should_be_not_found_by_name_when_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let e = load("nosuch", dir.path(), false).unwrap_err();
        assert_eq!(e.exit, Exit::NotFound);
        assert!(e.cause.contains("nosuch") && e.cause.contains("keys"), "{e}");
    }

    #[test]
    fn sealed_seed_should_open_only_with_its_passphrase() {
        let sealed = seal(&[9; 32], "right".into()).unwrap();
        assert_eq!(open(&sealed, "right".into()).unwrap(), vec![9; 32]);
        assert!(open(&sealed, "wrong".into()).is_err());
    }
}
