"""The slow, obvious twins of every kernel: plain Python over lists and dicts, written to be read."""
