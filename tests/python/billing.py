"""BillingService as a customer calls it: payments, usage records, many accounts at once, errors with their details."""

import sys
import time

import grpc
from helper import PATIENCE, POSTPAID, PREPAID, Client, fresh, money, operator, refused
from tollgate.v1 import account_pb2, billing_pb2, common_pb2

client = Client(sys.argv[1])
billing = client.billing

# A payment is recorded once, whatever is repeated, and raises usable credit at once.
account = client.open(POSTPAID, limit="1000")
payment = billing_pb2.RecordPaymentRequest(account_id=account, request_id="bank-1", amount=money("424"))
answer = billing.RecordPayment(payment, timeout=PATIENCE)
assert (answer.credit.usable, answer.replayed) == ("1424.00", False), answer
assert billing.RecordPayment(payment, timeout=PATIENCE).replayed
found = refused(
    lambda: billing.RecordPayment(
        billing_pb2.RecordPaymentRequest(
            account_id=account, request_id="bank-2", amount=money("1"), invoice_numbers=["INV-999999"])),
    grpc.StatusCode.NOT_FOUND, "INVOICE_NOT_FOUND")
assert found["ResourceInfo"].resource_name == "INV-999999", found
refused(lambda: billing.GetInvoice(billing_pb2.GetInvoiceRequest(number="INV-999999")), grpc.StatusCode.NOT_FOUND, "INVOICE_NOT_FOUND")
refused(lambda: billing.GetInvoice(billing_pb2.GetInvoiceRequest()), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
refused(
    lambda: billing.WriteOff(
        billing_pb2.WriteOffRequest(account_id=account, request_id=fresh(), amount=money("1"), operator=operator())),
    grpc.StatusCode.FAILED_PRECONDITION, "EXCEEDS_AMOUNT_DUE")

# Whom documents are for.
party = billing_pb2.Party(name="Acme Ltd", address=["1 Main Street", "Springfield"], tax_id="DE123", email="bills@acme.example")
billing.SetBillingDetails(billing_pb2.SetBillingDetailsRequest(account_id=account, customer=party), timeout=PATIENCE)
details = billing.GetBillingDetails(billing_pb2.GetBillingDetailsRequest(account_id=account), timeout=PATIENCE)
assert details.customer == party, details

# Usage records come out with ids, once the billing store has them.
for number in range(3):
    client.debit(account, "0.5", f"call-{number}", usage=common_pb2.Usage(item="call", quantity="60", unit="second"))
deadline = time.monotonic() + PATIENCE
records = []
while len(records) < 3 and time.monotonic() < deadline:
    parts = billing.ExportUsage(billing_pb2.ExportUsageRequest(account_id=account), timeout=PATIENCE)
    records = [record for part in parts for record in part.records]
    time.sleep(0.05)
assert [record.request_id for record in records] == ["call-0", "call-1", "call-2"], records
assert len({record.record_id for record in records}) == 3
assert {record.kind for record in records} == {account_pb2.ENTRY_KIND_CHARGED_UNBILLED}
assert {(record.amount.amount, record.amount.currency_code) for record in records} == {("0.50", "USD")}

# Many accounts at once; one that there is not does not stop the others.
accounts = [client.open(PREPAID) for _ in range(3)] + ["nobody"]
request = billing_pb2.BatchConvertRequest(
    batch_id="move", mode=POSTPAID, limit_for_all=money("100"), operator=operator(),
    list=billing_pb2.BatchAccountList(accounts=[billing_pb2.BatchAccount(account_id=name) for name in accounts]))
outcomes = [answer.WhichOneof("outcome") for answer in billing.BatchConvert(request, timeout=PATIENCE)]
assert outcomes == ["converted", "converted", "converted", "error"], outcomes
outcomes = [answer.WhichOneof("outcome") for answer in billing.BatchConvert(request, timeout=PATIENCE)]
assert outcomes == ["unchanged", "unchanged", "unchanged", "error"], outcomes
assert client.credit(accounts[0]).usable == "100.00"

# Without a closed month there is no history to suggest a limit from.
answer = billing.SuggestCreditLimit(billing_pb2.SuggestCreditLimitRequest(account_id=account), timeout=PATIENCE)
assert not answer.HasField("suggested_limit") and answer.current_limit.amount == "1000.00", answer
