"""Methods of others, to compare with (docs/peers.md)."""
