"""The access keys of an organisation: made from its seed, so that files may name them before it runs. Light to import."""

from __future__ import annotations

import base64
import hashlib


def access_key(seed: int, account: str, user: str) -> tuple[str, str]:
    """(access key id, secret) of a user. account: its id of 12 digits. They open nothing but this sandbox."""
    digest = hashlib.sha256(f"opslab/{seed}/{account}/{user}".encode()).digest()
    return "AKIA" + base64.b32encode(digest).decode()[:16], base64.b64encode(digest + digest[:4]).decode()[:40]
