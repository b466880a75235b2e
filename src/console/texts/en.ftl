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
