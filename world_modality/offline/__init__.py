"""What a trained model A to F makes of demonstrations that it has not seen, and of a corrupted world."""
