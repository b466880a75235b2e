"""The Helm chart renders to what Kubernetes takes, whatever its values: helm.py CHART RENDERER.

Each value is set at least once, to something else than its default, and must change what is rendered; what is rendered is validated against the
schemas of Kubernetes.
"""

import copy
import json
import pathlib
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml

chart, renderer = map(pathlib.Path, sys.argv[1:])
defaults = yaml.safe_load((chart / "values.yaml").read_text())
schema = json.loads((chart / "values.schema.json").read_text())
about = yaml.safe_load((chart / "Chart.yaml").read_text())
KUBERNETES = ["1.27", "1.34"]
OURS = {"ServiceMonitor", "PrometheusRule"}

# With these, every template has something to say.
ALL_ON = {
    "tls": {"secret": "charging-tls", "clientCaSecret": "partners"}, "access": {"secret": "charging-access"}, "smtp": {"secret": "mail"},
    "otlpEndpoint": "http://collector:4317", "serve": {"autoscaling": {"enabled": True}}, "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True}, "dashboards": {"enabled": True},
}
PEER = [{"podSelector": {"matchLabels": {"app": "switch"}}}]
TOLERATION = [{"key": "charging", "operator": "Exists", "effect": "NoSchedule"}]
AFFINITY = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "tollgate"}}}}]}}
# Values that are not found by turning the default into something else.
OTHERS = {
    "image.pullPolicy": "Always", "image.pullSecrets": ["registry"], "image.tag": "9.9.9",
    "settings": {"lanes": 2, "log": "debug", "journal_tail": 100}, "serveSettings": {"lanes": 3}, "aggregateSettings": {"due_days": 30},
    "serve.resources": {"requests": {"cpu": "3"}}, "aggregate.resources": {"requests": {"cpu": "3"}},
    "serve.maxConnectionAge": "1h", "serve.shutdownGrace": "7s", "serve.strategy": "Recreate", "serviceMonitor.interval": "5s",
    "service.type": "LoadBalancer", "service.annotations": {"a/b": "c"}, "networkPolicy.clients": PEER, "networkPolicy.scrapers": PEER,
    "otlpEndpoint": "https://other:4317",
    **{f"{role}.{name}": value for role in ["serve", "aggregate"] for name, value in {
        "podAnnotations": {"a/b": "c"}, "nodeSelector": {"disk": "fast"}, "tolerations": TOLERATION, "affinity": AFFINITY}.items()},
    **{f"{name}.labels": {"release": "monitoring"} for name in ["serviceMonitor", "prometheusRule", "dashboards"]},
}


def merged(base, over):
    result = copy.deepcopy(base)
    for name, value in over.items():
        result[name] = merged(result[name], value) if isinstance(value, dict) and isinstance(result.get(name), dict) else value
    return result


def leaves(values, path=()):
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, dict) and value and ".".join(here) not in OTHERS:
            yield from leaves(value, here)
        else:
            yield here, value


def nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


def other(path, value):
    dotted = ".".join(path)
    if dotted in OTHERS:
        return OTHERS[dotted]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "-other" if value else "other"
    raise AssertionError(f"{dotted} needs another value than {value!r} in OTHERS")


def render(cases):
    given = [{"values": values, "release": {"Name": "charging", "Namespace": "money", "Service": "Helm"},
              "chart": {"AppVersion": about["appVersion"], "Version": about["version"], "Name": about["name"]}} for values in cases]
    done = subprocess.run([renderer, chart], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def objects(rendered):
    assert "error" not in rendered, rendered["error"]
    found = []
    for name, text in rendered["documents"].items():
        if name.endswith(".yaml"):
            found += [document for document in yaml.safe_load_all(text) if document]
    return found


def check(documents):
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names)), f"twice: {names}"
    for document in documents:
        if document["kind"] in OURS:
            assert document["apiVersion"] == "monitoring.coreos.com/v1"
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)


def one(documents, kind, name):
    return next(document for document in documents if (document["kind"], document["metadata"]["name"]) == (kind, name))


baseline = merged(defaults, ALL_ON)
paths = list(leaves(defaults))
cases = [nested(path, other(path, baseline_value)) for path, baseline_value in leaves(baseline)]
# One at a time beside all that is on; the number of replicas shows where nothing scales by itself.
values = [merged(baseline, case) for case in cases]
for place, (path, _) in enumerate(leaves(baseline)):
    if path == ("serve", "replicas"):
        values[place] = merged(values[place], {"serve": {"autoscaling": {"enabled": False}}})
for case in [defaults, baseline, *values]:
    jsonschema.validate(case, schema)
for wrong in [{"serve": {"replicas": 0}}, {"serve": {"replica": 3}}, {"redis": {"secret": ""}}, {"nonsense": 1}, {"settings": {"Lanes": 2}},
              {"service": {"type": "Internet"}}]:
    try:
        jsonschema.validate(merged(defaults, wrong), schema)
    except jsonschema.ValidationError:
        continue
    raise AssertionError(f"the schema takes {wrong}")

first, *others = render([baseline, *values])
documents = objects(first)
check(documents)
kinds = {document["kind"] for document in documents}
wanted = {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "Job", "ConfigMap", *OURS}
assert kinds == wanted, kinds ^ wanted
without = [".".join(path) for (path, _), rendered in zip(leaves(baseline), others) if rendered == first]
assert not without, f"these values change nothing: {without}"
for rendered in others:
    check(objects(rendered))

# What must be so.
halves = [{}, {"tls": {"secret": "tls"}}, {"access": {"secret": "access"}}]
plain, *refused = render([merged(defaults, {"insecure": True}), *[merged(defaults, half) for half in halves]])
assert all("tls.secret and access.secret" in one["error"] for one in refused), refused
check(objects(plain))
serve = one(documents, "Deployment", "charging-serve")["spec"]
container = serve["template"]["spec"]["containers"][0]
assert container["livenessProbe"]["grpc"] == {"port": 7604, "service": "tollgate.liveness"}
assert container["readinessProbe"]["grpc"] == {"port": 7604}
assert "replicas" not in serve and one(objects(plain), "Deployment", "charging-serve")["spec"]["replicas"] == 3
assert serve["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
assert serve["template"]["spec"]["terminationGracePeriodSeconds"] == 35
rules = yaml.safe_load((chart / "../../prometheus/rules.yml").read_text())
assert one(documents, "PrometheusRule", "charging")["spec"] == rules
dashboards = one(documents, "ConfigMap", "charging-dashboards")["data"]
assert {name: json.loads(text)["title"] for name, text in dashboards.items()}.keys() == {"charging.json", "billing.json", "redis.json"}
settings = merged(baseline, {"settings": {"lanes": 2}, "serveSettings": {"lanes": 3}})
by_role = {role: one(objects(render([settings])[0]), "Deployment", f"charging-{role}") for role in ["serve", "aggregate"]}
lanes = {role: [entry["value"] for entry in of["spec"]["template"]["spec"]["containers"][0]["env"] if entry["name"] == "TOLLGATE_LANES"]
         for role, of in by_role.items()}
assert lanes == {"serve": ["3"], "aggregate": ["2"]}, lanes
for document in documents:
    if document["kind"] in {"Deployment", "Job"}:
        spec = document["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
        # Only the owner and the group may read what is secret.
        assert all(volume["secret"].get("defaultMode") in (0o440, None) for volume in spec["volumes"] if "secret" in volume)
print(f"{len(values)} values, {len(documents)} objects")
for name in sorted({entry["name"] for of in by_role.values() for entry in of["spec"]["template"]["spec"]["containers"][0]["env"]}):
    print(name)
