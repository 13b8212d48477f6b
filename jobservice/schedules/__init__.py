"""Schedules: text that a person can read, and the fire times it means."""

from jobservice.schedules.grammar import parse_schedule
from jobservice.schedules.interval import IntervalSchedule

__all__ = ["IntervalSchedule", "parse_schedule"]
