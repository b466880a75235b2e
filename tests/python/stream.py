"""A Charge stream is answered in order: stream.py ADDRESS"""

import sys

from google.protobuf import any_pb2  # noqa: F401  (error details travel as Any)
from helper import PREPAID, Client, debit, details, equal
from tollgate.v1 import charging_pb2, common_pb2

client = Client(sys.argv[1])
account = client.open(PREPAID, "0", "1000")
BATCHES, SIZE = 40, 25


def batches():
    for number in range(BATCHES):
        yield charging_pb2.ChargeRequest(commands=[
            charging_pb2.ChargeCommand(debit=debit(account, "1", f"d-{number}-{index}")) for index in range(SIZE)])


balances = []
for answer in client.charging.Charge(batches()):
    equal(len(answer.outcomes), SIZE)
    balances += [outcome.debit.credit.balance for outcome in answer.outcomes]
equal(balances, [f"{left}.00" for left in reversed(range(1000))])

# Of all kinds, each with its own outcome; one refusal leaves the rest alone.
account = client.open(PREPAID, "0", "10")
Command = charging_pb2.ChargeCommand
commands = [
    Command(authorize=charging_pb2.AuthorizeRequest(
        account_id=account, request_id="a", reserve=common_pb2.Reserve(amount=common_pb2.Money(amount="6")))),
    Command(debit=debit(account, "5", "d1")),
    Command(debit=debit(account, "4", "d2", reservation_id="a")),
    Command(debit=debit("nobody", "1")),
    Command(refund=charging_pb2.RefundRequest(account_id=account, request_id="u", charge_id="d2")),
    Command(release=charging_pb2.ReleaseRequest(account_id=account, request_id="x", reservation_id="a")),
    Command(get_usable_credit=charging_pb2.GetUsableCreditRequest(account_id=account)),
]
[answer] = client.charging.Charge(iter([charging_pb2.ChargeRequest(commands=commands)]))
outcomes = answer.outcomes
equal([outcome.WhichOneof("outcome") for outcome in outcomes],
      ["authorize", "debit", "debit", "error", "refund", "error", "get_usable_credit"])
equal(outcomes[1].debit.WhichOneof("outcome"), "declined")
equal(outcomes[2].debit.credit.balance, "6.00")
details(outcomes[3].error, "ACCOUNT_NOT_FOUND")
equal(outcomes[4].refund.refunded.amount, "4.00")
details(outcomes[5].error, "RESERVATION_SETTLED")
equal(outcomes[6].get_usable_credit.credit.usable, "10.00")
