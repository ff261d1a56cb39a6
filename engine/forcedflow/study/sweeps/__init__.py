"""Parameter sweeps: many settings on one tape, kept and resumable, and what may be believed of a best."""
