"""What is read from a run: scorecard, tearsheet, map plots. Each is a function of the record."""
