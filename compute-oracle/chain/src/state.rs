//! Reading the chain at one block.

use subxt::{
    dynamic,
    ext::{
        frame_decode::storage::{IntoDecodableValues, IntoEncodableValues},
        scale_decode::DecodeAsType,
    },
};

use crate::{ChainError, Head};

pub(crate) use subxt::utils::Static;

/// The chain's state at one finalised block.
pub struct State {
    /// The block.
    pub head: Head,
    pub(crate) at: crate::client::At,
    pub(crate) url: String,
}

impl State {
    /// A storage value by its key parts; `None` when nothing stands there.
    pub(crate) async fn get<K, V>(&self, pallet: &str, item: &str, key: K) -> Result<Option<V>, ChainError>
    where
        K: IntoEncodableValues + IntoDecodableValues,
        V: DecodeAsType,
    {
        let storage = self.at.storage();
        let found = storage
            .try_fetch(dynamic::storage::<K, V>(pallet, item), key)
            .await
            .map_err(|e| ChainError::from_subxt(&self.url, e))?;
        found.map(|v| v.decode()).transpose().map_err(|e| ChainError::incompatible(format!("{pallet}.{item}: {e}")))
    }

    /// A constant of a pallet.
    pub(crate) fn constant<V: DecodeAsType>(&self, pallet: &str, name: &str) -> Result<V, ChainError> {
        self.at
            .constants()
            .entry(dynamic::constant::<V>(pallet, name))
            .map_err(|e| ChainError::from_subxt(&self.url, e))
    }

    /// A view function of a pallet.
    pub(crate) async fn view<A, R>(&self, pallet: &str, name: &str, args: A) -> Result<R, ChainError>
    where
        A: subxt::ext::frame_decode::view_functions::IntoEncodableValues,
        R: DecodeAsType,
    {
        self.at
            .view_functions()
            .call(dynamic::view_function_call::<A, R>(pallet, name, args))
            .await
            .map_err(|e| ChainError::from_subxt(&self.url, e))
    }

    /// The error of a thing that is not on chain at this block.
    #[must_use]
    pub fn missing(&self, what: impl Into<String>) -> ChainError {
        ChainError::NotFound { what: what.into(), block: self.head.number }
    }
}
