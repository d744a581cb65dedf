//! Reading the chain at one block.

use codec::{Decode, Encode};
use subxt::{
    dynamic,
    ext::{
        frame_decode::{
            storage::{IntoDecodableValues, IntoEncodableValues},
            view_functions::{decode_view_function_response, IntoEncodableValues as IntoEncodableArguments},
        },
        scale_decode::DecodeAsType,
    },
};

use crate::{client::in_time, ChainError, Head};

pub(crate) use subxt::utils::Static;

/// Bytes of a view function's id.
const QUERY_ID: usize = 32;

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
        let found = in_time(&self.url, storage.try_fetch(dynamic::storage::<K, V>(pallet, item), key)).await?;
        found.map(|v| v.decode()).transpose().map_err(|e| ChainError::incompatible(format!("{pallet}.{item}: {e}")))
    }

    /// A view function of a pallet.
    ///
    /// The runtime takes the arguments, and gives the answer, as byte vectors with their length in front; subxt's own
    /// `call` leaves both lengths out.
    pub(crate) async fn view<A, R>(&self, pallet: &str, name: &str, args: A) -> Result<R, ChainError>
    where
        A: IntoEncodableArguments,
        R: DecodeAsType,
    {
        let fail = |e: subxt::Error| ChainError::from_subxt(&self.url, e);
        let broken = |e: &dyn std::fmt::Display| ChainError::incompatible(format!("{pallet}.{name}: {e}"));
        let views = self.at.view_functions();
        let plain =
            views.encode_args(dynamic::view_function_call::<A, R>(pallet, name, args)).map_err(|e| fail(e.into()))?;
        let (id, input) = plain.split_at_checked(QUERY_ID).ok_or_else(|| broken(&"the query has no id"))?;
        let mut call = id.to_vec();
        input.encode_to(&mut call);
        let answer = in_time(&self.url, views.call_raw(Some(&call))).await?;
        let bytes = match answer.split_first() {
            Some((0, mut rest)) => Vec::<u8>::decode(&mut rest).map_err(|e| broken(&e))?,
            _ => return Err(broken(&"the runtime does not answer this view")),
        };
        let metadata = self.at.metadata_ref();
        decode_view_function_response(
            pallet,
            name,
            &mut bytes.as_slice(),
            metadata,
            metadata.types(),
            R::into_visitor(),
        )
        .map_err(|e| broken(&e))
    }

    /// The error of a thing that is not on chain at this block.
    #[must_use]
    pub fn missing(&self, what: impl Into<String>) -> ChainError {
        ChainError::NotFound { what: what.into(), block: self.head.number }
    }
}
