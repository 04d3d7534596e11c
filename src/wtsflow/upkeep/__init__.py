"""Looking after the state folder: what is old goes, what is there is proven, copied, put back."""
