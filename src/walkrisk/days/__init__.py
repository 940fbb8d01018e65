"""Epochs -> one row a calendar day: seconds by activity, steps, wear, bouts."""
