"""follow-up: this study beside an earlier one, and what each finding has become."""
