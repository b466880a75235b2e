//! The permissions that a page or a form needs.

use super::visitor::Visitor;
use access::Permission;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is there before anybody has signed in.
    Nothing,
    /// That somebody has signed in, even if a second factor is required that is still to be set up.
    Session,
    /// That somebody has signed in.
    SignIn,
    /// That somebody has signed in who may do this on some account at least. The use case asks again, on the account itself.
    Permission(Permission),
    /// That somebody has signed in who may do this on all accounts, and on what belongs to none.
    Everywhere(Permission),
}

impl Needs {
    /// Whether a visitor has what it needs.
    #[must_use]
    pub fn is_met_by(self, visitor: &Visitor) -> bool {
        match self {
            Self::Nothing | Self::Session | Self::SignIn => true,
            Self::Permission(permission) => visitor.may(permission),
            Self::Everywhere(permission) => visitor.may_everywhere(permission),
        }
    }

    /// The permission that it asks for.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Nothing | Self::Session | Self::SignIn => None,
            Self::Permission(permission) | Self::Everywhere(permission) => Some(permission),
        }
    }
}
