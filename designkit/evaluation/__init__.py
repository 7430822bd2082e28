"""Measures of pictures and of sets of pictures, and the report of them for a run."""
