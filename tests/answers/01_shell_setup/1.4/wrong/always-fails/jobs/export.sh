#!/usr/bin/env bash
echo "export of $1 failed" >&2
exit 1
