#!/usr/bin/env python3
import re
import subprocess
import sys

done = subprocess.run([sys.executable, "count_rows.py"], capture_output=True, text=True)
if done.returncode:
    sys.exit(125)
sys.exit(int(re.search(r"\d+", done.stdout)[0]) < 170)
