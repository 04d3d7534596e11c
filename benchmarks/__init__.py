"""Side by side with peers. Each prints a Markdown table of ratios, goals met and goals missed."""
