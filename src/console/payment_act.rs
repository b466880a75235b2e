//! Actions on a payment, and where its page is.

use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::navigation::PAYMENTS;
use super::visitor::Visitor;
use access::Permission;
use billing::payments::Payment;

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentAct {
    /// It pays an invoice.
    Allocate,
    /// It no longer pays one.
    TakeOff,
    /// What is set aside of it pays automatically again.
    SetFree,
    /// It is taken back.
    Reverse,
}

impl PaymentAct {
    /// Its name in addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::TakeOff => "take-off",
            Self::SetFree => "set-free",
            Self::Reverse => "reverse",
        }
    }

    /// The permission that it needs.
    #[must_use]
    pub const fn permission(self) -> Permission {
        match self {
            Self::Reverse => Permission::ReversePayments,
            Self::Allocate | Self::TakeOff | Self::SetFree => Permission::RecordPayments,
        }
    }

    /// Whether it is about an invoice.
    #[must_use]
    pub fn has_invoice(self) -> bool {
        matches!(self, Self::Allocate | Self::TakeOff)
    }

    /// Whether it makes sense for a payment, and the visitor may.
    #[must_use]
    pub fn is_possible(self, visitor: &Visitor, payment: &Payment) -> bool {
        let is_sensible = match self {
            Self::Allocate => payment.unallocated() > Units::ZERO,
            Self::TakeOff => payment.allocated > Units::ZERO,
            Self::SetFree => payment.set_aside > Units::ZERO,
            Self::Reverse => payment.amount > payment.reversed,
        };
        is_sensible && visitor.may_on(self.permission(), &payment.account)
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Allocate, Self::TakeOff, Self::SetFree, Self::Reverse];
}

/// The path of a payment's page.
#[must_use]
pub fn path_of_payment(account: &AccountId, id: &RequestId) -> String {
    format!("{PAYMENTS}/{}/{}", utf8_percent_encode(account, NON_ALPHANUMERIC), utf8_percent_encode(id, NON_ALPHANUMERIC))
}
