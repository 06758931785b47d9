"""What is on the disk: homes, runs, the index, objects, metrics, logs."""
