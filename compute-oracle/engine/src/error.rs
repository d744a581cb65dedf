//! What can go wrong, with a stable code and a next step.

use std::io::ErrorKind;
use std::path::PathBuf;

/// An error of the engine: displayed it is the cause, [`EngineError::next`] says what to do.
/// [`EngineError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `model_type` is none of the supported families.
    #[error("{path}: model type `{found}` is not supported")]
    UnsupportedArchitecture {
        /// config.json.
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A key of the configuration has a value that this engine does not compute.
    #[error("{path}: `{key}` = {value} is not supported")]
    UnsupportedConfig {
        /// config.json.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value as JSON.
        value: String,
        /// What to do.
        next: &'static str,
    },
    /// A key of the configuration is on no list.
    #[error("{path}: unknown key `{key}`; a key that might change the result is never ignored")]
    UnknownConfigKey {
        /// config.json.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A tensor is missing.
    #[error("{path}: tensor `{name}` is missing")]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// Tensor name.
        name: String,
    },
    /// A tensor that the model does not have.
    #[error("{path}: tensor `{name}` belongs to no part of the model")]
    ExtraTensor {
        /// The file.
        path: PathBuf,
        /// Tensor name.
        name: String,
    },
    /// A tensor of another shape or type.
    #[error("{path}: tensor `{name}` is {found}, expected {expected}")]
    ShapeMismatch {
        /// The file.
        path: PathBuf,
        /// Tensor name.
        name: String,
        /// dtype and dims found.
        found: String,
        /// dims expected.
        expected: String,
    },
    /// Weights in a format that can run code when read.
    #[error("{path}: only safetensors weights are read")]
    UnsafeFormat {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("{path}: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A recipe value outside what the engine or the model allows.
    #[error("recipe: `{field}`: {detail}")]
    RecipeOutOfRange {
        /// The field.
        field: &'static str,
        /// The bound that it breaks.
        detail: String,
    },
    /// The run would not fit.
    #[error("{need} MiB are needed, {have} MiB are free: {}", list(.parts))]
    OutOfMemory {
        /// MiB needed at the peak.
        need: u64,
        /// MiB free.
        have: u64,
        /// What takes them: name and MiB.
        parts: Vec<(&'static str, u64)>,
    },
    /// An adapter that this engine does not compute.
    #[error("{path}: adapter: {detail}")]
    AdapterUnsupported {
        /// The file.
        path: PathBuf,
        /// What and why.
        detail: String,
    },
    /// A checkpoint of another run.
    #[error("{path}: this folder belongs to another run ({what} differs)")]
    ResumeMismatch {
        /// The run's folder.
        path: PathBuf,
        /// base, recipe, data, class or step.
        what: &'static str,
    },
    /// Prompt and answer exceed the model's context.
    #[error("{tokens} tokens requested, the model's context is {context}")]
    ContextLengthExceeded {
        /// Tokens asked for.
        tokens: usize,
        /// The context.
        context: usize,
    },
    /// A token id outside the vocabulary, or an empty sequence.
    #[error("{detail}")]
    InvalidTokens {
        /// What is wrong.
        detail: String,
    },
    /// The caller asked to stop.
    #[error("stopped at step {step}")]
    Stopped {
        /// Chain index of the last finished state.
        step: u32,
    },
    /// A folder that is to be written is there already.
    #[error("{path} exists; nothing is overwritten")]
    AlreadyExists {
        /// The folder.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// The parts of a sum of MiB, as people read them.
fn list(parts: &[(&'static str, u64)]) -> String {
    parts.iter().map(|(name, mib)| format!("{name} {mib}")).collect::<Vec<_>>().join(", ")
}

impl EngineError {
    /// What to do.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::UnsupportedArchitecture { .. } => "use a llama, mistral, qwen2 or qwen3 model",
            Self::UnsupportedConfig { next, .. } => next,
            Self::UnknownConfigKey { .. } => "remove the key if it does not change the result",
            Self::MissingTensor { .. } => "download the complete model",
            Self::ExtraTensor { .. } => "use weights of the architecture that config.json names",
            Self::ShapeMismatch { .. } => "use files that were written for the same model",
            Self::UnsafeFormat { .. } => "convert the model with `save_pretrained(safe_serialization=True)`",
            Self::Malformed { .. } => "replace the file with a complete copy; a checkpoint may be deleted",
            Self::RecipeOutOfRange { .. } => "change the field in the recipe",
            Self::OutOfMemory { .. } => {
                "end other programs, or use a shorter `max_seq_len`, a smaller rank or a smaller base model"
            }
            Self::AdapterUnsupported { .. } => "save a plain LoRA adapter of this base model",
            Self::ResumeMismatch { .. } => "use an empty folder",
            Self::ContextLengthExceeded { .. } => "shorten the text or lower max_tokens",
            Self::InvalidTokens { .. } => "tokenise the records again with the tokenizer of this model",
            Self::Stopped { .. } => "start it again to go on",
            Self::AlreadyExists { .. } => "name a new folder",
            Self::Io { source, .. } if is_full(source) => {
                "free space on this disk, or move the folder to another, then try again"
            }
            Self::Io { .. } => "check that the file or folder exists and is yours to read and write",
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedArchitecture { .. } => "unsupported_architecture",
            Self::UnsupportedConfig { .. } => "unsupported_config",
            Self::UnknownConfigKey { .. } => "unknown_config_key",
            Self::MissingTensor { .. } => "missing_tensor",
            Self::ExtraTensor { .. } => "extra_tensor",
            Self::ShapeMismatch { .. } => "shape_mismatch",
            Self::UnsafeFormat { .. } => "unsafe_format",
            Self::Malformed { .. } => "malformed",
            Self::RecipeOutOfRange { .. } => "recipe_out_of_range",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::AdapterUnsupported { .. } => "adapter_unsupported",
            Self::ResumeMismatch { .. } => "resume_mismatch",
            Self::ContextLengthExceeded { .. } => "context_length_exceeded",
            Self::InvalidTokens { .. } => "record_invalid",
            Self::Stopped { .. } => "stopped",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Io { source, .. } if is_full(source) => "disk_full",
            Self::Io { .. } => "io",
        }
    }

    /// An I/O error with its path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Whether a disk or a quota is full.
fn is_full(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, EngineError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_error_should_say_that_the_disk_is_full_when_it_is() {
        for (kind, code) in [
            (ErrorKind::StorageFull, "disk_full"),
            (ErrorKind::QuotaExceeded, "disk_full"),
            (ErrorKind::PermissionDenied, "io"),
        ] {
            let e = EngineError::Io { path: "x".into(), source: kind.into() };
            assert_eq!(e.code(), code);
            assert_eq!(e.next().contains("free space"), code == "disk_full");
        }
        let e = EngineError::OutOfMemory { need: 30, have: 10, parts: vec![("weights", 20), ("states", 10)] };
        assert_eq!(e.to_string(), "30 MiB are needed, 10 MiB are free: weights 20, states 10");
    }
}
