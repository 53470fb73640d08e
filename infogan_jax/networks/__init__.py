"""Linen modules and the tables that they read."""
