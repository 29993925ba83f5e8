"""Why a model says what it says of a sequence: what each base contributes, and what other bases would change."""
