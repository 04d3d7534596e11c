"""What is measured against: each module makes Contestants that do the same work another way."""
