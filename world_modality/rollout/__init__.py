"""What does a checkpoint do in the simulator? Units, their records, and the loop that makes one from the other."""
