"""What does a checkpoint do in the simulator? Episodes, their records, and the loop that makes one from the other."""
