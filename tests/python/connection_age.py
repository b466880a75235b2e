"""Connections that are made anew are not noticed: connection_age.py ADDRESS SECONDS. A stream is cut off, at that age at the earliest."""

import sys
import threading
import time

import grpc
from helper import POSTPAID, Client, debit
from tollgate.v1 import charging_pb2

address, least = sys.argv[1], float(sys.argv[2])
client = Client(address)
account = client.open(POSTPAID, "1000000")
failures, is_over = [], threading.Event()


def call():
    own = Client(address)
    while not is_over.is_set():
        try:
            own.debit(account, "0.01")
        except grpc.RpcError as error:
            failures.append(error)


threads = [threading.Thread(target=call) for _ in range(4)]
for thread in threads:
    thread.start()

streaming, begun = Client(address), time.monotonic()


def batches():
    yield charging_pb2.ChargeRequest(commands=[charging_pb2.ChargeCommand(debit=debit(account, "1"))])
    is_over.wait(30)


answers = streaming.charging.Charge(batches())
next(answers)
try:
    next(answers)
    sys.exit("the stream goes on")
except grpc.RpcError as error:
    age = time.monotonic() - begun
    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL), error
    assert age >= least, age
is_over.set()
for thread in threads:
    thread.join()
assert not failures, failures
