"""Takes traces by OTLP, and assembles that of one charge: one_trace.py. Prints its port, then does what each line of its input says:

    charge ADDRESS METRICS ACCOUNT      charges the account in a trace of its own, and in others
    assemble                            waits until the trace of the first charge leads to the mail of its invoice
"""

import concurrent.futures
import pathlib
import queue
import re
import sys
import time
import urllib.request

import grpc
import yaml
from helper import Client, PATIENCE, debit
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from tollgate.v1 import common_pb2

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
DECLINED, REFUSED, UNSAMPLED, INVALID = "1" * 32, "2" * 32, "3" * 32, "4" * 32
MANY = [f"{number:032x}" for number in range(0xA00, 0xA00 + 100)]
DEBIT = "tollgate.v1.ChargingService/Debit"

exports = queue.Queue()


class Sink(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        exports.put(request)
        return trace_service_pb2.ExportTraceServiceResponse()


def attributes(of):
    values = {}
    for attribute in of.attributes:
        kind = attribute.value.WhichOneof("value")
        values[attribute.key] = getattr(attribute.value, kind)
    return values


class Spans:
    """All that were exported so far."""

    def __init__(self):
        self.all, self.resources = [], []

    def take(self, seconds):
        try:
            request = exports.get(timeout=seconds)
        except queue.Empty:
            return
        for of_resource in request.resource_spans:
            self.resources.append(attributes(of_resource.resource))
            for scope in of_resource.scope_spans:
                self.all.extend(scope.spans)

    def find(self, what, is_it):
        """The first that is it, waited for."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for span in self.all:
                if is_it(span):
                    return span
            self.take(0.1)
        sys.exit(f"no span {what} among {[(span.name, span.trace_id.hex(), attributes(span)) for span in self.all]}")

    def within(self, parent, name):
        return self.find(f"{name} within {parent.name}",
                         lambda span: span.name == name and span.parent_span_id == parent.span_id and span.trace_id == parent.trace_id)

    def linked(self, to, name):
        return self.find(f"{name} linked to {to.name}",
                         lambda span: span.name == name and any(link.span_id == to.span_id and link.trace_id == to.trace_id for link in span.links))

    def call(self, trace):
        return self.find(f"of the call in {trace}", lambda span: span.name == DEBIT and span.trace_id.hex() == trace)


def has(span, **wanted):
    found = attributes(span)
    for name, value in wanted.items():
        name = name.replace("__", ".")
        assert found.get(name) == value, f"{span.name}: {name} is {found.get(name)!r}, not {value!r}"


def charge(address, metrics, account):
    client = Client(address)

    def debit_in(trace, amount, account=account, flags="01"):
        metadata = [("traceparent", f"00-{trace}-{CALLER}-{flags}")]
        return client.charging.Debit.future(debit(account, amount, usage=common_pb2.Usage(item="calls")), metadata=metadata, timeout=PATIENCE)

    debit_in(TRACE, "1.50").result()
    debit_in(DECLINED, "1000000").result()
    assert debit_in(REFUSED, "1", "nobody").exception().code() == grpc.StatusCode.NOT_FOUND
    assert debit_in(INVALID, "much").exception().code() == grpc.StatusCode.INVALID_ARGUMENT
    debit_in(UNSAMPLED, "0.01", flags="00").result()
    # At once, so that batches have several.
    for call in [debit_in(trace, "0.01") for trace in MANY]:
        call.result()
    # An exemplar leads from how long calls took to a trace.
    request = urllib.request.Request(f"http://{metrics}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request) as response:
        lines = [line for line in response.read().decode().splitlines() if line.startswith("rpc_server_call_duration_seconds_bucket")]
    exemplars = [line for line in lines if '# {trace_id="' in line]
    assert any(trace in line for line in exemplars for trace in [TRACE, *MANY]), exemplars


def collector():
    """The rules by which the collector of deploy keeps traces; what its pipelines name is there."""
    file = pathlib.Path(__file__).parents[2] / "deploy" / "otel-collector.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    for pipeline in config["service"]["pipelines"].values():
        for kind in ["receivers", "processors", "exporters"]:
            assert set(pipeline[kind]) <= set(config[kind]), f"{kind}: {pipeline}"
    assert "tail_sampling" in config["service"]["pipelines"]["traces"]["processors"]
    return config["processors"]["tail_sampling"]["policies"]


def kept_by(policies, spans):
    """The names of the rules that keep a trace, as the collector's documentation has their meaning."""
    def keeps(kind, rule):
        if kind == "status_code":
            assert rule == {"status_codes": ["ERROR"]}, rule
            return any(span.status.code == trace_pb2.Status.STATUS_CODE_ERROR for span in spans)
        if kind == "string_attribute":
            is_it = re.search if rule.get("enabled_regex_matching") else lambda value, text: value == text
            texts = [text for text in (attributes(span).get(rule["key"]) for span in spans) if isinstance(text, str)]
            return any(is_it(value, text) for value in rule["values"] for text in texts)
        if kind == "latency":
            lasted = max(span.end_time_unix_nano for span in spans) - min(span.start_time_unix_nano for span in spans)
            return lasted >= rule["threshold_ms"] * 1e6
        assert kind == "probabilistic", kind
        return True

    return {policy["name"] for policy in policies if keeps(policy["type"], policy[policy["type"]])}


def the_collector_keeps_what_it_should(spans, document):
    policies, of_trace = collector(), {}
    for span in spans.all:
        of_trace.setdefault(span.trace_id.hex(), []).append(span)
    for trace, rule in [(DECLINED, "declined-and-refused"), (REFUSED, "declined-and-refused"), (INVALID, "with-a-reason"),
                        (document.trace_id.hex(), "documents")]:
        kept = kept_by(policies, of_trace[trace])
        assert rule in kept, f"{trace} is kept by {kept}"
    usual = [kept_by(policies, of_trace[trace]) - {"slow"} for trace in MANY]
    assert {"the-rest"} in usual, f"what is done without an error is kept by chance alone: {usual}"


def assemble(spans, account):
    call = spans.call(TRACE)
    assert call.parent_span_id.hex() == CALLER
    assert call.kind == trace_pb2.Span.SPAN_KIND_SERVER
    has(call, rpc__system__name="grpc", rpc__method=DEBIT, rpc__response__status_code="OK", client__address="127.0.0.1",
        tollgate__outcome="done")
    has(spans.within(call, "permission"), tollgate__permission="charge")
    batch = spans.within(call, "batch")
    has(batch, tollgate__batch__size=1)
    assert "tollgate.partition" in attributes(batch)
    redis = spans.within(batch, "EVALSHA")
    assert redis.kind == trace_pb2.Span.SPAN_KIND_CLIENT
    has(redis, db__system__name="redis", db__operation__name="EVALSHA", db__namespace="0")
    assert "server.address" in attributes(redis)

    has(spans.call(DECLINED), tollgate__outcome="declined", tollgate__reason="INSUFFICIENT_CREDIT", rpc__response__status_code="OK")
    has(spans.call(REFUSED), tollgate__outcome="refused", tollgate__reason="ACCOUNT_NOT_FOUND", rpc__response__status_code="NOT_FOUND")
    # A batch of several is linked to the call of each, or within the only one.
    for trace in MANY:
        of_call = spans.call(trace)
        spans.find(f"batch of {trace}", lambda span: span.name == "batch" and (
            span.parent_span_id == of_call.span_id or any(link.span_id == of_call.span_id for link in span.links)))
    assert any(len(span.links) > 1 for span in spans.all if span.name == "batch"), "no batch had two calls"

    step = spans.linked(call, "aggregate")
    has(spans.within(step, "COMMIT"), db__system__name="postgresql", db__operation__name="COMMIT")
    # The newest charge that was traced stands for the line of the invoice.
    documents = [link for trace in [TRACE, *MANY] for link in [spans.call(trace)]]
    document = spans.find("of the document", lambda span: span.name == "issue document" and any(
        link.span_id == of.span_id for link in span.links for of in documents))
    has(document, tollgate__document__kind="invoice")
    has(spans.within(document, "send mail"), tollgate__mail__kind="document", tollgate__outcome="sent")
    spans.call(INVALID)
    the_collector_keeps_what_it_should(spans, document)

    assert not [span for span in spans.all if span.trace_id.hex() == UNSAMPLED], "what is not sampled has no span"
    for resource in spans.resources:
        assert resource["service.name"] == "charging-1" and resource["deployment.environment.name"] == "test", resource
        assert resource["service.version"] and resource["service.instance.id"], resource
    for span in spans.all:
        assert account not in str(span), f"a trace names an account: {span}"


server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Sink(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
spans, account = Spans(), None
for line in sys.stdin:
    what, *words = line.split()
    if what == "charge":
        account = words[2]
        charge(*words)
    else:
        assemble(spans, account)
    print(f"{what} done", flush=True)
server.stop(None)
