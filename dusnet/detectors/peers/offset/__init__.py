"""The peer that regresses offsets."""
