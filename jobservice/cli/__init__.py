"""The command ``moontide``."""
