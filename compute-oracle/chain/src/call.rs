//! Calls: a name and arguments in SCALE.

use codec::Encode;
use subxt::{
    ext::{
        scale_encode::{EncodeAsFields, Error, FieldIter, TypeResolver},
        scale_value::{Composite, Primitive, Value, ValueDef},
    },
    tx::Payload,
};
use weft_protocol::economics::WEFT;

use crate::{ChainError, State};

/// Longest argument that is shown whole to people, in bytes.
const MOST_SHOWN: usize = 400;
/// Arguments that are money in the smallest unit, by name: the pallets use these names for nothing else.
const MONEY: &[&str] = &["amount", "fee", "value", "price", "max_price", "input", "output", "daily_limit"];

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

    /// The arguments by name for people, decoded with the chain's metadata; fails when they do not fit it. Long ones are
    /// summarised or cut, and say so.
    pub fn describe(&self, state: &State) -> Result<Vec<(String, String)>, ChainError> {
        Ok(self.arguments(state)?.into_iter().map(|(name, v)| (name.clone(), brief(&name, &v))).collect())
    }

    /// As [`Call::describe`] for scripts: whole, as values. Money is text, as everywhere.
    pub fn describe_json(&self, state: &State) -> Result<serde_json::Map<String, serde_json::Value>, ChainError> {
        Ok(self.arguments(state)?.into_iter().map(|(name, v)| (name.clone(), whole(&name, &v))).collect())
    }

    fn arguments(&self, state: &State) -> Result<Vec<(String, Value)>, ChainError> {
        let bytes = self.encoded(state)?;
        let decoded =
            state.at.transactions().from_call_data_bytes(&bytes).map_err(|e| ChainError::from_subxt(&state.url, e))?;
        Ok(match decoded.call_data() {
            Composite::Named(fields) => fields.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            Composite::Unnamed(values) => values.iter().enumerate().map(|(i, v)| (i.to_string(), v.clone())).collect(),
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

/// An argument for people: calls in a batch are counted by name, and what is long is cut with a word about it.
fn brief(name: &str, v: &Value) -> String {
    if let ("calls", ValueDef::Composite(Composite::Unnamed(list))) = (name, &v.value) {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for call in list {
            let count = counts.entry(title_of(call)).or_default();
            *count = count.saturating_add(1);
        }
        return counts.iter().map(|(title, n)| format!("{n} × {title}")).collect::<Vec<_>>().join(", ");
    }
    let mut text = show(name, v);
    if text.len() > MOST_SHOWN {
        let bytes = text.len();
        let cut = (0..=MOST_SHOWN).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(cut);
        text.push_str(&format!("… ({bytes} bytes; --dry-run --json shows all)"));
    }
    text
}

/// `Rewards.claim` of a call in a batch.
fn title_of(call: &Value) -> String {
    match &call.value {
        ValueDef::Variant(pallet) => match pallet.values.values().next().map(|v| &v.value) {
            Some(ValueDef::Variant(inner)) => format!("{}.{}", pallet.name, inner.name),
            _ => pallet.name.clone(),
        },
        _ => "call".into(),
    }
}

/// Units as WEFT, exact.
fn weft(units: u128) -> String {
    let digits = format!("{:012}", units % WEFT);
    let rest = digits.trim_end_matches('0');
    format!("{}{}{rest} WEFT", units / WEFT, if rest.is_empty() { "" } else { "." })
}

/// A value for people: hashes and accounts as hex, text as text, money in WEFT, the rest as written by the library.
fn show(name: &str, v: &Value) -> String {
    match &v.value {
        ValueDef::Composite(Composite::Named(fields)) => {
            let inner: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {}", show(n, v))).collect();
            format!("{{ {} }}", inner.join(", "))
        }
        ValueDef::Composite(Composite::Unnamed(values)) => match bytes(values) {
            Some(bytes) => plain(&bytes),
            // A wrapper such as a bounded list or an account.
            None => match values.as_slice() {
                [only] => show(name, only),
                _ => format!("[{}]", values.iter().map(|v| show("", v)).collect::<Vec<_>>().join(", ")),
            },
        },
        ValueDef::Variant(variant) => {
            let fields: Vec<&Value> = variant.values.values().collect();
            match fields.as_slice() {
                [] => variant.name.clone(),
                _ => {
                    let inner = whole_fields(&variant.values, show);
                    let inner: Vec<String> = inner
                        .into_iter()
                        .map(|(n, text)| if n.is_empty() { text } else { format!("{n}: {text}") })
                        .collect();
                    format!("{} ({})", variant.name, inner.join(", "))
                }
            }
        }
        ValueDef::Primitive(_) => match v.as_u128() {
            Some(units) if MONEY.contains(&name) => weft(units),
            _ => v.to_string(),
        },
        ValueDef::BitSequence(_) => v.to_string(),
    }
}

/// The fields of a variant with their names; empty names where it has none.
fn whole_fields<T>(fields: &Composite<()>, as_what: impl Fn(&str, &Value) -> T) -> Vec<(String, T)> {
    match fields {
        Composite::Named(fields) => fields.iter().map(|(n, v)| (n.clone(), as_what(n, v))).collect(),
        Composite::Unnamed(values) => values.iter().map(|v| (String::new(), as_what("", v))).collect(),
    }
}

/// A value for scripts, nothing left out. Money and numbers beyond 64 bits are text.
fn whole(name: &str, v: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match &v.value {
        ValueDef::Composite(Composite::Named(fields)) => {
            Json::Object(fields.iter().map(|(n, v)| (n.clone(), whole(n, v))).collect())
        }
        ValueDef::Composite(Composite::Unnamed(values)) => match (bytes(values), values.as_slice()) {
            (Some(bytes), _) => match std::str::from_utf8(&bytes) {
                Ok(text) if text.chars().all(|c| !c.is_control()) => text.into(),
                // The values do not say their type: no hash is this short, a list of numbers may be.
                _ if bytes.len() < 16 => values.iter().map(|v| whole("", v)).collect(),
                _ => format!("0x{}", hex::encode(&bytes)).into(),
            },
            // A wrapper such as a bounded list or an account; a batch stays a list.
            (None, [only]) if name != "calls" => whole(name, only),
            (None, _) => values.iter().map(|v| whole("", v)).collect(),
        },
        ValueDef::Variant(variant) => {
            let mut fields = whole_fields(&variant.values, whole);
            let named = matches!(variant.values, Composite::Named(_));
            let inner = match (fields.len(), named) {
                (0, _) => return if variant.name == "None" { Json::Null } else { variant.name.clone().into() },
                (_, true) => Json::Object(fields.into_iter().collect()),
                (1, false) => fields.pop().map_or(Json::Null, |(_, v)| v),
                (_, false) => fields.into_iter().map(|(_, v)| v).collect(),
            };
            if variant.name == "Some" {
                return inner;
            }
            Json::Object(std::iter::once((variant.name.clone(), inner)).collect())
        }
        ValueDef::Primitive(Primitive::Bool(b)) => (*b).into(),
        ValueDef::Primitive(Primitive::String(text)) => text.clone().into(),
        ValueDef::Primitive(_) => match v.as_u128() {
            Some(n) if MONEY.contains(&name) => n.to_string().into(),
            Some(n) => u64::try_from(n).map_or_else(|_| n.to_string().into(), Json::from),
            None => v.to_string().into(),
        },
        ValueDef::BitSequence(_) => v.to_string().into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_should_be_whole_for_scripts_when_it_is_cut_for_people() {
        // GIVEN a text longer than people are shown
        let long = "x".repeat(MOST_SHOWN * 3);
        let value = Value::named_composite([("name", Value::string(long.clone())), ("amount", Value::u128(WEFT / 2))]);
        // THEN people are told that it is cut AND scripts get all of it, as values
        let people = brief("spec", &value);
        assert!(people.len() < long.len() && people.contains("--json shows all"), "{people}");
        assert_eq!(whole("spec", &value), serde_json::json!({ "name": long, "amount": "500000000000" }));
    }

    #[test]
    fn money_should_be_in_weft_and_other_numbers_plain() {
        assert_eq!(brief("amount", &Value::u128(1_500_000_000_000)), "1.5 WEFT");
        assert_eq!(brief("fee", &Value::u128(0)), "0 WEFT");
        assert_eq!(brief("job", &Value::u128(7)), "7");
        assert_eq!(whole("job", &Value::u128(7)), serde_json::json!(7));
        let account = Value::unnamed_composite([Value::from_bytes([255u8; 32])]);
        assert_eq!(whole("who", &account), serde_json::json!(format!("0x{}", "ff".repeat(32))));
    }

    #[test]
    fn batch_should_be_summarised_for_people() {
        let claim = Value::unnamed_variant("Rewards", [Value::named_variant("claim", [("model", Value::u128(1))])]);
        let batch = Value::unnamed_composite([claim.clone(), claim]);
        assert_eq!(brief("calls", &batch), "2 × Rewards.claim");
    }
}
