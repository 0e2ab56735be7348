"""The live page, for browsers: static files that read the numbers as any other client does."""
