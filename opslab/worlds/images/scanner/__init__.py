"""A scanner for images: what is installed, what is known of it, and a gate that says whether it may go on.

    >>> from opslab.worlds.images.scanner import audit, gate, installed
    >>> packages = installed.in_list("pykontor==2.8.6\\ntarg-units==1.2.0\\n")
    >>> found = audit.audit(packages, server.osv_url)                                           # doctest: +SKIP
    >>> report = gate.decide(found, gate.read(Path("exceptions.toml").read_text()), "2026-11-18")    # doctest: +SKIP
    >>> report.passed, [one.id for one in report.open]                                          # doctest: +SKIP
    (False, ['TSA-2026-0004'])
    >>> print(report.text())                                                                    # doctest: +SKIP

installed   packages in a folder, in an image of `opslab.worlds.images`, or in a list
audit       what the advisories say of them: real pip-audit asks a service that speaks OSV
gate        exceptions with a reason and a date, and the verdict; as data and as a table
sbom        the list of what is in an image, as CycloneDX has it
lint        what hadolint says of a Dockerfile

`python -m opslab.worlds.images.scanner WHAT` does all of it in a terminal, see `--help`. In the jail, where nothing of the course can
be imported, it runs as well: `PYTHONPATH=…/opslab/worlds/images python -m scanner`. So what it is made of imports its neighbours
with a dot, and nothing else of the course; what does (an image's packages, hadolint in the jail) imports it when it is called.
"""
