"""What each stage does, from data to scores."""
