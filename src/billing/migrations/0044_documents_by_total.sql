-- Documents that come to an amount (billing/bills/listing.rs).
CREATE INDEX documents_by_total ON documents (total);
