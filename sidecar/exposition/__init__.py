"""Snapshot -> readers. Renderings only: nothing here counts, and nothing here waits for Redis to answer a scrape."""
