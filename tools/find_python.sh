#!/bin/sh
# Prints the Python to make .venv with: $PYTHON, else the first of the usual names that is 3.11, 3.12 or 3.13.
set -u
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" && { echo "$PYTHON"; exit 0; }
    echo "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13." >&2
    exit 1
fi
for name in python3 python3.13 python3.12 python3.11 python; do
    fits "$name" && { echo "$name"; exit 0; }
done
found="$(python3 --version 2>/dev/null || echo 'no python3')"
echo "rowcast needs Python 3.11, 3.12 or 3.13, and here is $found." >&2
echo "Install one (Debian and Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13)," >&2
echo "or name it: make setup PYTHON=/path/to/python3.12" >&2
exit 1
