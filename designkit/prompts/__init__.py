"""Prompt files and the variants that they stand for; text only."""
