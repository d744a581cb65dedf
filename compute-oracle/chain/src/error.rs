//! What can go wrong between the daemon and a node.

/// An error of the chain client.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No node answers.
    #[error("chain_unreachable: no node answers at {url}: {reason}. Next: start a node, or set chain.rpc_url")]
    Unreachable {
        /// Address tried.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The node belongs to another chain than the one this daemon worked on.
    #[error("the node at {url} has genesis {found}, expected {expected}. Next: connect to the right chain, correct chain.genesis, or use another --data-dir")]
    WrongGenesis {
        /// Address tried.
        url: String,
        /// Genesis found, hex.
        found: String,
        /// Genesis expected, hex.
        expected: String,
    },
    /// The runtime refused a call.
    #[error("{pallet}.{name}: {docs}")]
    Refused {
        /// Pallet of the error, or `System`.
        pallet: String,
        /// Name of the error.
        name: String,
        /// Cause and next step, from the metadata.
        docs: String,
    },
    /// The transaction was not accepted by the pool.
    #[error("the node refused the transaction: {reason}. Next: {next}")]
    Invalid {
        /// The node's words.
        reason: String,
        /// What to do.
        next: &'static str,
    },
    /// The pool dropped the transaction before it was in a block.
    #[error("the transaction was dropped: {reason}. Next: send it again")]
    Dropped {
        /// The node's words.
        reason: String,
    },
    /// The node answered something that this program does not understand.
    #[error(
        "the node's answer is not understood: {reason}. Next: use the program that belongs to the chain's runtime"
    )]
    Incompatible {
        /// The cause.
        reason: String,
    },
    /// A thing named by the user is not on chain.
    #[error(
        "{what} is not on the chain at finalised block {block}. Next: check the number; new things appear once final"
    )]
    NotFound {
        /// What was looked up.
        what: String,
        /// Block at which it was looked up.
        block: u32,
    },
    /// Too little money.
    #[error("account {account} has {free} units free, {needed} are needed. Next: fund the account")]
    Funds {
        /// SS58 address.
        account: String,
        /// Free and unheld.
        free: u128,
        /// Needed.
        needed: u128,
    },
}

impl ChainError {
    pub(crate) fn incompatible(e: impl std::fmt::Display) -> Self {
        Self::Incompatible { reason: e.to_string() }
    }

    /// Sorts a library error into one of ours. Transport errors become [`ChainError::Unreachable`].
    pub(crate) fn from_subxt(url: &str, e: impl Into<subxt::Error>) -> Self {
        let e: subxt::Error = e.into();
        let text = chain_of(&e);
        let lower = text.to_lowercase();
        let transport = [
            "connection",
            "restart required",
            "closed",
            "transport",
            "networking",
            "disconnected",
            "timeout",
            "timed out",
            "os error",
            "background task",
            "reset by peer",
        ];
        if transport.iter().any(|w| lower.contains(w)) {
            return Self::Unreachable { url: url.to_string(), reason: text };
        }
        if lower.contains("inability to pay some fees") || lower.contains("balance too low") {
            return Self::Invalid { reason: text, next: "fund the account: it cannot pay the fee" };
        }
        if lower.contains("transaction is outdated") || lower.contains("priority is too low") || lower.contains("stale")
        {
            return Self::Invalid { reason: text, next: "wait for the account's earlier transaction, then try again" };
        }
        if lower.contains("invalid transaction") || lower.contains("would exhaust") {
            return Self::Invalid { reason: text, next: "check the account and the chain, then try again" };
        }
        Self::Incompatible { reason: text }
    }

    /// Whether trying again later can help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Dropped { .. })
    }

    /// Whether the runtime refused with this error name.
    #[must_use]
    pub fn is(&self, pallet: &str, name: &str) -> bool {
        matches!(self, Self::Refused { pallet: p, name: n, .. } if p == pallet && n == name)
    }
}

fn chain_of(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        let s_text = s.to_string();
        if !text.contains(&s_text) {
            text.push_str(": ");
            text.push_str(&s_text);
        }
        source = s.source();
    }
    without_layers(&text)
}

/// Without the names of the library's own layers, which stand one around the other and say nothing to a person.
pub(crate) fn without_layers(text: &str) -> String {
    ["Other RPC client error: ", "Backend error: ", "RPC error: ", "client error: "]
        .iter()
        .fold(text.to_string(), |text, layer| text.replace(layer, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_should_be_without_layers_of_the_library() {
        assert_eq!(without_layers("RPC error: client error: no such host"), "no such host");
        assert_eq!(without_layers("connection refused"), "connection refused");
    }
}
