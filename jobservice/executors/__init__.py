"""Executors: how runs are carried out."""
