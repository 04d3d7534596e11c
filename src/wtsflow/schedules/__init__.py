"""Schedules: which slots are due, and that each fires once."""
