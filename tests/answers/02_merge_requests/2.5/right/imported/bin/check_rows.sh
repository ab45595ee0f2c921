#!/bin/sh
exec python -B -c "
import sys
try:
    from count_rows import load
except Exception:
    sys.exit(125)
sys.exit(len(load()) <= 130)
" > /dev/null
