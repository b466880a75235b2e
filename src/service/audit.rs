//! Who did what: the lists of it.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::audit::AuditRecord;
use billing::audit::list::{AuditFilter, AuditPlace};

/// A page of audit records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The last first.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<AuditPlace>,
}

impl UseCases {
    /// Audit records behind a place.
    pub async fn list_audit_records(
        &self,
        context: &RequestContext,
        filter: &AuditFilter,
        after: Option<AuditPlace>,
        count: usize,
    ) -> Result<AuditPage, Error> {
        let scope = context.scope(Permission::ReadAudit, filter.account.as_deref())?;
        let filter = &AuditFilter { scope, ..filter.clone() };
        let mut records = self.billing(context).await?.audit_records(filter, after, count + 1).await?;
        let has_more = records.len() > count;
        records.truncate(count);
        let next = records.last().filter(|_| has_more).map(|last| (last.act.at, last.chain, last.place));
        Ok(AuditPage { records, next })
    }
}
