"""A caller's trace goes on in the service: trace.py. Prints a collector's port, then reads the service's address."""

import concurrent.futures
import queue
import sys

import grpc
from helper import Client, debit

exports = queue.Queue()


class Collector(grpc.GenericRpcHandler):
    """Takes any export as bytes, and answers with an empty message."""

    def service(self, details):
        if details.method != "/opentelemetry.proto.collector.trace.v1.TraceService/Export":
            return None

        def take(request, _):
            exports.put(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(take)


server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Collector()])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
address = sys.stdin.readline().strip()

trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
client = Client(address)
for header in [f"00-{trace}-{parent}-01", "not a trace", "00-zz-zz-01"]:
    try:
        client.charging.Debit(debit("nobody", "1"), metadata=[("traceparent", header), ("x-forwarded-for", "203.0.113.9")], timeout=30)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
# The spans of a trace may come in several exports.
seen = b""
while not all(part in seen for part in (bytes.fromhex(trace), bytes.fromhex(parent), b"tollgate.v1.ChargingService/Debit", b"203.0.113.9")):
    seen += exports.get(timeout=30)
server.stop(None)
