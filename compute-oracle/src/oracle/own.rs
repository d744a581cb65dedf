//! The models of one oracle, without reading all models at every block.

use weft_chain::{models, ChainError, State};

/// Numbers of the models that an oracle serves. Who ran a model never changes, so each is looked at once.
#[derive(Debug, Default)]
pub(crate) struct OwnModels {
    /// All below were looked at.
    seen: u32,
    mine: Vec<u32>,
}

impl OwnModels {
    /// Looks at the models that are new at this state.
    pub(crate) async fn update(&mut self, state: &State, oracle: &[u8; 32]) -> Result<&[u32], ChainError> {
        let next = models::next_model(state).await?;
        while self.seen < next {
            if models::model(state, self.seen).await?.is_some_and(|m| m.run.oracle.0 == *oracle) {
                self.mine.push(self.seen);
            }
            self.seen = self.seen.saturating_add(1);
        }
        Ok(&self.mine)
    }

    /// Forgets everything: the chain lost blocks, and a number may now be another model.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
