# Acts that need a second person, and how long things are kept.

approvals = Approvals
approvals-help = What is above its figure is done only once another person has approved it. It waits for seven days.
approvals-states = Which acts
approvals-waiting = Waiting
approvals-all = All, also ended
approval = Number
approval-called = Approval { $value }
approval-act = Act
approval-all-due = all that is due
approval-asked-by = Asked for by
approval-on-behalf = { $name } for { $person }
approval-ends = Waits until
approval-decided-by = Decided by
approval-decided-why = Reason of the decision
approval-request = Request id
approval-raise-limit = Raise credit limit
approval-new-account = Opens an organization
approval-converts = Converts to
approval-removed = is removed
approval-until = { $amount } until { $until }
approval-for-days = { $days ->
    [one] { $amount } for { $days } day from the approval
   *[other] { $amount } for { $days } days from the approval
}
approval-for-seconds = { $amount } for { $seconds } seconds from the approval
approval-waiting = waiting
approval-approved = approved, being done
approval-done = done
approval-failed = failed
approval-rejected = rejected
approval-expired = expired
approval-failed-why = It was approved, and could not be done: { $value }
approval-decide = Decide
approval-decide-help = What you approve is done at once, in the name of the person who asked. What you reject has ended.
approval-own = You have asked for this, so somebody else has to approve it. You can take it back by rejecting it.
approval-reason-optional = needed to reject
reject = Reject
no-approval-found = Nothing of this organization waits or was asked for.
no-approvals-yet = Nothing waits for approval.
done-act-asked = Nothing was done yet: this needs the approval of another person, and waits for it here.
done-act-approved = Approved and done.
done-act-rejected = Rejected: nothing was done.
done-figure = The figure was saved. It holds everywhere within five seconds.
to-what-waits = To the act that was asked for
waits-approvals = Acts that wait for a second person

approval-figures = Second person
approval-figures-help = Above these figures an act waits for another person. Figures are set by those who manage access, not by those who act. What waits already goes on waiting.
approval-figures-none = No act needs a second person.
approval-figure-set = Set a figure
approval-above = Needs approval above
approval-figure-off = No amount needs approval
wrong-figure = must be an amount, unless no amount needs approval
field-act = Act:
field-above = Needs approval above:

retention = Retention
retention-help = How long things are kept, and what has gone. Terms are options of the processes that aggregate, set by those who run the machines; a new term is on record, and nothing goes by it for a day.
retention-audit-records = Audit records
retention-documents = Lines and customers of issued documents
retention-entry-details = What callers sent along in entries
retention-term = Kept for
retention-days = { $value ->
    [one] { $value } day
   *[other] { $value } days
}
retention-years = { $value } years, from the end of the year of issue
retention-for-ever = for ever
retention-before = Gone is what was before
retention-dropped = How many have gone
retention-last = The last of them
retention-option = Option
retention-waits-changed = The term is new.
retention-waits-disputed = Processes were started with different terms, or one with none.
retention-waits-clock = The clock has gone back, or on by more than a day at once.
retention-waits-until = Nothing goes before { $value }.
