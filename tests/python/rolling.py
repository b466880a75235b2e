"""Charges without an end, by clients with the usual retries of gRPC, balanced over two processes: rolling.py ADDRESS ADDRESS ACCOUNT.

What one process has reserved or charged, the other reports on or gives back, since each call goes to the next. Prints how much was charged in
all; at a line of input it ends, with what failed.
"""

import itertools
import json
import pathlib
import sys
import threading

import grpc
from helper import debit, money
from tollgate.v1 import charging_pb2, charging_pb2_grpc, common_pb2

*addresses, account = sys.argv[1:]
DOCUMENT = (pathlib.Path(__file__).parents[2] / "proto" / "README.md").read_text(encoding="utf-8")
# The retries are those that the document tells clients to have.
CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], **json.loads(DOCUMENT.split("```json\n")[1].split("```")[0])}
failures, done, is_over, lock = [], itertools.count(1), threading.Event(), threading.Lock()
counted = 0


def done_by(stub, name, place):
    """What one turn charges in all: a debit of 1, a session of 2, or nothing, because it is given back."""
    def call(method, request):
        answer = method(request, timeout=20)
        is_decision = "outcome" in answer.DESCRIPTOR.oneofs_by_name
        assert not (is_decision and answer.WhichOneof("outcome") == "declined"), answer

    if place % 4 == 1:
        reserve = common_pb2.Reserve(amount=money("2"))
        call(stub.Authorize, charging_pb2.AuthorizeRequest(account_id=account, request_id=name, reserve=reserve))
        part = charging_pb2.DebitRequest(account_id=account, request_id=f"{name}-part", amount=money("1"), reservation_id=name, reserve=reserve)
        call(stub.Debit, part)
        call(stub.Debit, charging_pb2.DebitRequest(account_id=account, request_id=f"{name}-end", amount=money("1"), reservation_id=name))
        return 2
    call(stub.Debit, debit(account, "1", name))
    if place % 4 == 3:
        call(stub.Refund, charging_pb2.RefundRequest(account_id=account, request_id=f"{name}-back", charge_id=name))
        return 0
    return 1


def charge(number):
    global counted
    channel = grpc.insecure_channel("ipv4:" + ",".join(addresses), options=[
        ("grpc.service_config", json.dumps(CONFIG)),
        # Else it is the list of addresses, which is no authority: HTTP/2 refuses it.
        ("grpc.default_authority", "tollgate"), ("grpc.use_local_subchannel_pool", 1),
        # A process that is started again is found soon.
        ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)])
    stub = charging_pb2_grpc.ChargingServiceStub(channel)
    for place in itertools.count():
        if is_over.is_set():
            return
        try:
            charged = done_by(stub, f"c-{number}-{place}", place)
        except (grpc.RpcError, AssertionError) as error:
            failures.append(f"{error.code()}: {error.details()}" if isinstance(error, grpc.RpcError) else f"declined: {error}")
            continue
        with lock:
            counted += charged
            print(f"done {counted}", flush=True)


threads = [threading.Thread(target=charge, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
sys.stdin.readline()
is_over.set()
for thread in threads:
    thread.join()
print(f"all {counted} {'; '.join(failures)}".strip(), flush=True)
