#!/usr/bin/env python3
# Every morning at seven: sales per category, for the #sales channel.
import os
from pathlib import Path

password = (Path.home() / ".secrets" / "warehouse").read_text().strip()
os.environ["WAREHOUSE_PASSWORD"] = password
os.execvp("warehouse", ["warehouse", "report"])
