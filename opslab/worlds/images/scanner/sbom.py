"""A list of what is in an image (SBOM), in the CycloneDX format, version 1.6, which other scanners read.

    >>> from opslab.worlds.images.scanner.installed import Package
    >>> text = bom([Package("pykontor", "2.8.6")], "clicks/loader", "sha256:3f0a", "2026-11-18")
    >>> json.loads(text)["components"][0]["purl"]
    'pkg:pypi/pykontor@2.8.6'

The same packages on the same day give the same bytes. https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable

from .installed import Package, shown

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://targ.example/sbom")


def bom(packages: Iterable[Package], name: str, version: str, day: str) -> str:
    """The text of an SBOM. name, version: of what was scanned, for an image its name and digest. day: YYYY-MM-DD."""
    # Half a second: only who wants an SBOM waits for it.
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    scanned = Component(
        name=shown(name), version=shown(version) or None, type=ComponentType.CONTAINER, bom_ref="scanned"
    )
    components = {}
    for one in packages:
        purl = PackageURL("pypi", name=shown(one.name), version=shown(one.version))
        components[str(purl)] = Component(
            name=shown(one.name), version=shown(one.version), type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl)
        )
    found = Bom(
        components=components.values(),
        serial_number=uuid.uuid5(NAMESPACE, "\n".join([name, version, day, *sorted(components)])),
        metadata=BomMetaData(component=scanned, timestamp=datetime.datetime.fromisoformat(f"{day}T00:00:00+00:00")),
    )
    found.register_dependency(scanned, components.values())
    # Written once more, in the order in which people read it.
    data = json.loads(JsonV1Dot6(found).output_as_string())
    first = ("$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components")
    return json.dumps({key: data[key] for key in sorted(data, key=(*first, *data).index)}, indent=2) + "\n"
