"""From scores to what an inspector needs: regions, a verdict, and files."""
