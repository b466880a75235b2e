//! Roles: groups of permissions that come up together. Own roles are defined in the access file.

use super::permission::Permission::{
    Adjust, ApproveActs, ApproveInvoices, Charge, Close, Convert, CreateAccounts, ExportUsage, ReadAccess, ReadAccounts, ReadAggregation,
    ReadAudit, ReadBillingDetails, ReadCredit, ReadDocuments, ReadNotes, ReadSettings, RecordPayments, Reflect, Refund, ReversePayments,
    SendMail, SetBillingDetails, SetCreditLimit, SetSettings, Suspend, TopUp, UpdateAccounts, Withdraw, WriteNotes, WriteOff,
};
use super::permission::Permissions;

const READ: Permissions =
    Permissions::of(&[ReadCredit, ReadAccounts, ReadDocuments, ReadBillingDetails, ReadSettings, ReadAggregation, Reflect]);

/// The roles that are always there, by name.
pub const BUILT_IN: [(&str, Permissions); 6] = [
    // What a backend needs that lets transactions through.
    ("charge", Permissions::of(&[Charge, Refund, ReadCredit])),
    // Tenants have it, too, on their accounts: what operators note for each other is not in it.
    ("read", READ),
    // Who looks after customers.
    (
        "operate",
        READ.and(Permissions::of(&[
            Refund,
            CreateAccounts,
            UpdateAccounts,
            TopUp,
            SetCreditLimit,
            Convert,
            Suspend,
            Close,
            ReadNotes,
            WriteNotes,
            SetBillingDetails,
            SendMail,
        ])),
    ),
    // Who looks after the money.
    (
        "finance",
        READ.and(Permissions::of(&[
            Refund,
            TopUp,
            ReversePayments,
            Withdraw,
            Adjust,
            RecordPayments,
            WriteOff,
            ReadNotes,
            WriteNotes,
            SetBillingDetails,
            SetSettings,
            ApproveInvoices,
            ApproveActs,
            SendMail,
            ExportUsage,
        ])),
    ),
    ("audit", READ.and(Permissions::of(&[ReadNotes, ExportUsage, ReadAudit, ReadAccess]))),
    ("admin", Permissions::ALL),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_read_which_role_has_which_permission() {
        let documented = include_str!("../../deploy/README.md");
        for permission in super::super::Permission::ALL {
            let line =
                documented.lines().find(|line| line.starts_with(&format!("| `{permission}` |"))).unwrap_or_else(|| panic!("{permission}"));
            let cells: Vec<_> = line.split('|').skip(3).take(BUILT_IN.len()).map(|cell| cell.trim() == "x").collect();
            let expected: Vec<_> = BUILT_IN.iter().map(|(_, permissions)| permissions.contain(*permission)).collect();
            assert_eq!(cells, expected, "{permission}");
        }
        let roles: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert!(documented.contains(&format!("| {} |", roles.join(" | "))));
    }
}
