//! The rows that a run of records needs.

use std::collections::{BTreeMap, BTreeSet};

use super::bill_of_charge;
use crate::bills::allocations::is_credit;
use crate::record::Record;
use domain::account::Mode;
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;

/// The rows to load for a run of records.
#[derive(Debug, Default)]
pub(super) struct LoadPlan<'a> {
    /// Accounts that anything is to be done for.
    pub(super) accounts: BTreeSet<&'a AccountId>,
    /// Bills that are cut at a period's end or by a conversion.
    pub(super) bills: BTreeSet<(&'a AccountId, u32)>,
    /// Accounts whose invoices may be paid by what was paid in before, or by what is left when a payment is reversed.
    pub(super) payers: BTreeSet<&'a AccountId>,
    /// What comes in that may pay invoices, the oldest first, by account.
    pub(super) coming_in: BTreeMap<&'a AccountId, Units>,
    /// Accounts whose open invoices are all looked at.
    pub(super) all_open: BTreeSet<&'a AccountId>,
    /// Invoices that payments name: account, number.
    pub(super) named: BTreeSet<(&'a AccountId, &'a str)>,
    /// Payments and write-offs that are reversed.
    pub(super) reversed: BTreeSet<(&'a AccountId, &'a RequestId)>,
    /// Charges that are refunded: account, request id.
    pub(super) refunded: BTreeSet<(&'a AccountId, &'a RequestId)>,
    /// Bills whose charges are refunded to the balance.
    pub(super) credited: BTreeSet<(&'a AccountId, u32)>,
}

impl<'a> LoadPlan<'a> {
    pub(super) fn of(records: &'a [Record]) -> Self {
        let mut load_plan = Self::default();
        for Record { entry, .. } in records {
            let account = &entry.account;
            if is_credit(entry) {
                *load_plan.coming_in.entry(account).or_default() += entry.amount().max(entry.data.movement().balance);
                load_plan.named.extend(entry.metadata.invoices.iter().map(|number| (account, number.as_str())));
            }
            match entry.kind() {
                EntryKind::ToppedUp | EntryKind::PaymentRecorded | EntryKind::WrittenOff => {}
                EntryKind::Adjusted => {}
                EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => {}
                // They move what is due and on no document.
                EntryKind::Converted | EntryKind::Withdrawn | EntryKind::AmountDueRounded => {}
                EntryKind::PaymentReversed | EntryKind::WriteOffReversed => {
                    load_plan.reversed.insert((account, &entry.refers_to));
                    load_plan.payers.insert(account);
                    load_plan.all_open.insert(account);
                }
                EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => {
                    load_plan.refunded.insert((account, &entry.refers_to));
                    if entry.kind() == EntryKind::RefundedBalance {
                        load_plan.credited.insert((account, bill_of_charge(entry)));
                    }
                }
                EntryKind::PeriodClosed | EntryKind::FinalBilled | EntryKind::ChargedOwnBill => {
                    if entry.kind() != EntryKind::ChargedOwnBill {
                        load_plan.bills.insert((account, entry.bill));
                    }
                    if entry.mode == Mode::Postpaid && entry.balance + entry.amount() > Units::ZERO {
                        load_plan.payers.insert(account);
                    }
                }
                _ => continue,
            }
            load_plan.accounts.insert(account);
        }
        load_plan
    }
}
