"""What the scripts share: stubs, requests, and errors with their details."""

import itertools
import os
import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tollgate.v1 import (
    account_pb2, account_pb2_grpc, billing_pb2_grpc, charging_pb2, charging_pb2_grpc, common_pb2)

PREPAID, POSTPAID = common_pb2.PAYMENT_MODE_PREPAID, common_pb2.PAYMENT_MODE_POSTPAID
PATIENCE = 30

_numbers = itertools.count(1)


def fresh(word="r"):
    """A name that nobody used."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


def money(amount, currency=""):
    return common_pb2.Money(amount=amount, currency_code=currency)


def operator():
    return common_pb2.Operator(actor="ann", reason="a test")


class Client:
    """All services at one address."""

    def __init__(self, address):
        # Without this, channels of one process to one address would share a connection.
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.charging = charging_pb2_grpc.ChargingServiceStub(self.channel)
        self.accounts = account_pb2_grpc.AccountServiceStub(self.channel)
        self.billing = billing_pb2_grpc.BillingServiceStub(self.channel)

    def open(self, mode, limit="0", balance="0", **settings):
        """A new account, with a limit and a balance."""
        account = fresh("acme")
        change = common_pb2.CreditLimitChange(permanent=money(limit))
        self.accounts.CreateAccount(
            account_pb2.CreateAccountRequest(
                account_id=account, request_id=fresh(), name="Acme", currency_code="USD", mode=mode,
                credit_limit=change, allow_unusable=True, **settings))
        if balance != "0":
            self.accounts.AdjustBalance(
                account_pb2.AdjustBalanceRequest(
                    account_id=account, request_id=fresh(), amount=money(balance), operator=operator()))
        return account

    def debit(self, account, amount, request_id=None, **rest):
        request = debit(account, amount, request_id, **rest)
        return self.charging.Debit(request, timeout=PATIENCE)

    def credit(self, account):
        request = charging_pb2.GetUsableCreditRequest(account_id=account)
        return self.charging.GetUsableCredit(request, timeout=PATIENCE).credit


def debit(account, amount, request_id=None, **rest):
    return charging_pb2.DebitRequest(
        account_id=account, request_id=request_id or fresh(), amount=money(amount), **rest)


def refused(call, code, reason):
    """The details of the error that a call must end with, by the names of their types."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            answer = next(answer)
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()} {error.details()}"
        status = rpc_status.from_call(error)
        assert status is not None, f"no details: {error.details()}"
        return details(status, reason)
    raise AssertionError(f"not refused: {answer}")


def details(status, reason):
    """Unpacks a google.rpc.Status."""
    found = {}
    for packed in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.ResourceInfo,
                     error_details_pb2.RetryInfo, error_details_pb2.PreconditionFailure):
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                found[kind.DESCRIPTOR.name] = detail
    info = found["ErrorInfo"]
    assert (info.domain, info.reason) == ("tollgate", reason), info
    return found


def until(what, ask):
    """Asks until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            sys.exit(f"never: {what}")
        time.sleep(0.02)


def equal(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"
