"""Is the edge real: hypotheses, nulls that bite, inference by days."""
