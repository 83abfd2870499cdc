"""What the HTML pages of learning have in common: their frame, tables, and plots as SVG."""
