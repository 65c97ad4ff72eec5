"""What has been promised: studies, jobs and deliveries as facts that survive a crash."""

from node.ledger.ledger import Ledger
from node.ledger.sql import SqlLedger

__all__ = ["Ledger", "SqlLedger"]
