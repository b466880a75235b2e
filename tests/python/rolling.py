"""Charges without an end, by clients with the usual retries of gRPC, balanced over two processes: rolling.py ADDRESS ADDRESS ACCOUNT.

Prints how many charges were done; at a line of input it ends, with what failed.
"""

import itertools
import json
import sys
import threading

import grpc
from helper import debit
from tollgate.v1 import charging_pb2_grpc

*addresses, account = sys.argv[1:]
CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{
        "name": [{"service": "tollgate.v1.ChargingService"}],
        "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE"]},
    }],
}
failures, done, is_over, lock = [], itertools.count(1), threading.Event(), threading.Lock()
counted = 0


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
            answer = stub.Debit(debit(account, "1", f"c-{number}-{place}"), timeout=20)
            assert answer.WhichOneof("outcome") == "charged", answer
        except grpc.RpcError as error:
            failures.append(f"{error.code()}: {error.details()}")
            continue
        with lock:
            counted += 1
            if counted % 20 == 0:
                print(f"done {counted}", flush=True)


threads = [threading.Thread(target=charge, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
sys.stdin.readline()
is_over.set()
for thread in threads:
    thread.join()
print(f"all {counted} {'; '.join(failures)}".strip(), flush=True)
