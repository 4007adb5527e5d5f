"""ZenML's metadata store on PostgreSQL.

    from stacks.postgresql import initialize, install

    install()                                   # ZenML now accepts postgresql:// as store URL
    initialize("postgresql://user@host/zenml")  # tables made, one process at a time

See README.md beside this file.
"""

from stacks.postgresql.schema import initialize
from stacks.postgresql.store import TESTED_VERSIONS, UntestedVersion, install

__all__ = ["TESTED_VERSIONS", "UntestedVersion", "initialize", "install"]
