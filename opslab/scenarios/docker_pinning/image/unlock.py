"""Opens what is locked: python unlock.py rates.locked rates.json

The passphrase is in the file /run/secrets/rates; where that is not there, in the variable RATES_PASSPHRASE.
"""

import base64
import hashlib
import hmac
import os
import sys
from pathlib import Path

SECRET = Path("/run/secrets/rates")


def passphrase():
    """The passphrase, without the end of its line."""
    try:
        return SECRET.read_bytes().strip()
    except FileNotFoundError:
        pass
    except PermissionError:
        sys.exit(f"unlock.py: {SECRET} is there, and this user may not read it.")
    if not os.environ.get("RATES_PASSPHRASE"):
        sys.exit(f"unlock.py: there is no passphrase, neither in {SECRET} nor in RATES_PASSPHRASE.")
    return os.environ["RATES_PASSPHRASE"].strip().encode()


def keys(words, salt):
    """Two keys of a passphrase: one to encrypt with, one to sign with. Slow on purpose, so that nobody guesses."""
    made = hashlib.scrypt(words, salt=salt, n=2**14, r=8, p=1, dklen=64)
    return made[:32], made[32:]


def mixed(data, key):
    """Encrypt, or decrypt: HMAC-SHA256 of a counter gives the stream."""
    blocks = range(len(data) // 32 + 1)
    stream = b"".join(hmac.digest(key, number.to_bytes(8, "big"), "sha256") for number in blocks)
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))


def main(source, target):
    salt, tag, body = (base64.b64decode(line) for line in Path(source).read_text().split())
    first, second = keys(passphrase(), salt)
    if not hmac.compare_digest(tag, hmac.digest(second, salt + body, "sha256")):
        sys.exit(f"unlock.py: this is not the passphrase of {source}.")
    Path(target).write_bytes(mixed(body, first))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("unlock.py: python unlock.py rates.locked rates.json")
    main(*sys.argv[1:])
