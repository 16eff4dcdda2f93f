"""Skips a test whose packages are not installed. Standard library only."""
import sys
from importlib import metadata

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt


def skip(why):
    print(f"SKIPPED: {why}\ntests/peers/README.md says how to install the peers.")
    sys.exit(SKIPPED)


def need(package, version):
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        skip(f"{package} {version} is not installed for {sys.executable}")
    if found != version:
        skip(f"expected {package} {version} (the table of differences is about that one), found "
             f"{found}")
