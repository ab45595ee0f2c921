"""Clients that talk to one organisation on this machine and to nothing else, whatever the environment and files say."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

REGION = "eu-west-1"

_making_a_client = threading.Lock()  # clients may be used in threads, but not made in them


def client(
    service: str, endpoint: str, key: str | None, secret: str | None, token: str | None = None, **options: Any
) -> Any:
    """A boto3 client with given keys (None: it does not sign). Takes nothing from the environment or from files.

    options: as for boto3 (`region_name`, `config`).
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    options.setdefault("region_name", REGION)
    config = Config(retries={"mode": "standard"}, proxies={}, ignore_configured_endpoint_urls=True)
    if key is None:
        config = config.merge(Config(signature_version=UNSIGNED))
    with _making_a_client:
        return _session().client(
            service,
            endpoint_url=endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=config.merge(options.pop("config", Config())),
            **options,
        )


@cache
def _session() -> Any:
    """One session for all clients (it keeps the parsed service models), deaf to profiles and files."""
    import boto3
    import botocore.session

    deaf = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=deaf))


def environment(endpoint: str, home: str | os.PathLike[str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which every AWS client talks to `endpoint` only. `base` (by default this process's environment)
    without anything about AWS and proxies; config and credentials come from `home`."""
    kept = {
        name: value
        for name, value in (os.environ if base is None else base).items()
        if not name.startswith(("AWS_", "BOTO_", "MOTO_")) and not name.lower().endswith("_proxy")
    }
    aws = Path(home) / ".aws"
    return kept | {
        "HOME": str(home),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_STS": endpoint,
        "AWS_CONFIG_FILE": str(aws / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
