"""The web console: pages over the job service's verbs and read models."""
