"""Writes the kept stores of one commit: make.py BINARY FOLDER, with generated stubs and grpcio on PYTHONPATH.

Run it with a binary of the commit whose format is to be kept, once, and commit what it wrote: a later binary writes another format.
Everything is told by a test clock, so the content is the same each time but for random block ids.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import grpc
from google.protobuf import duration_pb2
from tollgate.v1 import (
    account_pb2, account_pb2_grpc, billing_pb2, billing_pb2_grpc, charging_pb2, charging_pb2_grpc, common_pb2)

PREPAID, POSTPAID = common_pb2.PAYMENT_MODE_PREPAID, common_pb2.PAYMENT_MODE_POSTPAID


def money(amount):
    return common_pb2.Money(amount=amount)


def operator(actor="ann", reason="kept store"):
    return common_pb2.Operator(actor=actor, reason=reason)


class Service:
    def __init__(self, binary, folder, arguments):
        self.clock = os.path.join(folder, "clock")
        self.at("2026-10-10T10:00:00Z")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json",
             "--test-clock", self.clock, "--due-days", "14", *arguments],
            stderr=subprocess.PIPE, text=True, cwd=folder)
        for line in self.process.stderr:
            sys.stderr.write(line)
            found = re.search(r'"address":"([^"]+)"', line)
            if '"serving"' in line and found:
                break
        else:
            sys.exit("it does not serve")
        channel = grpc.insecure_channel(found[1])
        self.charging = charging_pb2_grpc.ChargingServiceStub(channel)
        self.accounts = account_pb2_grpc.AccountServiceStub(channel)
        self.billing = billing_pb2_grpc.BillingServiceStub(channel)

    def at(self, instant):
        with open(self.clock + ".new", "w") as file:
            file.write(instant)
        os.replace(self.clock + ".new", self.clock)
        time.sleep(1.5)  # The clock's file is read four times a second.

    def open(self, account, mode, limit, currency="EUR", **more):
        self.accounts.CreateAccount(account_pb2.CreateAccountRequest(
            account_id=account, request_id="create", name=f"Customer {account}", currency_code=currency, mode=mode, allow_unusable=True,
            credit_limit=common_pb2.CreditLimitChange(permanent=money(limit)), **more))

    def top_up(self, account, request_id, amount):
        self.accounts.TopUp(account_pb2.TopUpRequest(
            account_id=account, request_id=request_id, amount=money(amount), operator=operator()))

    def debit(self, account, request_id, amount, category=common_pb2.CHARGE_CATEGORY_USAGE, **more):
        usage = common_pb2.Usage(category=category, item="voice", quantity="60", unit="second", description="call-de")
        return self.charging.Debit(charging_pb2.DebitRequest(
            account_id=account, request_id=request_id, amount=money(amount), usage=usage, **more))

    def until_aggregated(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.billing.GetAggregation(billing_pb2.GetAggregationRequest())
            if all(partition.lag_entries == 0 for partition in answer.partitions):
                return
            time.sleep(0.2)
        sys.exit("the billing store does not follow")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def fill(service):
    service.open("prepaid", PREPAID, "0")
    service.top_up("prepaid", "payment-1", "100")
    service.debit("prepaid", "call-1", "13.89852")
    service.open("postpaid", POSTPAID, "1000")
    service.debit("postpaid", "call-1", "10.004")
    service.debit("postpaid", "call-2", "66.666667")
    service.open("one-by-one", POSTPAID, "500", non_usage_billing=common_pb2.NON_USAGE_BILLING_ONE_BY_ONE)
    service.debit("one-by-one", "phone", "19.995", common_pb2.CHARGE_CATEGORY_HARDWARE)
    service.open("yen", POSTPAID, "10000", "JPY")
    service.debit("yen", "call-1", "1234.5")
    service.open("converted", PREPAID, "0")
    service.top_up("converted", "payment-1", "100")
    service.debit("converted", "call-1", "13.89852")
    service.charging.Convert(charging_pb2.ConvertRequest(
        account_id="converted", request_id="convert", mode=POSTPAID, operator=operator(),
        credit_limit=common_pb2.CreditLimitChange(permanent=money("1000"))))
    service.debit("converted", "call-2", "200.00")
    service.open("closed", PREPAID, "0")
    service.accounts.CloseAccount(account_pb2.CloseAccountRequest(account_id="closed", request_id="close", operator=operator()))
    service.open("suspended", PREPAID, "10")
    service.accounts.SuspendAccount(account_pb2.SuspendAccountRequest(
        account_id="suspended", request_id="suspend", operator=operator()))

    service.at("2026-11-01T00:00:05Z")
    deadline = time.monotonic() + 60
    while len(service.billing.ListInvoices(billing_pb2.ListInvoicesRequest(page_size=100)).invoices) < 5:
        if time.monotonic() > deadline:
            sys.exit("the month's documents were not issued")
        time.sleep(0.2)

    service.at("2026-11-12T09:00:00Z")
    service.billing.RecordPayment(billing_pb2.RecordPaymentRequest(
        account_id="postpaid", request_id="bank-1", amount=money("50"), operator=operator()))
    service.charging.Refund(charging_pb2.RefundRequest(
        account_id="postpaid", request_id="refund-1", charge_id="call-1", amount=money("5.002"), reason="kept store"))
    service.charging.Refund(charging_pb2.RefundRequest(
        account_id="prepaid", request_id="refund-1", charge_id="call-1", amount=money("3.5"), reason="kept store"))
    # Closes that are overdue when the store is opened again in December.
    service.debit("postpaid", "call-3", "7.7777")
    service.debit("yen", "call-2", "99.5")

    service.at("2026-11-30T23:50:00Z")
    service.open("temporary", PREPAID, "5")
    service.accounts.SetCreditLimit(account_pb2.SetCreditLimitRequest(
        account_id="temporary", request_id="limit", operator=operator(), credit_limit=common_pb2.CreditLimitChange(
            set_temporary=common_pb2.TemporaryCreditLimit(limit=money("30"), days=10))))
    reserve = common_pb2.Reserve(amount=money("20"), validity=duration_pb2.Duration(seconds=3600))
    for account in ["prepaid", "postpaid"]:
        service.charging.Authorize(charging_pb2.AuthorizeRequest(account_id=account, request_id="session-1", reserve=reserve))
    service.charging.Authorize(charging_pb2.AuthorizeRequest(account_id="prepaid", request_id="session-2", reserve=reserve))
    service.debit("prepaid", "session-2-report", "12.5", reservation_id="session-2")

    service.at("2026-11-30T23:58:00Z")
    service.top_up("prepaid", "recent-top-up", "25")
    service.debit("prepaid", "recent-call", "1.25")
    service.debit("prepaid", "recent-decline", "5000")
    service.until_aggregated()


def keep_embedded(binary, target):
    with tempfile.TemporaryDirectory() as folder:
        service = Service(binary, folder, ["--store", os.path.join(folder, "tollgate.db")])
        try:
            fill(service)
        finally:
            service.stop()
        for name in sorted(os.listdir(folder)):
            if name.endswith(".db"):
                path = os.path.join(folder, name)
                subprocess.run(["sqlite3", path, "PRAGMA wal_checkpoint(TRUNCATE)"], check=True, stdout=subprocess.DEVNULL)
                shutil.copy(path, os.path.join(target, name))
                print(name)


def keep_redis(binary, target):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        socket = os.path.join(folder, "redis.sock")
        redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""],
                                 stdout=subprocess.DEVNULL)
        postgres = sorted(os.listdir("/usr/lib/postgresql"))[-1]
        programs = f"/usr/lib/postgresql/{postgres}/bin"
        data = os.path.join(folder, "data")
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*user, f"{programs}/initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-D", data],
                       check=True, stdout=subprocess.DEVNULL)
        server = subprocess.Popen([*user, f"{programs}/postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
                                  stderr=subprocess.DEVNULL)
        while subprocess.run([f"{programs}/pg_isready", "-q", "-h", folder]).returncode:
            time.sleep(0.1)
        try:
            service = Service(binary, folder, [
                "--redis", f"redis+unix://{socket}", "--billing", f"postgres://postgres@localhost/postgres?host={folder}",
                "--aggregate"])
            try:
                fill(service)
            finally:
                service.stop()
            subprocess.run(["redis-cli", "-s", socket, "SAVE"], check=True, stdout=subprocess.DEVNULL)
            shutil.copy(os.path.join(folder, "dump.rdb"), target)
            dump = os.path.join(target, "billing.sql")
            subprocess.run([f"{programs}/pg_dump", "-h", folder, "-U", "postgres", "--no-owner", "--no-privileges", "-f", dump, "postgres"],
                           check=True)
        finally:
            subprocess.run([*user, f"{programs}/pg_ctl", "-D", data, "-m", "fast", "stop"], check=True, stdout=subprocess.DEVNULL)
            server.wait()
            redis.terminate()
            redis.wait()


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    keep_embedded(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    keep_redis(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
