//! The lines that a person has confirmed are booked, each once.
//!
//! A line is claimed for its account first, with the invoice that it pays. If it is not known whether its payment was recorded, the claim stays, and
//! a repetition asks for the same payment again. If the payment was refused, so that nothing is booked, the line is free again; and so it
//! is once its claim is so old that the ledger takes no try of it any more ([`settling`](super::settling)), and no payment came of it.

use std::time::Duration;

use super::{Line, movement_of, request_id_of, shown_to};
use crate::UseCases;
use crate::context::RequestContext;
use crate::error::Error;
use access::Permission;
use billing::bank::{BookedLine, BookingAttempt, BookingClaim};
use billing::document::DocumentKind;
use billing::{BillingError, DocumentState};
use domain::command::{Action, Command, Metadata};
use domain::ids::AccountId;
use domain::payment::PaymentDetails;
use domain::time::{Millis, UnixMillis};

/// How long what the payer or the bank calls a payment may be.
const MOST_REFERENCE: usize = 140;

/// How long a remark may be.
const MOST_REMARK: usize = 200;

/// What a payment is said to be made by.
const METHOD: &str = "bank";

/// How long the billing store may take to have what came of an old claim.
const PATIENCE: Duration = Duration::from_secs(2);

/// After this time an attempt is over, whatever its outcome.
pub(super) const TRY_ENDS_AFTER: Millis = 5 * 60 * 1000;

/// Which invoice or account a person says that a line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub account: AccountId,
    /// The invoice; empty for the oldest ones.
    pub invoice: String,
}

/// The result of booking a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is booked.
    Done,
    /// It was booked before, on this account.
    Before(BookedLine),
    /// Somebody began to book it on another account; nothing is known to be booked.
    Begun(BookedLine),
    Refused(Error),
}

impl UseCases {
    /// Whom a person means: an invoice by its number, or an account by its id.
    pub async fn booking_target(&self, context: &RequestContext, said: &str) -> Result<Target, Error> {
        let billing = self.billing(context).await?;
        let scope = context.scope(Permission::RecordPayments, None)?;
        let target = match billing.document(said, scope.as_ref()).await {
            Ok(stored) if stored.document.kind == DocumentKind::Invoice && stored.state == DocumentState::Issued => {
                Target { account: stored.document.account, invoice: stored.document.number }
            }
            Ok(_) | Err(BillingError::NotFound(_)) => Target { account: said.into(), invoice: String::new() },
            Err(error) => return Err(error.into()),
        };
        context.require(Permission::RecordPayments, &target.account)?;
        Ok(target)
    }

    /// Books a line as a payment, once. One that was begun before is asked for again as it was.
    pub async fn book_line(&self, context: &RequestContext, line: &Line, target: &Target, reason: &str) -> Result<Booked, Error> {
        context.require(Permission::RecordPayments, &target.account)?;
        // Nothing is claimed for an account that is not there.
        self.look_at(&target.account).await?;
        let now = self.clock().now();
        let billing = self.billing(context).await?;
        let claimed = BookedLine { account: target.account.clone(), invoice: target.invoice.clone(), at: now };
        let movement = movement_of(line);
        let claim = || billing.claim_line(&line.digest, &movement, &claimed, &context.caller.name);
        let mut claim_found = claim().await?;
        let (BookingClaim::Tried(BookingAttempt { line: found, .. }) | BookingClaim::Elsewhere(found)) = &claim_found;
        // Asked in this order: what is over by now has all that came of it in the billing store.
        if self.is_over(billing, found, PATIENCE).await? && !self.is_booked(context, line, &found.account).await? {
            billing.free_claim(&line.digest, found).await?;
            claim_found = claim().await?;
        }
        let tried = match claim_found {
            BookingClaim::Tried(tried) => tried,
            BookingClaim::Elsewhere(found) => {
                let is_recorded = self.is_booked(context, line, &found.account).await?;
                let found = shown_to(context, found);
                return Ok(if is_recorded { Booked::Before(found) } else { Booked::Begun(found) });
            }
        };
        match self.record_payment_at_once(context, self.payment_of(line, &tried.line, reason)).await {
            Ok(recorded) if recorded.outcome.replayed => Ok(Booked::Before(tried.line)),
            Ok(_) => Ok(Booked::Done),
            Err(error) if error.leaves_open() => Err(error),
            Err(_) if self.is_booked(context, line, &target.account).await? => Ok(Booked::Before(tried.line)),
            Err(error) => {
                if is_settled(&tried, &error, now) {
                    self.billing(context).await?.free_line(&line.digest, &tried).await?;
                }
                Ok(Booked::Refused(error))
            }
        }
    }

    async fn is_booked(&self, context: &RequestContext, line: &Line, account: &AccountId) -> Result<bool, Error> {
        let request_id = request_id_of(&line.digest);
        Ok(!self.billing(context).await?.recorded(&[(account.clone(), request_id)]).await?.is_empty())
    }

    /// The command that books a line, as it was claimed.
    fn payment_of(&self, line: &Line, claimed: &BookedLine, reason: &str) -> Command {
        let shortened = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let reference = if line.reference.is_empty() { &line.text } else { &line.reference };
        let remark = [&line.payer, &line.text].into_iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(": ");
        let mut metadata = Metadata { reason: reason.to_owned(), ..Metadata::default() };
        let received_at = self.clock().start_of_day(line.day).filter(|at| *at <= self.clock().now());
        let (reference, remark) = (shortened(reference, MOST_REFERENCE), shortened(&remark, MOST_REMARK));
        PaymentDetails { received_at, method: METHOD.to_owned(), reference, remark }.write_to(&mut metadata);
        let invoices = Some(claimed.invoice.clone()).filter(|number| !number.is_empty()).into_iter().collect();
        Command {
            account: claimed.account.clone(),
            request_id: request_id_of(&line.digest),
            first_sent_at: Some(claimed.at),
            currency: Some(line.currency),
            action: Action::RecordPayment { amount: line.amount, invoices },
            metadata,
        }
    }
}

/// Whether a refusal says that the line is not booked, and will not be by a try of before: one whose id is taken, or no longer known, may be.
fn is_settled(tried: &BookingAttempt, error: &Error, now: UnixMillis) -> bool {
    let is_about_the_id = matches!(error.reason, "REQUEST_ID_REUSED" | "REQUEST_TOO_OLD");
    !is_about_the_id && (tried.number == 1 || now - tried.last_at >= TRY_ENDS_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_line_is_free_again_once_no_try_of_before_can_book_it_any_more() {
        let refused = |reason| Error::new(Kind::Precondition, reason, "no");
        let line = BookedLine { account: "acme".into(), invoice: String::new(), at: UnixMillis::NONE };
        let tried = |number, last_at| BookingAttempt { line: line.clone(), number, last_at };
        let now = UnixMillis::new(10 * TRY_ENDS_AFTER);
        assert!(is_settled(&tried(1, UnixMillis::NONE), &refused("ACCOUNT_CLOSED"), now));
        assert!(!is_settled(&tried(2, now - TRY_ENDS_AFTER + 1), &refused("ACCOUNT_CLOSED"), now));
        assert!(is_settled(&tried(2, now - TRY_ENDS_AFTER), &refused("ACCOUNT_CLOSED"), now));
        assert!(!is_settled(&tried(1, UnixMillis::NONE), &refused("REQUEST_ID_REUSED"), now));
        assert!(!is_settled(&tried(2, UnixMillis::NONE), &refused("REQUEST_TOO_OLD"), now));
    }
}
