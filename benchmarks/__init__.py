"""Measurements of the product: each folder holds a question, a command, and the results as JSON."""
