"""The k-nearest-neighbour graph that every stage shares."""
