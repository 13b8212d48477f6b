"""The job service: decides when jobs run, and runs them."""
