"""What reads many runs: the evidence for and against a hypothesis."""
