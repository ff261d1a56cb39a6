"""How good is the map: scores against truth and against what was liquidated, and profiles fitted to it."""
