//! What ends a run early.

use weft_engine::EngineError;

/// An error of a run. [`RunError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Model, recipe, folder or resume.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The inputs do not belong together.
    #[error("{detail}")]
    Inputs {
        /// Which, and what to do.
        detail: String,
    },
}

impl RunError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.code(),
            Self::Inputs { .. } => "inputs",
        }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, RunError>;
