"""An SBOM is what CycloneDX's schema, SPDX's licences and package URLs allow, and each of its references leads somewhere: sbom.py FILE."""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL

text = pathlib.Path(sys.argv[1]).read_text()
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
assert wrong is None, wrong
whole = json.loads(text)
components = [whole["metadata"]["component"], *whole["components"]]
for component in components:
    assert PackageURL.from_string(component["purl"]).to_string() == component["purl"], component
    for licence in component.get("licenses", []):
        errors = get_spdx_licensing().validate(licence["expression"]).errors
        assert not errors, (component["name"], errors)
names = {component["bom-ref"] for component in components}
assert len(names) == len(components), "two components have one reference"
assert {each["ref"] for each in whole["dependencies"]} == names
assert names >= {needed for each in whole["dependencies"] for needed in each["dependsOn"]}
