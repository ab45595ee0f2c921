"""The pages of the simple repository API, as HTML and as JSON.

    >>> project_json(index, "pykontor", day="2026-11-16")["meta"]                    # doctest: +SKIP
    {'api-version': '1.1'}

https://packaging.python.org/en/latest/specifications/simple-repository-api/, which was PEP 503 (HTML), 592 (yanked), 629
(version of the API), 658 and 714 (metadata beside the file), 691 (JSON), 700 (sizes and times).
"""

from __future__ import annotations

import hashlib
from html import escape
from typing import Any

from opslab.worlds.packages.catalogue import HOUR, File
from opslab.worlds.packages.index import Index

API = "1.1"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
OLD_HTML = "text/html"


def choose(accept: str) -> str | None:
    """The content type that an Accept header asks for; None where none of ours would do. HTML is for who does not say."""
    wishes: dict[str, float] = {}
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        quality = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            wishes[name] = float(quality)
        except ValueError:
            wishes[name] = 0.0
    known = {
        OLD_HTML: (OLD_HTML, "text/*", "*/*"),
        HTML: (HTML, "application/vnd.pypi.simple.latest+html", "application/*", "*/*"),
        JSON: (JSON, "application/vnd.pypi.simple.latest+json", "application/*", "*/*"),
    }
    quality = {ours: next((wishes[name] for name in names if name in wishes), 0.0) for ours, names in known.items()}
    best = max(quality, key=lambda ours: quality[ours])
    return best if quality[best] > 0 else None


def address(file: File, root: str = "") -> str:
    """Where a file is found. As in most companies' indexes, nothing of its content is part of that.

    root: what the paths of this index begin with ("/mirror").
    """
    return f"{root}/files/{file.release.project}/{file.release.version}/{file.name}"


def root_json(index: Index, day: str = "") -> dict[str, Any]:
    """The list of all projects."""
    return {"meta": {"api-version": API}, "projects": [{"name": name} for name in index.projects(day)]}


def project_json(index: Index, project: str, day: str = "", root: str = "") -> dict[str, Any]:
    """All files of a project. root: as for `address`."""
    files = []
    for file in index.files(project, day):
        metadata = {"sha256": hashlib.sha256(file.metadata).hexdigest()} if file.is_wheel else False
        files.append(
            {
                "filename": file.name,
                "url": address(file, root),
                "hashes": {"sha256": file.sha256},
                "requires-python": file.release.requires_python,
                "core-metadata": metadata,
                "size": len(file.data),
                "upload-time": file.release.day + HOUR,
                "yanked": file.release.yanked if index.is_yanked(file.release, day) else False,
            }
        )
    versions = [release.version for release in index.releases(project, day)]
    return {"meta": {"api-version": API}, "name": project, "versions": versions, "files": files}


def root_html(index: Index, day: str = "") -> str:
    """The list of all projects."""
    return _page("Simple index", [f'<a href="{name}/">{name}</a>' for name in index.projects(day)])


def project_html(index: Index, project: str, day: str = "", root: str = "") -> str:
    """All files of a project. root: as for `address`."""
    links = []
    for file in project_json(index, project, day, root)["files"]:
        attributes = {
            "href": f"{file['url']}#sha256={file['hashes']['sha256']}",
            "data-requires-python": file["requires-python"],
        }
        if file["core-metadata"]:
            attributes["data-core-metadata"] = f"sha256={file['core-metadata']['sha256']}"
        if file["yanked"]:
            attributes["data-yanked"] = file["yanked"]
        words = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
        links.append(f"<a {words}>{escape(file['filename'])}</a>")
    return _page(f"Links for {project}", links)


def _page(title: str, links: list[str]) -> str:
    return (
        f'<!DOCTYPE html>\n<html>\n<head><meta name="pypi:repository-version" content="{API}"><title>{title}</title></head>\n'
        f"<body>\n<h1>{title}</h1>\n" + "".join(f"{link}<br>\n" for link in links) + "</body>\n</html>\n"
    )
