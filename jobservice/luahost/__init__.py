"""The Lua worker process: a hardened interpreter that runs one script at a time."""
