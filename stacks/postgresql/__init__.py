"""ZenML's metadata store on PostgreSQL.

    from stacks.postgresql import initialize, install

    install()                                   # ZenML now accepts postgresql:// as store URL
    initialize("postgresql://user@host/zenml")  # tables made, one process at a time

    transfer("sqlite:///zenml.db", "postgresql://user@host/zenml")  # an existing store moved there

See README.md beside this file.
"""

from stacks.postgresql.schema import initialize
from stacks.postgresql.store import TESTED_VERSIONS, UntestedVersion, install
from stacks.postgresql.transfer import TransferRefused, transfer

__all__ = ["TESTED_VERSIONS", "TransferRefused", "UntestedVersion", "initialize", "install", "transfer"]
