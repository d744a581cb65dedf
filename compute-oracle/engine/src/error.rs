//! What can go wrong, with a stable code and a next step.

use std::path::PathBuf;

/// An error of the engine. [`EngineError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `model_type` is none of the supported families.
    #[error("{path}: model type `{found}` is not supported; use a llama, mistral, qwen2 or qwen3 model")]
    UnsupportedArchitecture {
        /// config.json.
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A key of the configuration has a value that this engine does not compute.
    #[error("{path}: `{key}` = {value} is not supported; {next}")]
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
    #[error(
        "{path}: unknown key `{key}`; a key that might change the result is never ignored, remove it if it does not"
    )]
    UnknownConfigKey {
        /// config.json.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A tensor is missing.
    #[error("{path}: tensor `{name}` is missing; download the complete model")]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// Tensor name.
        name: String,
    },
    /// A tensor that the model does not have.
    #[error("{path}: tensor `{name}` belongs to no part of the model; the file is for another architecture")]
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
    #[error(
        "{path}: only safetensors weights are read; convert the model with `save_pretrained(safe_serialization=True)`"
    )]
    UnsafeFormat {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("{path}: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A recipe value outside what the engine or the model allows.
    #[error("recipe: `{field}`: {detail}")]
    RecipeOutOfRange {
        /// The field.
        field: &'static str,
        /// Bound and next step.
        detail: String,
    },
    /// The run would not fit.
    #[error("the run needs {need} MiB, {have} MiB are free; use a shorter `max_seq_len`, a smaller rank or a smaller base model")]
    OutOfMemory {
        /// MiB needed.
        need: u64,
        /// MiB free.
        have: u64,
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
    #[error("{path}: this folder belongs to another run ({what} differs); use an empty folder")]
    ResumeMismatch {
        /// The run's folder.
        path: PathBuf,
        /// base, recipe, data, class or step.
        what: &'static str,
    },
    /// Prompt and answer exceed the model's context.
    #[error("{tokens} tokens requested, the model's context is {context}; shorten the prompt or lower max_tokens")]
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
    #[error("stopped at step {step}; start it again to go on")]
    Stopped {
        /// Chain index of the last finished state.
        step: u32,
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

impl EngineError {
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
            Self::Io { .. } => "io",
        }
    }

    /// An I/O error with its path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, EngineError>;
