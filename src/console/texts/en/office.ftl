# The overview.
app-overview = Today
overview = Overview
overview-rate = Entries a second
overview-rate-text = Of the journal: charges, payments, reservations and settings
overview-lag = Not yet in billing
overview-seconds = seconds behind
overview-no-billing = There is no billing store.
overview-month-ends = The month ends
overview-now = It is
overview-stopped = A part of the journal does not go on. The log of the service says why.
overview-waiting = What waits for somebody
overview-nothing-waits = Nothing waits.
overview-declines = Declined within the last hour
overview-nothing-declined = This process has declined nothing within the last hour.
overview-without-credit = Declined because their credit did not suffice
waits-to-approve = Drafts to approve
waits-without-settings = Drafts without an issuer or a rate of tax
waits-held = Documents that are held back
waits-unknown-mails = Mails of which nobody knows
waits-failed-mails = Mails that failed
decline-INSUFFICIENT_CREDIT = Not enough credit
decline-INSUFFICIENT_FUNDS = Not enough money
decline-ACCOUNT_SUSPENDED = Suspended
decline-ACCOUNT_CLOSED = Closed
decline-ACCOUNT_NOT_FOUND = No such organization
decline-REQUEST_ID_REUSED = A request id used twice
decline-RESERVATION_NOT_FOUND = No such reservation
decline-RESERVATION_EXPIRED = Reservation expired

# The audit trail.
app-settings = Settings
audit = Audit trail
audit-action = Act
audit-outcome = Outcome
audit-done = Done
audit-refused = Refused
audit-failed = Failed
audit-content = What it says
audit-erased = What was personal has been erased.
no-records-yet = There are no records yet.
no-record-found = No record was found.
audit-of-organization = Audit trail

# Bulk convert.
bulk-convert = Bulk convert
bulk-help = Converts many organizations. First you see what would become of each; nothing is changed until you say so.
bulk-to = Convert to
bulk-which = Which organizations
bulk-list = Ids, one on each line
bulk-list-help = Perhaps with a limit of its own: acme;1000.00. At most 10,000. Or a file of such lines, or all whose names begin so:
bulk-file = Or a file
bulk-prefix = Or all whose names begin with
bulk-limit-suggested = The suggested limit of each
bulk-limit-keep = Each keeps its limit
bulk-limit-amount = This limit for all:
bulk-look = Look first
bulk-begun = Begun in this process
bulk-run = Convert them
bulk-stop = Stop
bulk-resume = Go on
bulk-report = Report as CSV
bulk-progress = Progress
bulk-done = { $value ->
    [one] { $value } organization
   *[other] { $value } organizations
}
bulk-of = of { $value }
bulk-dry = Nothing was changed yet. This is what would become of each now.
bulk-usable-before = Usable before
bulk-usable-after = Usable after
bulk-more = Only the first 200 are shown, refused ones before others. The report has all.
batch-looking = Looking
batch-looked = Looked at
batch-running = Under way
batch-over = Done
batch-stopped = Stopped
batch-converted = Converted
batch-limited = Limit set
batch-unchanged = Unchanged
batch-refused = Refused
field-list = Organizations:
field-currency = Currency:
wrong-batch-list = must be ids, each on a line, perhaps with a semicolon and a limit; at most 10,000.
