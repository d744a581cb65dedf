//! The programs of the workspace that a network runs.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{HarnessError, HarnessResult};

/// Folder with `weft-node`, `weft`, `weft-demo` and `weft-adversary`.
#[derive(Clone, Debug)]
pub struct Programs {
    dir: PathBuf,
}

/// Folder of the programs that were built with `program`: tests lie in its subfolder `deps`.
fn folder_of(program: &Path) -> &Path {
    let dir = program.parent().unwrap_or(program);
    match dir.parent() {
        Some(above) if dir.ends_with("deps") => above,
        _ => dir,
    }
}

impl Programs {
    /// The programs in `dir`; fails when one is missing.
    pub fn new(dir: &Path) -> HarnessResult<Self> {
        let dir = std::path::absolute(dir).map_err(|e| HarnessError::io("find", dir, e))?;
        for name in ["weft-node", "weft", "weft-demo", "weft-adversary"] {
            let path = dir.join(name);
            if !path.is_file() {
                return Err(HarnessError::Missing { path });
            }
        }
        Ok(Self { dir })
    }

    /// The programs in `WEFT_BIN_DIR`, else those that were built with this one.
    pub fn from_env() -> HarnessResult<Self> {
        if let Some(dir) = std::env::var_os("WEFT_BIN_DIR") {
            return Self::new(Path::new(&dir));
        }
        let program = std::env::current_exe().map_err(|e| HarnessError::io("find", Path::new("this program"), e))?;
        Self::new(folder_of(&program))
    }

    /// A program by name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command that runs the program `name` and dies with this process (see [`weft::guard`]).
    #[must_use]
    pub fn guarded(&self, name: &str) -> Command {
        let mut command = weft::guard::command_through(&self.path("weft"), &self.path(name));
        Self::clean(&mut command);
        command
    }

    /// A command that runs the program `name` to its end.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        Self::clean(&mut command);
        command
    }

    /// A network sees its own settings alone, not those of the person who starts it.
    fn clean(command: &mut Command) {
        let ours = |name: &OsStr| name.to_str().is_some_and(|n| n.starts_with("WEFT_") || n == "OPENAI_BASE_URL");
        for (name, _) in std::env::vars_os() {
            if ours(&name) {
                command.env_remove(&name);
            }
        }
        // Outputs go into files.
        command.env("NO_COLOR", "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_should_be_that_of_the_build_when_a_test_asks() {
        assert_eq!(folder_of(Path::new("/t/debug/deps/it-0123")), Path::new("/t/debug"));
        assert_eq!(folder_of(Path::new("/t/debug/weft-demo")), Path::new("/t/debug"));
    }
}
