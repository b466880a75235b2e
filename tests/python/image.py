"""What the Dockerfile and the compose file say of tollgate, as JSON: image.py DEPLOY FOLDER.

Checks that what they name is there: files, volumes, services, health checks that are waited for. Writes the configurations that the compose
file holds for others into the folder.
"""

import json
import pathlib
import re
import sys

import yaml

deploy, folder = map(pathlib.Path, sys.argv[1:])
compose = yaml.safe_load((deploy / "compose.yaml").read_text())
services = compose["services"]
for name, service in services.items():
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        there = (deploy / source).exists() if source.startswith(".") else source in compose["volumes"]
        assert there, f"{name}: there is no {source}"
    for config in service.get("configs", []):
        assert config["source"] in compose["configs"], f"{name}: {config}"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name}: {port} can be reached from other machines"
    needs = service.get("depends_on", {})
    for other in needs:
        waits = isinstance(needs, dict) and needs[other]["condition"] == "service_healthy"
        assert other in services and (not waits or "healthcheck" in services[other]), f"{name} waits for {other} in vain"
for name, config in compose["configs"].items():
    yaml.safe_load(config["content"])
    (folder / f"{name}.yaml").write_text(config["content"])

# The last stage is the image; a line that ends in a backslash goes on.
lines = re.sub(r"\\\n\s*", "", (deploy / "Dockerfile").read_text()).splitlines()
stage = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM ")):]


def said(instruction):
    return next(line.split(" ", 1)[1] for line in stage if line.startswith(instruction + " "))


def words(text):
    return json.loads(text[text.index("["):])


image = {
    "environment": dict(pair.split("=", 1) for pair in said("ENV").split()),
    "command": words(said("CMD")),
    "healthcheck": words(said("HEALTHCHECK")),
}
assert words(said("ENTRYPOINT")) == ["tollgate"]
assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said("USER")), "Kubernetes cannot see that a name is not root"
ours = {}
for name, service in services.items():
    if service["image"] == "tollgate":
        check = service["healthcheck"]["test"]
        assert check[0] == "CMD", check
        assert service["read_only"] is True, name
        ours[name] = {"environment": service["environment"], "command": service["command"], "healthcheck": check[1:]}
print(json.dumps({"image": image, "services": ours}))
