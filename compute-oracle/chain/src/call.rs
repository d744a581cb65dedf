//! Calls: a name and arguments in SCALE.

use codec::Encode;
use subxt::{
    ext::{
        scale_encode::{EncodeAsFields, Error, FieldIter, TypeResolver},
        scale_value::{Composite, Value, ValueDef},
    },
    tx::Payload,
};

use crate::{ChainError, State};

/// Longest argument that is shown whole, in bytes.
const MOST_SHOWN: usize = 400;

/// A call of the runtime. Arguments are encoded by the shared protocol types, in the order of the pallet's signature; the
/// test against the committed metadata decodes each.
#[derive(Clone, Debug)]
pub struct Call {
    pallet: &'static str,
    name: &'static str,
    args: Args,
}

#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Args(Vec<u8>);

impl EncodeAsFields for Args {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _fields: &mut dyn FieldIter<'_, R::TypeId>,
        _types: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

impl Payload for Call {
    type CallData = Args;

    fn pallet_name(&self) -> &str {
        self.pallet
    }

    fn call_name(&self) -> &str {
        self.name
    }

    fn call_data(&self) -> &Args {
        &self.args
    }
}

impl Call {
    /// A call whose arguments are the elements of the tuple `args`.
    pub(crate) fn new(pallet: &'static str, name: &'static str, args: &impl Encode) -> Self {
        Self { pallet, name, args: Args(args.encode()) }
    }

    #[cfg(test)]
    pub(crate) fn args_for_tests(&self) -> &[u8] {
        &self.args.0
    }

    /// Pallet and call as people write them.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}.{}", self.pallet, self.name)
    }

    /// The whole call in SCALE, indices included.
    pub fn encoded(&self, state: &State) -> Result<Vec<u8>, ChainError> {
        state.at.transactions().call_data(self).map_err(|e| ChainError::from_subxt(&state.url, e))
    }

    /// The arguments by name, decoded with the chain's metadata; fails when they do not fit it.
    pub fn describe(&self, state: &State) -> Result<Vec<(String, String)>, ChainError> {
        let bytes = self.encoded(state)?;
        let decoded =
            state.at.transactions().from_call_data_bytes(&bytes).map_err(|e| ChainError::from_subxt(&state.url, e))?;
        Ok(match decoded.call_data() {
            Composite::Named(fields) => fields.iter().map(|(n, v)| (n.clone(), show(v))).collect(),
            Composite::Unnamed(values) => values.iter().enumerate().map(|(i, v)| (i.to_string(), show(v))).collect(),
        })
    }

    /// All of them or none: `utility.batch_all`.
    pub fn all(calls: &[Self], state: &State) -> Result<Self, ChainError> {
        Self::batch("batch_all", calls, state)
    }

    /// Each of them by itself: `utility.force_batch`. One that is refused leaves the others as they are.
    pub fn each(calls: &[Self], state: &State) -> Result<Self, ChainError> {
        Self::batch("force_batch", calls, state)
    }

    fn batch(name: &'static str, calls: &[Self], state: &State) -> Result<Self, ChainError> {
        let mut args = codec::Compact(u32::try_from(calls.len()).unwrap_or(u32::MAX)).encode();
        for call in calls {
            args.extend_from_slice(&call.encoded(state)?);
        }
        Ok(Self { pallet: "Utility", name, args: Args(args) })
    }

    /// As root, through `sudo.sudo`.
    pub fn as_root(&self, state: &State) -> Result<Self, ChainError> {
        Ok(Self { pallet: "Sudo", name: "sudo", args: Args(self.encoded(state)?) })
    }
}

/// A value for people: hashes and accounts as hex, text as text, the rest as written by the library, cut when long.
fn show(v: &Value) -> String {
    let mut text = match &v.value {
        ValueDef::Composite(Composite::Named(fields)) => {
            let inner: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {}", show(v))).collect();
            format!("{{ {} }}", inner.join(", "))
        }
        ValueDef::Composite(Composite::Unnamed(values)) => match bytes(values) {
            Some(bytes) => plain(&bytes),
            // A wrapper such as a bounded list or an account.
            None => match values.as_slice() {
                [only] => show(only),
                _ => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", ")),
            },
        },
        ValueDef::Variant(variant) => {
            let fields: Vec<&Value> = variant.values.values().collect();
            match fields.as_slice() {
                [] => variant.name.clone(),
                _ => format!("{} ({})", variant.name, fields.into_iter().map(show).collect::<Vec<_>>().join(", ")),
            }
        }
        _ => v.to_string(),
    };
    if text.len() > MOST_SHOWN {
        let cut = (0..=MOST_SHOWN).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// The values as bytes, if that is what all of them are and there is more than one.
fn bytes(values: &[Value]) -> Option<Vec<u8>> {
    let all: Vec<u8> = values
        .iter()
        .map(|v| match &v.value {
            ValueDef::Primitive(_) => v.as_u128().and_then(|n| u8::try_from(n).ok()),
            _ => None,
        })
        .collect::<Option<_>>()?;
    (all.len() > 1).then_some(all)
}

/// Bytes as text where they are printable, otherwise as hex.
fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => format!("{text:?}"),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}
