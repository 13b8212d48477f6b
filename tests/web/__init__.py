"""The console over real data, without a browser."""
