"""The two training stages and the loop that runs them."""
