"""Strategies, their orders, and the account that trades them."""
