"""The service's loops: each a ``step(now)``; the supervisor alone sleeps."""
