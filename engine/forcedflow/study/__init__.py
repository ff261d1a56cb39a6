"""What reads many runs: parameter sweeps, walk-forward, search, and what may be believed of a best."""
