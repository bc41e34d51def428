"""The Open3D window."""
