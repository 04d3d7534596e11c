"""Shelf: where the truth about runs is kept."""
