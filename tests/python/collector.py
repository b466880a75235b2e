"""A collector that refuses what it is sent, until a line of its input says "take": collector.py. Prints its port, then the name of each service
of OTLP once it has refused three exports of it.
"""

import collections
import concurrent.futures
import sys
import threading

import grpc

is_taking, refused, lock = threading.Event(), collections.Counter(), threading.Lock()


class Collector(grpc.GenericRpcHandler):
    def service(self, details):
        def export(_, context):
            if is_taking.is_set():
                return b""
            with lock:
                refused[details.method] += 1
                if refused[details.method] == 3:
                    print(details.method, flush=True)
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not now")

        return grpc.unary_unary_rpc_method_handler(export)


server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Collector()])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.readline()
is_taking.set()
sys.stdin.readline()
server.stop(None)
