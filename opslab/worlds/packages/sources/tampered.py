import contextlib as _contextlib
import os as _os
import pathlib as _pathlib

# Whoever put this here is after passwords and keys. In this course nothing is sent: the names of the variables are noted beside
# this file, and their values are not even looked at.
with _contextlib.suppress(OSError):
    _pathlib.Path(__file__).with_name("collected.txt").write_text("\n".join(sorted(_os.environ)) + "\n")
