//! What is kept of a command beside what the rules look at.

use super::account::Category;
use super::time::UnixMillis;

/// Details of a change for billing, fraud checks and audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What it is for.
    pub category: Option<Category>,
    /// What was sold.
    pub item: String,
    /// For people.
    pub description: String,
    /// How much of it, as a decimal; empty if not said.
    pub quantity: String,
    /// The unit (second, byte, message); empty if not said.
    pub unit: String,
    /// When it happened; information only.
    pub occurred_at: Option<UnixMillis>,
    /// Anything else, in the caller's order.
    pub attributes: Vec<(String, String)>,
    /// Who changed it: the caller, where that is known; else whom an operator's command names.
    pub actor: String,
    /// For whom the caller acted; empty if for nobody else.
    pub on_behalf_of: String,
    /// Why (operators' commands).
    pub reason: String,
    /// How the request came, as [`super::origin::Origin`] writes it; empty for a charge, which is no act that is audited.
    pub origin: String,
    /// The invoices that a recorded payment names, as its entry keeps them. A command carries them in its action.
    pub invoices: Vec<String>,
}
