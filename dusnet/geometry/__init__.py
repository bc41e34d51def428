"""Measurements on points, without learning: sampling, normals, neighbours, visibility, coverage, slits, solids."""
