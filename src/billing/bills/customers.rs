//! Billing details of customers. A document shows them as they were when it was issued.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{self, Act};
use crate::change::Applied;
use crate::change::Change;
use crate::digest::Fields;
use crate::document::LANGUAGES;
use crate::document::Party;
use crate::{Billing, BillingError, account_lock, search};
use domain::ids::AccountId;

/// The longest detail that is kept, in bytes, and the most lines of an address.
const MAX_BYTES: usize = 200;
const MAX_LINES: usize = 10;

impl Billing {
    /// The billing details of an account's customer. Where none were set, the name is the account's.
    pub async fn customer(&self, account: &AccountId) -> Result<Party, BillingError> {
        let sql = "SELECT accounts.name AS account_name, COALESCE(customers.name, '') AS name, \
                          COALESCE(customers.address, '[]') AS address, COALESCE(customers.tax_id, '') AS tax_id, \
                          COALESCE(customers.email, '') AS email, COALESCE(customers.language, '') AS language \
                   FROM accounts LEFT JOIN customers ON customers.account = accounts.account WHERE accounts.account = $1";
        let row = sqlx::query(sql).bind(account.to_string()).fetch_optional(self.store().pool()).await?;
        let row = row.ok_or(BillingError::NotFound("account"))?;
        let mut customer = read(&row)?;
        if customer.name.is_empty() {
            customer.name = row.try_get("account_name")?;
        }
        Ok(customer)
    }

    /// Sets the billing details of an account's customer, for documents issued from now on. An empty name: the account's.
    ///
    /// With a request id it is done once.
    pub async fn set_customer(&self, account: &AccountId, customer: Party, change: &Change) -> Result<Applied, BillingError> {
        check(&customer)?;
        let address = serde_json::to_string(&customer.address).map_err(BillingError::corrupt)?;
        let after = serde_json::to_value(&customer).map_err(BillingError::corrupt)?;
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), account).await?;
        if !change.request_id.is_empty() {
            // What is personal is not kept with the request, but its digest is.
            let asked = Fields::of("billing details").text(&change.request_id).text(&after.to_string()).hex();
            if Self::note(connection, &format!("account {account}"), &change.asked(&["billing details", &asked]), change).await?
                == Applied::Before
            {
                return Ok(Applied::Before);
            }
        }
        let sql = "SELECT name, address, tax_id, email, language FROM customers WHERE account = $1";
        let row = sqlx::query(sql).bind(account.to_string()).fetch_optional(&mut *connection).await?;
        let before = row.as_ref().map(read).transpose()?.map(serde_json::to_value).transpose().map_err(BillingError::corrupt)?;
        search::write_details(connection, self.store().dialect(), account, &customer).await?;
        // The account may not have been aggregated yet, so it is not looked for.
        sqlx::query(
            "INSERT INTO customers (account, name, address, tax_id, email, language) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (account) DO UPDATE SET name = excluded.name, address = excluded.address, tax_id = excluded.tax_id, \
             email = excluded.email, language = excluded.language",
        )
        .bind(account.to_string())
        .bind(customer.name)
        .bind(address)
        .bind(customer.tax_id)
        .bind(customer.email)
        .bind(customer.language)
        .execute(&mut *connection)
        .await?;
        let act = Act::of("billing_details.set", change).on(account).with_personal("before", before).with_personal("after", after);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }
}

fn check(customer: &Party) -> Result<(), BillingError> {
    let Party { name, address, tax_id, email, language } = customer;
    let invalid = |field, problem: String| Err(BillingError::Invalid { field, problem });
    for (field, text) in [("name", name), ("tax_id", tax_id), ("email", email)] {
        if text.len() > MAX_BYTES || text.contains(char::is_control) {
            return invalid(field, format!("must have at most {MAX_BYTES} bytes, and no control characters"));
        }
    }
    if !language.is_empty() && !LANGUAGES.contains(&language.as_str()) {
        return invalid("language", format!("must be empty, or one of {}", LANGUAGES.join(", ")));
    }
    if address.len() > MAX_LINES || address.iter().any(|line| line.len() > MAX_BYTES || line.contains(char::is_control)) {
        return invalid("address", format!("must have at most {MAX_LINES} lines of {MAX_BYTES} bytes, without control characters"));
    }
    Ok(())
}

/// Reads the columns of a customer.
pub(super) fn read(row: &AnyRow) -> Result<Party, BillingError> {
    let address: String = row.try_get("address")?;
    Ok(Party {
        name: row.try_get("name")?,
        address: serde_json::from_str(&address).map_err(|_| BillingError::corrupt(format!("address {address:?}")))?,
        tax_id: row.try_get("tax_id")?,
        email: row.try_get("email")?,
        language: row.try_get("language")?,
    })
}
