"""What people can see of the node: logs and metrics. Uids and counts, never a patient."""
