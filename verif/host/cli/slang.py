# SPDX-License-Identifier: Apache-2.0
"""The slang compiler as a program: `python -m verif.host.cli.slang ARGUMENTS`, messages on stderr."""

import shlex
import sys

from pyslang.driver import Driver


def main() -> bool:
    """Compile and analyse what the arguments say; True when there was no error."""
    driver = Driver()
    driver.addStandardArgs()
    return (
        driver.parseCommandLine(shlex.join(["slang", *sys.argv[1:]]))
        and driver.processOptions()
        and driver.parseAllSources()
        and driver.runFullCompilation(quiet=True)
    )


if __name__ == "__main__":
    sys.exit(not main())
