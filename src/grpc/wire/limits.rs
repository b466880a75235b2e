//! Reads changes of the credit limit, which three requests carry.

use super::reader::{FieldReader, Sign};
use crate::domain::command::{LimitChange, TemporaryChange, Until};
use crate::domain::time::Millis;
use crate::grpc::v1::credit_limit_change::Temporary;
use crate::grpc::v1::temporary_credit_limit::End;
use crate::grpc::v1::{CreditLimitChange, TemporaryCreditLimit};

const DAY: Millis = 24 * 60 * 60 * 1000;
const MAX_DAYS: i32 = 3650;

/// A change of the limit; absent: none.
pub fn limit_change(reader: &mut FieldReader, change: Option<CreditLimitChange>) -> LimitChange {
    let Some(CreditLimitChange { permanent, temporary }) = change else { return LimitChange::default() };
    reader.within("credit_limit", |reader| {
        let permanent = reader.optional_amount("permanent", permanent, Sign::NotNegative);
        let temporary = match temporary {
            None => TemporaryChange::Keep,
            Some(Temporary::RemoveTemporary(true)) => TemporaryChange::Remove,
            Some(Temporary::RemoveTemporary(false)) => {
                reader.refuse("remove_temporary", "must be true, or absent");
                TemporaryChange::Keep
            }
            Some(Temporary::SetTemporary(limit)) => reader.within("set_temporary", |reader| set_temporary(reader, limit)),
        };
        LimitChange { permanent, temporary }
    })
}

fn set_temporary(reader: &mut FieldReader, limit: TemporaryCreditLimit) -> TemporaryChange {
    let TemporaryCreditLimit { limit, end } = limit;
    let amount = reader.amount("limit", limit, Sign::NotNegative);
    let until = match end {
        None => {
            reader.refuse("", "must have an end: until or days");
            Until::After(0)
        }
        Some(End::Days(days)) => {
            if !(1..=MAX_DAYS).contains(&days) {
                reader.refuse("days", format!("must be 1 to {MAX_DAYS}"));
            }
            Until::After(i64::from(days) * DAY)
        }
        Some(End::Until(instant)) => {
            let instant = reader.instant("until", Some(instant)).unwrap_or_default();
            if instant > reader.now() + i64::from(MAX_DAYS) * DAY {
                reader.refuse("until", format!("must lie at most {MAX_DAYS} days ahead"));
            }
            Until::Instant(instant)
        }
    };
    TemporaryChange::Set { amount, until }
}
