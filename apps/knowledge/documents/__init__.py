"""Documents in: from a folder of files to passages without personal data in an index."""
