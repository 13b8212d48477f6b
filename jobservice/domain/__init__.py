"""The rules of jobs and runs: standard-library values in, values out."""
