"""Where files land: a folder, or a bucket in S3.

    >>> place = Folder("/tmp/landing")
    >>> place.write("clicks/day=2026-11-16/part-0.parquet", b"...")
    >>> place.list("clicks/")
    ['clicks/day=2026-11-16/part-0.parquet']

A `Bucket` does the same with a boto3 client, and may do what IAM lets that client do. Its refusals come through as they are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol


class Place(Protocol):
    """Something with keys ("a/b.parquet") and bytes."""

    def list(self, prefix: str) -> list[str]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, data: bytes) -> None: ...
    def delete(self, key: str) -> None: ...


class Folder:
    """Keys are paths below a folder, which is made with the first file."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def __str__(self) -> str:
        return str(self.root)

    def list(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, in order."""
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.name.endswith(".new")]
        return sorted(key for path in files if (key := path.relative_to(self.root).as_posix()).startswith(prefix))

    def read(self, key: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        return (self.root / key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """Write a file, whole or not at all: who lists the place never finds half of one."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_bytes(data)
        os.replace(fresh, path)

    def delete(self, key: str) -> None:
        """Take a file away, if it is there."""
        (self.root / key).unlink(missing_ok=True)


class Bucket:
    """Keys are those of a bucket, below a prefix. client: a boto3 client for S3, of whoever is to do it."""

    def __init__(self, client: Any, name: str, prefix: str = "") -> None:
        self.client, self.name = client, name
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}"

    def list(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, in order."""
        found: list[str] = []
        for page in self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=f"{self.prefix}{prefix}"
        ):
            found += [entry["Key"].removeprefix(self.prefix) for entry in page.get("Contents", [])]
        return sorted(found)

    def read(self, key: str) -> bytes:
        """The bytes of an object. Raises what botocore raises."""
        return self.client.get_object(Bucket=self.name, Key=f"{self.prefix}{key}")["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=self.name, Key=f"{self.prefix}{key}", Body=data)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        self.client.delete_object(Bucket=self.name, Key=f"{self.prefix}{key}")


def place(address: str) -> Place:
    """The place with this address: "s3://bucket/prefix", with the AWS profile and endpoint of the environment, or a folder."""
    if not address.startswith("s3://"):
        return Folder(address)
    import boto3

    name, _, prefix = address.removeprefix("s3://").partition("/")
    if not name:
        raise ValueError(f"{address!r} names no bucket. Write it as s3://bucket or s3://bucket/prefix.")
    return Bucket(boto3.client("s3"), name, prefix)
