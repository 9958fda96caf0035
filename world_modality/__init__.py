"""World Modality: does a predicted future of the world improve a robot policy, and can it be proven?"""
