"""What bad input gets, with its details: errors.py ADDRESS"""

import sys

from google.protobuf import timestamp_pb2
from grpc import StatusCode
from helper import POSTPAID, PREPAID, Client, debit, equal, fresh, money, operator, refused
from tollgate.v1 import account_pb2, charging_pb2, common_pb2

client = Client(sys.argv[1])
charging, accounts = client.charging, client.accounts
account = client.open(PREPAID, "0", "10")


def fields(request, call=charging.Debit):
    found = refused(lambda: call(request), StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    violations = found["BadRequest"].field_violations
    assert all(violation.description for violation in violations)
    return [violation.field for violation in violations]


# Malformed amounts, ids, items, enums, attributes: which field, and what is allowed.
for amount in ["1e3", " 1", "1,5", "NaN", "", "-1", "+1", ".5", "1.", "0.0000001", "99999999999999999999", "١"]:
    equal(fields(debit(account, amount)), ["amount.amount"])
for name in ["", "-a", "a b", "é", "a" * 129]:
    equal(fields(debit(name, "1")), ["account_id"])
for request_id in ["a b", "é", "a" * 129, "\n"]:
    equal(fields(debit(account, "1", request_id)), ["request_id"])
equal(fields(charging_pb2.DebitRequest()), ["amount", "account_id", "request_id"])
equal(fields(debit(account, "1", excess_policy=9)), ["excess_policy"])
equal(fields(debit(account, "1", usage=common_pb2.Usage(item="a b"))), ["usage.item"])
attributes = {str(number): "" for number in range(17)}
equal(fields(debit(account, "1", usage=common_pb2.Usage(attributes=attributes))), ["usage.attributes"])
# Commands by hand need an actor and a reason.
equal(fields(account_pb2.SuspendAccountRequest(account_id=account, request_id=fresh()), accounts.SuspendAccount), ["operator"])
half = common_pb2.Operator(actor="ann")
request = account_pb2.WithdrawRequest(account_id=account, request_id=fresh(), amount=money("1"), operator=half)
equal(fields(request, accounts.Withdraw), ["operator.reason"])
# What depends on the account: too fine, too large.
coarse = client.open(PREPAID, "10", decimals=2)
found = refused(lambda: client.debit(coarse, "0.001"), StatusCode.INVALID_ARGUMENT, "TOO_MANY_DECIMALS")
equal(found["BadRequest"].field_violations[0].field, "amount.amount")
refused(lambda: client.debit(account, "99999999999"), StatusCode.INVALID_ARGUMENT, "AMOUNT_OUT_OF_RANGE")

# What is not there.
found = refused(lambda: client.debit("nobody", "1"), StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
equal((found["ResourceInfo"].resource_type, found["ResourceInfo"].resource_name), ("tollgate.v1/account", "nobody"))
release = charging_pb2.ReleaseRequest(account_id=account, request_id=fresh(), reservation_id="none")
found = refused(lambda: charging.Release(release), StatusCode.NOT_FOUND, "RESERVATION_NOT_FOUND")
equal(found["ResourceInfo"].resource_name, "none")
refund = charging_pb2.RefundRequest(account_id=account, request_id=fresh(), charge_id="none")
found = refused(lambda: charging.Refund(refund), StatusCode.NOT_FOUND, "CHARGE_NOT_FOUND")
equal(found["ResourceInfo"].resource_type, "tollgate.v1/charge")

# One request_id, one effect.
first = client.debit(account, "1", "once")
again = client.debit(account, "1.00", "once")
equal((first.replayed, again.replayed, again.credit.balance), (False, True, "9.00"))
found = refused(lambda: client.debit(account, "2", "once"), StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
equal(found["ErrorInfo"].metadata["request_id"], "once")
create = account_pb2.CreateAccountRequest(
    account_id=account, request_id=fresh(), name="Other", currency_code="USD", mode=PREPAID)
refused(lambda: accounts.CreateAccount(create), StatusCode.ALREADY_EXISTS, "ACCOUNT_EXISTS")
long_ago = timestamp_pb2.Timestamp(seconds=1)
refused(lambda: client.debit(account, "1", first_sent_at=long_ago), StatusCode.FAILED_PRECONDITION, "REQUEST_TOO_OLD")

# Reservations that ended, each for its own reason; what was consumed beside a released one is a charge of its own.
reserve = charging_pb2.AuthorizeRequest(
    account_id=account, request_id="hold", reserve=common_pb2.Reserve(amount=money("2")))
equal(charging.Authorize(reserve).granted.reservation_id, "hold")
equal(charging.Release(charging_pb2.ReleaseRequest(
    account_id=account, request_id=fresh(), reservation_id="hold")).released.amount, "2.00")
late = debit(account, "1", reservation_id="hold")
refused(lambda: charging.Debit(late), StatusCode.FAILED_PRECONDITION, "RESERVATION_RELEASED")
late.excess_policy = charging_pb2.EXCESS_POLICY_ALREADY_CONSUMED
refused(lambda: charging.Debit(late), StatusCode.FAILED_PRECONDITION, "RESERVATION_RELEASED")
equal(client.debit(account, "1").charged.amount.amount, "1.00")

# The state of the account.
found = refused(lambda: charging.Debit(charging_pb2.DebitRequest(
    account_id=account, request_id=fresh(), amount=money("1", "EUR"))), StatusCode.FAILED_PRECONDITION, "CURRENCY_MISMATCH")
equal(found["PreconditionFailure"].violations[0].type, "CURRENCY_MISMATCH")
close = account_pb2.CloseAccountRequest(account_id=account, request_id=fresh(), operator=operator())
refused(lambda: accounts.CloseAccount(close), StatusCode.FAILED_PRECONDITION, "ACCOUNT_NOT_EMPTY")
convert = charging_pb2.ConvertRequest(account_id=client.open(PREPAID), request_id=fresh(), mode=POSTPAID)
refused(lambda: charging.Convert(convert), StatusCode.FAILED_PRECONDITION, "WOULD_BE_UNUSABLE")
accounts.SuspendAccount(account_pb2.SuspendAccountRequest(account_id=account, request_id=fresh(), operator=operator()))
refused(lambda: client.debit(account, "1"), StatusCode.FAILED_PRECONDITION, "ACCOUNT_SUSPENDED")

# Too little credit is an answer.
poor = client.open(PREPAID, "0", "5")
declined = client.debit(poor, "7.5").declined
equal((declined.reason, declined.usable.amount, declined.shortfall.amount),
      (common_pb2.DECLINE_REASON_INSUFFICIENT_CREDIT, "5.00", "2.50"))

# Too much at once.
huge = debit(poor, "1", usage=common_pb2.Usage(description="x" * (2 << 20)))
refused(lambda: charging.Debit(huge), StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
batch = charging_pb2.ChargeRequest(commands=[charging_pb2.ChargeCommand()] * 513)
refused(lambda: charging.Charge(iter([batch])), StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE")
# Not a message at all.
raw = client.channel.unary_unary("/tollgate.v1.ChargingService/Debit")
refused(lambda: raw(b"\xff\xff\xff"), StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
# Nothing of all this cost anything.
equal(client.credit(poor).usable, "5.00")
