//! Permissions. Each RPC states its permission in the proto; the names are the same.

use std::fmt;
use std::str::FromStr;

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// One thing that a caller may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Permission {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in the access file.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

permissions! {
    /// Authorize, debit and release.
    Charge = "charge",
    /// Give back charges.
    Refund = "refund",
    /// Look at the usable credit of an account, and watch it.
    ReadCredit = "read_credit",
    /// Look at accounts, their reservations and entries, and at the ledger.
    ReadAccounts = "read_accounts",
    /// Create accounts.
    CreateAccounts = "create_accounts",
    /// Change the name and settings of accounts.
    UpdateAccounts = "update_accounts",
    /// Add bought credit.
    TopUp = "top_up",
    /// Take back payments and top-ups.
    ReversePayments = "reverse_payments",
    /// Pay out the customer's own money.
    Withdraw = "withdraw",
    /// Correct balances.
    Adjust = "adjust",
    /// Set credit limits.
    SetCreditLimit = "set_credit_limit",
    /// Convert accounts between prepaid and postpaid.
    Convert = "convert",
    /// Suspend and resume accounts.
    Suspend = "suspend",
    /// Close and reopen accounts.
    Close = "close",
    /// Erase what is personal of closed accounts.
    EraseAccounts = "erase_accounts",
    /// Look at invoices, payments, receivables and statements.
    ReadDocuments = "read_documents",
    /// Record payments, and say which invoices they pay.
    RecordPayments = "record_payments",
    /// Give up debts, and take that back.
    WriteOff = "write_off",
    /// Look at what operators have noted on accounts.
    ReadNotes = "read_notes",
    /// Note something on accounts, and remove notes.
    WriteNotes = "write_notes",
    /// Look at the names and addresses that documents are made out to.
    ReadBillingDetails = "read_billing_details",
    /// Change them.
    SetBillingDetails = "set_billing_details",
    /// Look at issuer, tax, items and the way of issuing.
    ReadSettings = "read_settings",
    /// Change them.
    SetSettings = "set_settings",
    /// Approve drafts, and work out held documents again.
    ApproveInvoices = "approve_invoices",
    /// Approve, or reject, acts that wait for a second person.
    ApproveActs = "approve_acts",
    /// Send documents by hand, and decide what becomes of mail.
    SendMail = "send_mail",
    /// Export usage records.
    ExportUsage = "export_usage",
    /// Look at the state of the aggregation.
    ReadAggregation = "read_aggregation",
    /// Look at who did what.
    ReadAudit = "read_audit",
    /// Look at who may call.
    ReadAccess = "read_access",
    /// Say who may call.
    ManageAccess = "manage_access",
    /// Copy the stores.
    Backup = "backup",
    /// Ask what RPCs there are.
    Reflect = "reflect",
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|permission| permission.name() == text);
        found.ok_or_else(|| anyhow::anyhow!("{text:?} is not a permission: one of {}", Permissions::ALL))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    /// Every permission.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Those permissions.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut set, mut index) = (0, 0);
        while index < permissions.len() {
            #[allow(clippy::indexing_slicing, reason = "a constant function has no iterators, and the index is below the length")]
            let permission = permissions[index];
            set |= 1 << permission as u64;
            index += 1;
        }
        Self(set)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |one| self.contain(*one))
    }

    /// Whether a permission is among them.
    #[must_use]
    pub const fn contain(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Permission::ALL.iter().filter(|one| self.contain(**one)).map(|one| one.name()).collect();
        formatter.write_str(&names.join(", "))
    }
}
