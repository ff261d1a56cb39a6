"""What reads many runs: sweeps, calibration and scores of the map, the evidence for and against a hypothesis."""
