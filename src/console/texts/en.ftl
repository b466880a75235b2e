# The frame.
skip = Skip to the content
navigation = Main navigation
app-finance = Finance
organizations = Organization Management
sign-in = Sign in
sign-out = Sign out
to-start = Back to the start
save = Save
show = Show
all = All
show-all = Show all
status = Status
search = Search
next-page = Next page
download-csv = Download CSV
please-correct = Please correct:

# Signing in.
name = Name
password = Password
sign-in-help = No password yet, or forgotten? On the machine that runs the service, this prints a link that signs you in:
sign-in-wrong = This name and password do not belong together.
sign-in-wait = Too many attempts. Please wait a while before you try again.
sign-in-busy = Too many people are signing in at once. Please try again in a moment.
sign-in-link-used = This link has been used already, or is older than 15 minutes. Please ask for a new one.

# The visitor.
set-password = Set a password
change-password = Change the password
no-password = You have signed in by a link, which works once. With a password you can come back.
old-password = Current password
new-password = New password
new-password-again = New password, again
password-help = At least { $value } characters. A sentence is easier to remember than a riddle.
what-you-may = What you may do
on-all = On all organizations
sessions = Sessions
sign-out-everywhere = Sign out everywhere
sign-out-everywhere-text = Ends your sessions in all browsers, this one too.
done-password = The password has been set. All other sessions were ended.

# Fields that are wrong.
field-old = Current password:
field-new = New password:
field-again = New password, again:
field-request = The form:
wrong-old-password = is not the current password.
wrong-password = must have 12 to 512 characters.
wrong-again = must be the same as the new password.
wrong-id = is not one of ours. Please open the page again.
wrong-missing = must be filled in.
wrong-text = must have at most 512 characters, all of them visible.
wrong-amount = must be an amount such as 1234.50, without separators of thousands.
wrong-not-positive = must be above zero.
wrong-negative = must not be negative.
wrong-zero = must not be zero.
wrong-number = must be a whole number within its bounds.

# Failures.
failure-not-found = There is no such page
failure-not-found-text = What it was about may be gone, or you may not see it.
failure-signed-out = You are signed out
failure-signed-out-text = Please sign in again.
failure-form = The form was not taken
failure-form-text = It belongs to another session, for instance because you have signed in again since. Nothing was changed. Please open the page again.
failure-unavailable = Not available at the moment
failure-unavailable-text = Please try again in a moment.
failure-internal = Something is broken
failure-internal-text = The log of the service says more. Nothing that you sent is lost: what was decided is in the journal.
failure-invalid = Something is not as it should be
failure-denied = You may not do this
failure-denied-text = An administrator can give you the role for it.
failure-refused = This was refused

# Organizations.
organization = Organization
payment-mode = Payment mode
prepaid = Prepaid
postpaid = Postpaid
active = Active
suspended = Suspended
closed = Closed
balance = Balance
credit-limit = Credit limit
unbilled = Unbilled
amount-due = Amount due
usable-credit = Usable credit
low-credit = low
until = until { $value }
search-by = Name or part of it, id, tax id
search-by-beginning = How the name begins
no-billing-search = This service runs without a billing store, so that only the beginnings of names are found.
found-organizations = { $value ->
    [one] { $value } organization
   *[other] { $value } organizations
}
shown-organizations = { $value ->
    [one] { $value } organization on this page
   *[other] { $value } organizations on this page
}
found-by-beginning = Names and ids that begin so; parts are found from three characters on.
no-organizations = There are no organizations yet.
no-organization-found = No organization was found.

# Invoices.
app-invoice = Invoices
invoices = Invoices
invoices-states = State
invoices-all = All
invoices-to-approve = To approve
invoices-draft = Draft
invoices-issued = Issued
invoices-open = Open
invoices-overdue = Overdue
invoices-paid = Paid
invoices-held = Held back
invoices-search-by = Number, or part of a customer’s name
kind = Kind
kind-invoice = Invoice
kind-statement = Statement
kind-credit-note = Credit note
month = Month
paper = Document
customer = Customer
bill-of = Until
due-on = Due on
issued-on = Issued on
period = Period
particulars = Particulars
document-total = Total
open-amount = Still open
tax-contained = Tax contained
corrects = Corrects
draft-called = Draft { $value }
only-of-organization = Only documents of { $value }.
of-all-organizations = Those of all organizations
only-issued-are-found = Drafts have no number yet, and are not found by text: only issued documents are.
found-documents = { $value ->
    [one] { $value } document
   *[other] { $value } documents
}
shown-documents = { $value ->
    [one] { $value } document on this page
   *[other] { $value } documents on this page
}
no-documents-yet = There are no documents yet. The first ones are made when a month ends.
no-document-found = No document was found.
choose = Choose
choose-document = Choose { $value }
note-for-audit = Note for the audit trail (optional)
approve = Approve
approve-chosen = Approve the chosen ones
approve-all = Approve all that wait …
approve-all-text = Approves all drafts of this list, those on other pages too, up to the moment at which this page was opened. They are numbered and issued at once, and do not change from then on.
approve-all-now = Approve all of them
waits-for-approval = It waits for somebody to approve it. Then it is numbered and issued, and does not change from then on.
waits-for-turn = It is issued within moments.
waits-for = It waits for: { $value }
held-why = It is held back, because it does not add up:
held-text = A document that is held back takes no number, and nobody is billed by it. Working it out again reads all entries of its bill from the journal, which is what is right. It is a draft again if it adds up then.
retry = Work it out again
retry-all = Work all out again
missing-glyphs = No font has these letters, which are printed as boxes: { $value }
digest = Digest of content and series
as-the-customer-sees-it = As the customer sees it
open-to-print = Open to print
usage-csv = Usage as CSV
field-document = Documents:
wrong-none-chosen = Please choose at least one.
done-approved = Approved. What can be issued is numbered and issued within moments.
done-retried = It adds up now, and waits for its number.
done-retried-some = Worked out again. What is shown here still does not add up.
done-retried-held = Worked out again. It still does not add up.

# Receivables.
receivables = Receivables
currency = Currency
not-due = Not due yet
overdue-30 = Overdue 1–30 days
overdue-60 = 31–60 days
overdue-90 = 61–90 days
overdue-older = Over 90 days
not-invoiced = Not invoiced yet
not-allocated = Paid, not allocated
open-invoices = open invoices
reopened = Open again, because a payment was taken back: { $value }
total-in = Total in { $value }
found-owing = { $value ->
    [one] { $value } organization owes something
   *[other] { $value } organizations owe something
}
no-receivables = Nobody owes anything.
more-receivables = There are more than 5,000 organizations that owe something. Only the first 5,000 by id are shown and summed up here.
as-of = As of { $value }, and up to which entry of the journal
position-text = At this position of the journal, what is shown here is what the ledger says: the totals of postpaid organizations are their amounts due.
partition = Partition { $value }
entry = entry { $value }
