"""Folders of recordings -> days.parquet: one participant end to end, and the resumable run over all of them."""
