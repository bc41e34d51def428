"""The web page over SSH."""
