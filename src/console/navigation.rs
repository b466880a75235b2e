//! The navigation: where the pages are that others lead to, and which of them are shown to whom.

use super::needs::Needs;
use super::visitor::Visitor;
pub use super::waiting::APPROVALS;
use access::Permission;

/// An entry of the navigation.
pub struct Section {
    /// The key of the app that it belongs to.
    pub group: &'static str,
    /// The key of its name.
    pub name: &'static str,
    /// Its page, which must be among the routes.
    pub path: &'static str,
    pub needs: Needs,
}

/// The navigation. An entry is shown to whom its page lets in.
pub const NAVIGATION: &[Section] = &[
    Section { group: "app-overview", name: "overview", path: OVERVIEW, needs: Needs::Permission(Permission::ReadAggregation) },
    Section { group: "app-finance", name: "organizations", path: ORGANIZATIONS, needs: Needs::Permission(Permission::ReadAccounts) },
    Section { group: "app-finance", name: "bulk-convert", path: CONVERSIONS, needs: Needs::Permission(Permission::Convert) },
    Section { group: "app-finance", name: "receivables", path: RECEIVABLES, needs: Needs::Permission(Permission::ReadDocuments) },
    Section { group: "app-finance", name: "payments-title", path: PAYMENTS, needs: Needs::Permission(Permission::ReadDocuments) },
    Section { group: "app-finance", name: "approvals", path: APPROVALS, needs: Needs::Permission(Permission::ReadAccounts) },
    Section { group: "app-invoice", name: "invoices", path: INVOICES, needs: Needs::Permission(Permission::ReadDocuments) },
    Section { group: "app-invoice", name: "mails", path: MAILS, needs: Needs::Permission(Permission::ReadDocuments) },
    Section { group: "app-settings", name: "service-settings", path: ISSUER, needs: Needs::Everywhere(Permission::ReadSettings) },
    Section { group: "app-settings", name: "users-and-keys", path: USERS, needs: Needs::Everywhere(Permission::ReadAccess) },
    Section { group: "app-settings", name: "audit", path: AUDIT, needs: Needs::Permission(Permission::ReadAudit) },
];

/// Organization Management.
pub const ORGANIZATIONS: &str = "/finance/organizations";

/// What is not yet paid.
pub const RECEIVABLES: &str = "/finance/receivables";

/// What was paid in.
pub const PAYMENTS: &str = "/finance/payments";

/// Invoices, and other documents.
pub const INVOICES: &str = "/invoices";

/// Conversions of many organizations.
pub const CONVERSIONS: &str = "/finance/conversions";

/// How things are.
pub const OVERVIEW: &str = "/overview";

/// Who did what.
pub const AUDIT: &str = "/settings/audit";

/// Settings of the service: who issues documents, tax, names of items, when documents are issued, how they are sent,
/// and what is written in mails.
pub const ISSUER: &str = "/settings/issuer";
pub const TAX: &str = "/settings/tax";
pub const ITEMS: &str = "/settings/items";
pub const ISSUING: &str = "/settings/issuing";
pub const SENDING: &str = "/settings/sending";
pub const TEMPLATES: &str = "/settings/mail-templates";

/// From which figures on acts need a second person, and how long things are kept.
pub const APPROVAL_FIGURES: &str = "/settings/approvals";
pub const RETENTION: &str = "/settings/retention";

/// Who may sign in, and who may call.
pub const USERS: &str = "/settings/users";
pub const KEYS: &str = "/settings/keys";

/// The visitor's own second factor.
pub const SECOND_FACTOR: &str = "/you/second-factor";

/// Mail to customers.
pub const MAILS: &str = "/invoices/mails";

impl Section {
    /// Whether a visitor may open its page.
    #[must_use]
    pub fn is_open_to(&self, visitor: &Visitor) -> bool {
        self.needs.is_met_by(visitor)
    }
}
