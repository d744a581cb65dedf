//! Numbers in the events of a call: what was created, how much was paid.

use subxt::ext::scale_value::{At, Composite};

use crate::{ChainError, Included};

impl Included {
    /// A numeric field of every event `pallet.event` of this transaction, in order.
    pub fn numbers(&self, pallet: &str, event: &str, field: &str) -> Result<Vec<u128>, ChainError> {
        let mut found = Vec::new();
        for item in self.events.iter() {
            let item = item.map_err(ChainError::incompatible)?;
            if item.pallet_name() != pallet || item.event_name() != event {
                continue;
            }
            let fields = item.decode_fields_unchecked_as::<Composite<()>>().map_err(ChainError::incompatible)?;
            let value = fields.at(field).and_then(|v| v.as_u128()).ok_or_else(|| ChainError::Incompatible {
                reason: format!("event {pallet}.{event} has no number '{field}'"),
            })?;
            found.push(value);
        }
        Ok(found)
    }

    /// A numeric field of the first event `pallet.event` of this transaction.
    pub fn number(&self, pallet: &str, event: &str, field: &str) -> Result<u128, ChainError> {
        self.numbers(pallet, event, field)?.first().copied().ok_or_else(|| ChainError::Incompatible {
            reason: format!("the transaction is final without an event {pallet}.{event}"),
        })
    }

    /// As [`Included::number`], for the number of a Datanet, job, model and so on.
    pub fn id(&self, pallet: &str, event: &str, field: &str) -> Result<u32, ChainError> {
        u32::try_from(self.number(pallet, event, field)?)
            .map_err(|_| ChainError::Incompatible { reason: format!("{pallet}.{event}.{field} is above 2^32") })
    }
}
