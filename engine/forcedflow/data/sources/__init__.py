"""Readers: one generic (``table``), and one module for each source whose files need more than a column mapping."""
