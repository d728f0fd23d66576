"""What other policies would have made of the requests that were logged."""
