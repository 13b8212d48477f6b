"""What Moontide costs, measured beside references of the same run."""
