"""Takes metrics by OTLP: otlp_metrics.py. Prints its port; then, for each line of its input "METRICS", waits until all that this address
shows to Prometheus has arrived by the same names, types and labels, and prints "same"."""

import concurrent.futures
import queue
import re
import sys
import time
import urllib.request

import grpc
from helper import PATIENCE
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

exports = queue.Queue()


class Sink(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        exports.put(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def labels_of(point):
    return frozenset((label.key, label.value.string_value) for label in point.attributes)


def exported(request):
    """Type and labels of each metric."""
    found = {}
    for resource in request.resource_metrics:
        of = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
        assert of["service.name"] == "charging-1" and of["service.instance.id"], of
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = getattr(metric, kind).data_points
                assert metric.description, metric.name
                if kind == "sum":
                    assert metric.sum.is_monotonic, metric.name
                found[metric.name] = ({"sum": "counter"}.get(kind, kind), {labels_of(point) for point in points})
    return found


def shown(address):
    """The same of the classic text."""
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain"), response.headers["Content-Type"]
        text = response.read().decode()
    found = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            found[name] = (kind, set())
        elif not line.startswith("#"):
            series = line.rsplit(" ", 1)[0]
            name, _, labels = series.partition("{")
            if found.get(name) is None:
                if not name.endswith("_count"):
                    continue
                name = name.removesuffix("_count")
            found[name][1].add(frozenset(re.findall(r'(\w+)="([^"]*)"', labels)))
    # A histogram that has counted nothing is not exported.
    return {name: of for name, of in found.items() if of[1]}


server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Sink(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
for line in sys.stdin:
    deadline = time.monotonic() + PATIENCE
    while True:
        by_otlp, by_text = exported(exports.get(timeout=PATIENCE)), shown(line.strip())
        differs = {name: (by_text.get(name), by_otlp.get(name)) for name in by_text.keys() | by_otlp.keys()
                   if by_text.get(name) != by_otlp.get(name)
                   # One that has counted nothing yet.
                   and not (name not in by_otlp and by_text[name][0] == "histogram")}
        if not differs and by_otlp.get("rpc_server_call_duration_seconds"):
            break
        if time.monotonic() > deadline:
            sys.exit(f"these differ: {differs}")
    print("same", flush=True)
server.stop(None)
