"""The designkit command: the only place that prints or exits."""
