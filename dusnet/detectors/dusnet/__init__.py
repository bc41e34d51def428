"""The default method: networks that know no part, beside the warped good surface."""
