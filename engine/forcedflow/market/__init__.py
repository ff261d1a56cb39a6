"""The market pass: what price does to the map, whoever trades."""
